/** What the service asks of an evidence format: open it at the border, then appraise it. */
import type { ProvisionedManifest } from '../machine/manifests.ts';

/** Outcome of one named check. */
export interface CheckResult {
  readonly name: string;
  readonly passed: boolean;
  readonly detail?: string;
}

export interface AppraisalContext {
  readonly nonce: Uint8Array;
  /** TPMT_PUBLIC of the enrolled attestation key. */
  readonly akPublic: Uint8Array;
  /** The endorsement key's certificate as it was enrolled, DER; undefined where nobody enrolled one. */
  readonly ekCertificate?: Uint8Array | undefined;
  /** Reference values in force; undefined when none are stored, which no appraisal may take for agreement. */
  readonly reference: object | undefined;
  /** CoRIM of the tenant, for reference values that choose some: the same array as long as nothing of it changes. */
  readonly provisioned?: readonly ProvisionedManifest[];
  /** What the last good quote said of the TPM's clock, as `Appraised.clock`. */
  readonly clock: object | null;
  readonly now: Date;
}

/** The partition that the evidence attests, digests in lower-case hexadecimal. */
export interface AttestedPartition {
  readonly codeIdentity: string;
  readonly signer: string;
  readonly svn: number;
  readonly debug: boolean;
  /** 64 bytes of the guest's own. */
  readonly userData: Uint8Array;
}

/** AR4SI trustworthiness vector (draft-ietf-rats-ar4si): claim names to values -128..127. */
export type TrustVector = Readonly<Record<string, number>>;

export interface AppraisedModule {
  readonly status: string;
  readonly vector: TrustVector;
}

export interface Appraised {
  /** `affirming`, `warning`, `expired`, `revoked` or `contraindicated`. */
  readonly state: string;
  readonly checks: readonly CheckResult[];
  /** Submodules of the result: `platform`, and `partition` where one was attested. */
  readonly modules: Readonly<Record<string, AppraisedModule>>;
  readonly partition?: AttestedPartition | undefined;
  /** Names that its manufacturer certified of the device which quoted: kind to name. */
  readonly device?: Readonly<Record<string, string>>;
  readonly clock?: object | undefined;
}

export interface OpenedEvidence {
  /** TPM name of the attestation key that the evidence says it is signed with. */
  readonly akName: Uint8Array;
  /** Fails closed: never throws for what the evidence holds. */
  appraise(context: AppraisalContext): Appraised;
}

/** How much of a list that grows (IMA's) a machine has shown: in which boot, and how many entries. */
export interface ListPosition {
  readonly resetCount: number;
  readonly entries: number;
}

export interface EvidenceFormat {
  readonly mediaType: string;
  /**
   * How the evidence binds a key that resources are released to: in the user data of the attested partition (the
   * default), or in the nonce that was quoted, which is then `boundNonce(key, nonce)`.
   */
  readonly keyBinding?: 'user-data' | 'nonce';
  /** Throws for bytes that are not this format. */
  open(bytes: Uint8Array): OpenedEvidence;
  /** Where a `clock` of this format says that the list stands. */
  readonly listPosition?: (clock: object) => ListPosition | undefined;
  /** Throws for a document that is not reference values for this format. */
  parseReference(body: unknown): unknown;
}
