/**
 * The two faces of a TPM, and nothing else: what a platform drives (`TpmDevice`) and what a client talks through
 * (`TpmTransport`). Transports, register models and hosts depend on these, not on the implementation.
 */

/** Locality 0-4, as in the TCG PC Client Platform TPM Profile, section 6.2. Locality 4 belongs to the late launch. */
export type Locality = 0 | 1 | 2 | 3 | 4;

/** A TPM as its platform sees it: power, the `_TPM_*` indications, and commands at a locality. */
export interface TpmDevice {
  /** `_TPM_Init`: volatile state is lost; the next command must be TPM2_Startup. */
  powerOn(): void;
  /** Power is cut. No command is served until `powerOn`. What was acknowledged is already durable. */
  powerOff(): void;
  /**
   * Execute one command buffer and return the response buffer. Never throws for the bytes it is given: every fault is
   * a TPM response code. Resolves only when what the response promises is durable. Commands run in call order.
   */
  execute(command: Uint8Array, locality?: Locality): Promise<Uint8Array>;
  /** `_TPM_Hash_Start`, `_TPM_Hash_Data`, `_TPM_Hash_End` (Part 1, section 34.3): the dynamic root of trust. */
  hashStart(): void;
  hashData(data: Uint8Array): void;
  hashEnd(): void;
  /** Ask the running command to stop with TPM_RC_CANCELED where it can. */
  cancel(): void;
  /** tpmEstablished, set by `hashStart` (TIS register ACCESS.tpmEstablishment is its inverse). */
  readonly established: boolean;
  /** Clear tpmEstablished; allowed to localities 3 and 4. False when refused. */
  resetEstablished(locality: Locality): boolean;
  /** Flush and release the state. */
  close(): Promise<void>;
}

/** A way to a TPM for a client: ours in process, a socket, or a device file. */
export interface TpmTransport {
  /** Send one command buffer, receive its response buffer. Throws `TpmTransportError` when the way itself fails. */
  send(command: Uint8Array, locality?: Locality): Promise<Uint8Array>;
  close(): Promise<void>;
}
