/** Authorization sessions and the bookkeeping of saved ones. Part 1, sections 17 and 30. */

import type { TPMI_ALG_HASH, TPMT_SYM_DEF } from '../structures/algorithms.ts';
import { TPM_HT, TPM_RC, TpmError } from '../structures/index.ts';

/** What a policy has asked for so far. Part 3, section 23.2. */
export interface PolicyState {
  digest: Uint8Array;
  commandCode: number | undefined;
  /** cpHash, nameHash or template hash: at most one of the three. */
  cpHash: Uint8Array | undefined;
  nameHash: Uint8Array | undefined;
  templateHash: Uint8Array | undefined;
  parametersHash: Uint8Array | undefined;
  /** Bits 0-4 or an extended locality; 0 when free. */
  locality: number;
  authValueNeeded: boolean;
  passwordNeeded: boolean;
  physicalPresence: boolean;
  /** Milliseconds of TPM time at which the session stops being of use; 0n for never. */
  timeout: bigint;
  /** PCR update counter when PolicyPCR ran. */
  pcrCounter: number | undefined;
  /** What the NV index's WRITTEN must be. */
  nvWritten: boolean | undefined;
}

export interface Session {
  readonly handle: number;
  readonly type: 'hmac' | 'policy' | 'trial';
  readonly authHash: TPMI_ALG_HASH;
  readonly symmetric: TPMT_SYM_DEF;
  readonly sessionKey: Uint8Array;
  nonceTPM: Uint8Array;
  /** Name and authorisation value of the entity it was bound to, until it audits. */
  bound: { readonly handle: number; readonly name: Uint8Array; readonly authValue: Uint8Array } | undefined;
  /** TPM time in milliseconds when it started, and the time epoch it belongs to. */
  readonly startTime: bigint;
  audit: { digest: Uint8Array } | undefined;
  policy: PolicyState;
}

export function emptyPolicy(digestSize: number): PolicyState {
  return {
    digest: new Uint8Array(digestSize),
    commandCode: undefined,
    cpHash: undefined,
    nameHash: undefined,
    templateHash: undefined,
    parametersHash: undefined,
    locality: 0,
    authValueNeeded: false,
    passwordNeeded: false,
    physicalPresence: false,
    timeout: 0n,
    pcrCounter: undefined,
    nvWritten: undefined,
  };
}

/** Forget what a policy session has asserted. */
export function resetPolicy(session: Session): void {
  session.policy = emptyPolicy(session.policy.digest.length);
}

/** A saved context may lag this far behind the newest one (TPM_PT_CONTEXT_GAP_MAX). */
export const CONTEXT_GAP_MAX = 0xffff;

/** All active sessions: loaded ones, and the sequence numbers of saved ones. */
export class SessionTable {
  readonly loaded = new Map<number, Session>();
  /** Saved session contexts: slot number to the sequence number of the only context that may come back. */
  readonly saved = new Map<number, { handle: number; sequence: bigint }>();
  contextCounter = 0n;
  /** The last context of before the power-on. Time has started again since, so deadlines in them have passed. */
  earlierContexts = 0n;
  exclusive: number | undefined;
  readonly #maxLoaded: number;
  readonly #maxActive: number;

  constructor(maxLoaded: number, maxActive: number) {
    this.#maxLoaded = maxLoaded;
    this.#maxActive = maxActive;
  }

  get active(): number {
    return this.loaded.size + this.saved.size;
  }

  get loadedAvailable(): number {
    return this.#maxLoaded - this.loaded.size;
  }

  get activeAvailable(): number {
    return this.#maxActive - this.active;
  }

  /** A handle for a new session. TPM_RC_SESSION_MEMORY, TPM_RC_SESSION_HANDLES or TPM_RC_CONTEXT_GAP. */
  freeHandle(type: Session['type']): number {
    this.requireLoadable();
    if (this.activeAvailable <= 0) throw new TpmError(TPM_RC.SESSION_HANDLES);
    const kind = type === 'hmac' ? TPM_HT.HMAC_SESSION : TPM_HT.POLICY_SESSION;
    for (let slot = 0; slot < this.#maxActive; slot++) {
      if (this.saved.has(slot) || this.#isLoaded(slot)) continue;
      return (kind << 24) | slot;
    }
    throw new TpmError(TPM_RC.SESSION_HANDLES);
  }

  /**
   * That a slot is free, for a new session or for the saved one of this sequence number. Where the oldest saved session
   * is as far behind as may be, the last slot is kept for it. TPM_RC_SESSION_MEMORY, TPM_RC_CONTEXT_GAP.
   */
  requireLoadable(sequence?: bigint): void {
    if (this.loadedAvailable <= 0) throw new TpmError(TPM_RC.SESSION_MEMORY);
    if (this.loadedAvailable > 1) return;
    for (const saved of this.saved.values())
      if (saved.sequence !== sequence && this.contextCounter - saved.sequence >= BigInt(CONTEXT_GAP_MAX))
        throw new TpmError(TPM_RC.CONTEXT_GAP);
  }

  /** The sequence number for saving a session; TPM_RC_CONTEXT_GAP when the oldest saved one is too far behind. */
  nextSequence(): bigint {
    for (const { sequence } of this.saved.values())
      if (this.contextCounter + 1n - sequence > BigInt(CONTEXT_GAP_MAX)) throw new TpmError(TPM_RC.CONTEXT_GAP);
    return this.contextCounter + 1n;
  }

  #isLoaded(slot: number): boolean {
    return this.loaded.has((TPM_HT.HMAC_SESSION << 24) | slot) || this.loaded.has((TPM_HT.POLICY_SESSION << 24) | slot);
  }

  flush(handle: number): boolean {
    if (this.exclusive === handle) this.exclusive = undefined;
    const slot = handle & 0xffffff;
    if (this.saved.get(slot)?.handle === handle) return this.saved.delete(slot);
    return this.loaded.delete(handle);
  }
}
