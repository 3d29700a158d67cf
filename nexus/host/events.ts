/** What a host tells its observer: plain data (bytes as hexadecimal), so that it crosses processes and becomes JSON. */

/** The platform is up: measured, late-launched, its root secret open. */
export interface PlatformEvent {
  readonly kind: 'platform';
  /** SHA-256 bank, by PCR index. */
  readonly pcrs: Readonly<Record<number, string>>;
  /** The same registers, computed from the event log. */
  readonly replayed: Readonly<Record<number, string>>;
  readonly events: number;
  /** True when this start manufactured the TPM: seeds, endorsement key and its certificate. */
  readonly manufactured: boolean;
  /** The TPM's own count of boots of this platform, this one included. */
  readonly boots: number;
  /** SHA-256 of the endorsement key certificate. */
  readonly ekCertificate: string;
  /** True when this start made the root secret; false when it was unsealed. */
  readonly rootSecretCreated: boolean;
  /** Security version of the release statement that this start sealed the root secret anew by; absent: none was needed. */
  readonly release?: number;
  /** SHA-256 of the nexus attestation key (COSE_Key). */
  readonly nexusKey: string;
}

/** The verifier knows the platform: its AK is proved to live beside a certified EK. */
export interface EnrolledEvent {
  readonly kind: 'enrolled';
  /** The name that the verifier gave. */
  readonly platform: string;
  readonly verifier: string;
}

/** The verifier does not know the platform yet, because it is away or said no; it is asked again until it does. */
export interface VerifierAwayEvent {
  readonly kind: 'verifier-away';
  readonly verifier: string;
  /** Of its refusal; `unreachable` where it does not answer. */
  readonly code: string;
  readonly detail: string;
}

/** A partition runs. */
export interface PartitionEvent {
  readonly kind: 'partition';
  readonly name: string;
  readonly id: number;
  readonly type: 'trusted' | 'standard';
  readonly memoryBytes: number;
  readonly populatedFrames: number;
  readonly engine: string;
  /** Trusted partitions only. */
  readonly measurement?: string;
  readonly codeIdentity?: string;
  readonly signer?: string;
  readonly svn?: number;
}

/** Text of a partition's serial console, in whole lines. */
export interface ConsoleEvent {
  readonly kind: 'console';
  readonly name: string;
  readonly line: string;
}

/** A guest's own result line (RELAY.RESULT). */
export interface ResultEvent {
  readonly kind: 'result';
  readonly name: string;
  readonly line: string;
}

/** A durable change that was acknowledged to a guest. */
export interface DurableEvent {
  readonly kind: 'durable';
  readonly name: string;
  readonly what: 'blob' | 'counter';
  /** Name of the blob and its SHA-256, or counter index and value. */
  readonly detail: string;
}

/** Evidence was produced for a guest; hexadecimal CBOR. */
export interface EvidenceEvent {
  readonly kind: 'evidence';
  readonly name: string;
  readonly evidence: string;
}

/** The verifier answered: an attestation result, or a refusal with its code. */
export interface VerdictEvent {
  readonly kind: 'verdict';
  readonly name: string;
  readonly released: boolean;
  /** The EAR (JWT) of an affirming verdict. */
  readonly ear?: string;
  readonly code?: string;
  readonly detail?: string;
  /** Names of the checks and conditions that failed. */
  readonly failed?: readonly string[];
}

/** A call of a guest was refused. The first thousand of a partition are told. */
export interface RefusalEvent {
  readonly kind: 'refusal';
  readonly name: string;
  /** core: the nexus core; services: the nexus services. */
  readonly layer: 'core' | 'services';
  readonly call: string;
  readonly code: string;
}

/** A partition has ended. */
export interface ExitEvent {
  readonly kind: 'exit';
  readonly name: string;
  readonly crashed: boolean;
  readonly reason: string;
  readonly hypercalls: number;
  readonly refusals: number;
}

/** A partition waits to be restored from a snapshot: saved just now, or before this host was started. */
export interface SuspendedEvent {
  readonly kind: 'suspended';
  readonly name: string;
}

/** Everything is started, and the operator's requests are answered. */
export interface ReadyEvent {
  readonly kind: 'ready';
}

export type HostEvent =
  | PlatformEvent
  | EnrolledEvent
  | VerifierAwayEvent
  | PartitionEvent
  | ConsoleEvent
  | ResultEvent
  | DurableEvent
  | EvidenceEvent
  | VerdictEvent
  | RefusalEvent
  | ExitEvent
  | SuspendedEvent
  | ReadyEvent;

export type HostObserver = (event: HostEvent) => void;
