/** The verifier's tables as Kysely sees them. `migrations.ts` creates them; nothing else writes DDL. */
import type { ColumnType, Generated, JSONColumnType } from 'kysely';

/** `bytea`: a Buffer from `pg`, a Uint8Array from PGlite. */
type Bytes = Uint8Array;
/** `timestamptz`. */
type Time = ColumnType<Date, Date, Date>;
type MaybeTime = ColumnType<Date | null, Date | null | undefined, Date | null>;

export interface TokenTable {
  id: string;
  tenant: string;
  name: string;
  roles: JSONColumnType<string[]>;
  secret_hash: Bytes;
  created_at: Time;
  expires_at: MaybeTime;
  revoked_at: MaybeTime;
}

/** A platform that proved that its AK and its EK live in one TPM. */
export interface PlatformTable {
  tenant: string;
  id: string;
  /** SHA-256 of `ek_public`: one record per certified key in a tenant, whatever it calls itself. */
  ek_digest: Bytes;
  /** TPMT_PUBLIC of the certified key: the EK, or the IAK of a platform that enrolled by it (without `ek_certificate`). */
  ek_public: Bytes;
  ek_certificate: Bytes;
  /** TPMT_PUBLIC of the attestation key, and its TPM name. */
  ak_public: Bytes;
  ak_name: Bytes;
  /** Reference values this platform is appraised against; null means the tenant's `default`. */
  reference: string | null;
  enrolled_at: Time;
  revoked_at: MaybeTime;
}

/** An enrolment that waits for its proof of possession. */
export interface PendingEnrolmentTable {
  id: string;
  tenant: string;
  platform: string;
  ek_public: Bytes;
  ek_certificate: Bytes;
  ak_public: Bytes;
  ak_name: Bytes;
  secret_hash: Bytes;
  expires_at: Time;
}

export interface ChallengeTable {
  id: string;
  tenant: string;
  nonce: Bytes;
  /** What the challenge may be spent on: our own API, or a session of a front door. */
  purpose: string;
  expires_at: Time;
}

/** A session of a compatible front door: one nonce, one submission of evidence, one result. */
export interface SessionTable {
  id: string;
  tenant: string;
  door: 'veraison' | 'kbs';
  nonce: Bytes;
  status: 'waiting' | 'processing' | 'complete' | 'failed';
  /** The signed result, when complete. */
  result: string | null;
  /** What the door remembers: the media type of the evidence, the key of the TEE. */
  detail: JSONColumnType<object>;
  expires_at: Time;
}

export interface ReferenceTable {
  tenant: string;
  name: string;
  version: number;
  body: JSONColumnType<object>;
  created_by: string;
  created_at: Time;
  revoked_at: MaybeTime;
}

/** Who may sign CoRIM for a tenant. */
export interface EndorserTable {
  tenant: string;
  name: string;
  /** Base64 of SubjectPublicKeyInfo, and of certificates that those in a CoRIM must lead to; DER. */
  keys: JSONColumnType<string[]>;
  anchors: JSONColumnType<string[]>;
  created_by: string;
  created_at: Time;
}

/** A CoRIM that was provisioned. */
export interface EndorsementTable {
  tenant: string;
  /** SHA-256 of the document, hexadecimal: one record, however often it is sent. */
  id: string;
  /** Who signed it; null where nobody did. */
  endorser: string | null;
  corim: Bytes;
  created_by: string;
  created_at: Time;
  revoked_at: MaybeTime;
  revoked_because: string | null;
}

/** Goes up with every change of a tenant's endorsers and endorsements, so that a replica knows that it must read them. */
export interface EndorsementRevisionTable {
  tenant: string;
  revision: number;
}

export interface ResourceTable {
  tenant: string;
  name: string;
  version: number;
  media_type: string;
  /** Release policy: which attested partitions may have it. */
  policy: JSONColumnType<object>;
  one_time: boolean;
  lease_seconds: number;
  /** Envelope: a data key wrapped by the key-encryption key, and the content under the data key. */
  wrapped_key: Bytes;
  ciphertext: Bytes;
  created_at: Time;
  revoked_at: MaybeTime;
}

export interface LeaseTable {
  id: string;
  tenant: string;
  resource: string;
  version: number;
  platform: string;
  code_identity: Bytes | null;
  /** SHA-256 of the key the resource was encrypted to. */
  key_digest: Bytes;
  granted_at: Time;
  expires_at: Time;
  revoked_at: MaybeTime;
}

export interface SigningKeyTable {
  kid: string;
  public_jwk: JSONColumnType<object>;
  /** PKCS #8 under the key-encryption key. */
  wrapped_private: Bytes;
  created_at: Time;
  /** From when on it signs no more; it stays published until `expires_at`. */
  retired_at: MaybeTime;
  expires_at: MaybeTime;
}

/** One row per entry of the hash chain; `seq` starts at 1 and has no gaps. */
export interface AuditTable {
  seq: number;
  at: Time;
  tenant: string;
  actor: string;
  action: string;
  subject: string;
  detail: JSONColumnType<object>;
  previous: Bytes;
  hash: Bytes;
}

/** The chain's head; its one row is the lock that orders writers of all replicas. */
export interface AuditHeadTable {
  id: number;
  seq: number;
  hash: Bytes;
}

/** The latest verdict on a platform. */
export interface VerdictTable {
  tenant: string;
  platform: string;
  state: string;
  failed: JSONColumnType<string[]>;
  /** resetCount, restartCount and clock of the last good quote, for the next appraisal. */
  clock: JSONColumnType<object> | null;
  at: Time;
  expires_at: Time;
  changed_at: Time;
}

/** A change of a platform's state, in the order in which they were committed. */
export interface EventTable {
  id: Generated<number>;
  tenant: string;
  platform: string;
  before: string;
  state: string;
  failed: JSONColumnType<string[]>;
  at: Time;
}

export interface WebhookTable {
  id: string;
  tenant: string;
  url: string;
  wrapped_secret: Bytes;
  /** Id of the last event that was delivered. */
  delivered: number;
  /** Failed attempts at the next one. */
  attempts: number;
  next_attempt_at: Time;
  created_at: Time;
}

/** A platform whose agent is polled. */
export interface PollTable {
  tenant: string;
  platform: string;
  url: string;
  /** The agent's bearer token under the key-encryption key. */
  wrapped_token: Bytes | null;
  every_seconds: number;
  /** Failed attempts in a row. */
  failures: number;
  last_error: string | null;
  next_at: Time;
}

export interface SettingTable {
  name: string;
  value: JSONColumnType<object>;
}

export interface Schema {
  token: TokenTable;
  platform: PlatformTable;
  pending_enrolment: PendingEnrolmentTable;
  challenge: ChallengeTable;
  session: SessionTable;
  reference: ReferenceTable;
  endorser: EndorserTable;
  endorsement: EndorsementTable;
  endorsement_revision: EndorsementRevisionTable;
  resource: ResourceTable;
  lease: LeaseTable;
  signing_key: SigningKeyTable;
  audit: AuditTable;
  audit_head: AuditHeadTable;
  verdict: VerdictTable;
  event: EventTable;
  webhook: WebhookTable;
  poll: PollTable;
  setting: SettingTable;
}
