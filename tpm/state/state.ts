/** Everything a TPM remembers, as plain data; `persist.ts` says which part of it survives power loss. */
import type { CryptoProvider } from '../crypto/provider.ts';
import type { TPML_PCR_SELECTION } from '../structures/base.ts';
import { TPM_ALG, TPM_CC, TPM_RH } from '../structures/constants.ts';
import type { TPMT_PUBLIC, TPMT_SENSITIVE } from '../structures/objects.ts';
import type { NvIndex } from './nv.ts';
import { ObjectTable } from './objects.ts';
import { allPcrs, PcrBanks } from './pcr.ts';
import type { Profile } from './profile.ts';
import { SessionTable } from './sessions.ts';

/** A policy with its hash algorithm; TPM_ALG_NULL when there is none. */
export interface Policy {
  alg: number;
  digest: Uint8Array;
}

export const NO_POLICY: Policy = { alg: TPM_ALG.NULL, digest: new Uint8Array(0) };

export interface Hierarchy {
  /** Primary seed and proof. */
  seed: Uint8Array;
  proof: Uint8Array;
  authValue: Uint8Array;
  policy: Policy;
  enabled: boolean;
}

/** Dictionary-attack protection. Part 1, section 19.8. Times in seconds. */
export interface Lockout {
  authValue: Uint8Array;
  policy: Policy;
  failedTries: number;
  maxTries: number;
  recoveryTime: number;
  lockoutRecovery: number;
  /** Lockout authority may be used. */
  lockoutAuthEnabled: boolean;
  /** TPM time in milliseconds from which recovery counts; below zero where it began before the power-on. */
  triesSince: bigint;
  authSince: bigint;
}

export type HierarchyHandle = (typeof TPM_RH)['OWNER' | 'ENDORSEMENT' | 'PLATFORM' | 'NULL'];

export class TpmState {
  readonly hierarchies: Record<HierarchyHandle, Hierarchy>;
  lockout: Lockout;
  phEnableNV = true;
  /** TPM2_ReadOnlyControl: commands that write non-volatile memory are refused until the next TPM Restart. */
  readOnly = false;
  disableClear = false;
  readonly objects: ObjectTable;
  readonly sessions: SessionTable;
  readonly pcr: PcrBanks;
  pcrAllocation: TPML_PCR_SELECTION;
  /** Authorisation values and policies of PCR in the auth and policy groups (PCR 20-22 of the reference). */
  pcrAuth = new Uint8Array(0) as Uint8Array;
  pcrPolicy: Policy = NO_POLICY;
  readonly nv = new Map<number, NvIndex>();
  /** The highest value any deleted counter index had; new counters start above it. */
  maxCounter = 0n;
  resetCount = 0;
  restartCount = 0;
  /** Count of TPM Resets since manufacture, bound into contexts. */
  totalResetCount = 0n;
  /** Counts Clear of the platform and owner so that old contexts die. */
  clearCount = 0;
  /** How the last power cycle ended: TPM_SU_CLEAR, TPM_SU_STATE, or none (disorderly). */
  orderly: 'clear' | 'state' | 'none' = 'clear';
  commandAudit: { alg: number; counter: bigint; digest: Uint8Array; commands: Set<number> };
  algorithmSet = 0;
  ppCommands = new Set<number>();
  /** Random per TPM Reset: nonce of contexts, of the null hierarchy. */
  contextKey = new Uint8Array(32) as Uint8Array;

  /** RSA primary keys made in this power cycle, by their seed material. */
  readonly primaries = new Map<string, { publicArea: TPMT_PUBLIC; sensitive: TPMT_SENSITIVE }>();
  /** Scalars of TPM2_Commit and TPM2_EC_Ephemeral that were given out and not used yet. Part 1, annex C.2.2. */
  readonly commits = { nonce: new Uint8Array(0) as Uint8Array, next: 0n, pending: new Map<number, bigint>() };

  constructor(crypto: CryptoProvider, profile: Profile) {
    const hierarchy = (): Hierarchy => ({
      seed: new Uint8Array(0),
      proof: new Uint8Array(0),
      authValue: new Uint8Array(0),
      policy: NO_POLICY,
      enabled: true,
    });
    this.hierarchies = {
      [TPM_RH.OWNER]: hierarchy(),
      [TPM_RH.ENDORSEMENT]: hierarchy(),
      [TPM_RH.PLATFORM]: hierarchy(),
      [TPM_RH.NULL]: hierarchy(),
    };
    this.lockout = {
      authValue: new Uint8Array(0),
      policy: NO_POLICY,
      failedTries: 0,
      maxTries: 3,
      recoveryTime: 1000,
      lockoutRecovery: 1000,
      lockoutAuthEnabled: true,
      triesSince: 0n,
      authSince: 0n,
    };
    this.objects = new ObjectTable(profile.transientSlots);
    this.sessions = new SessionTable(profile.loadedSessions, profile.activeSessions);
    this.pcr = new PcrBanks(crypto, profile.pcrBanks);
    this.pcrAllocation = profile.pcrBanks.map((hash) => ({
      hash: hash as TPML_PCR_SELECTION[number]['hash'],
      pcrSelect: allPcrs,
    }));
    this.commandAudit = {
      alg: TPM_ALG.SHA256,
      counter: 0n,
      digest: new Uint8Array(0),
      commands: new Set([TPM_CC.SetCommandCodeAuditStatus]),
    };
  }

  hierarchy(handle: number): Hierarchy | undefined {
    return this.hierarchies[handle as HierarchyHandle];
  }
}
