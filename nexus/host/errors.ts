/** Errors of the host: a code for programs, the cause, and the way out. */
export type HostErrorCode =
  /** The host file is malformed. */
  | 'E_CONFIG'
  /** An image or manifest cannot be used. */
  | 'E_IMAGE'
  | 'E_MANIFEST'
  /** The state directory is held by another process. */
  | 'E_STATE_LOCKED'
  /** The state directory is damaged, or is not one. */
  | 'E_STATE_CORRUPT'
  /** The state directory, or a part of it, is older than the platform TPM knows it to be. */
  | 'E_STATE_ROLLED_BACK'
  /** The root secret does not open to this build of the nexus under this launch policy. */
  | 'E_ROOT_SEALED'
  /** A release statement is not by the key that the platform names, or the platform names none. */
  | 'E_RELEASE_KEY'
  /** A release statement is for another build. */
  | 'E_RELEASE_BUILD'
  /** A release statement's signature is refused by the TPM. */
  | 'E_RELEASE_SIGNATURE'
  /** A release of a later security version has run on this platform. */
  | 'E_RELEASE_ROLLED_BACK'
  /** The platform TPM refused or failed. */
  | 'E_PLATFORM'
  /** The core refused what the host asked for: a defect or a resource exhausted. */
  | 'E_CORE_REFUSED'
  /** No partition of that name. */
  | 'E_NO_PARTITION'
  /** A partition is not in the state that was needed, or is of a kind that never is. */
  | 'E_PARTITION_STATE'
  /** A sealed file does not open here. */
  | 'E_UNSEAL_REFUSED'
  /** There is no platform in the state directory. */
  | 'E_STATE_ABSENT'
  /** No host runs on the state directory. */
  | 'E_NOT_RUNNING'
  /** A running host refused an operator's request. */
  | 'E_HOST_REFUSED'
  /** The machine lacks what the description asks for. */
  | 'E_ENVIRONMENT';

export class HostError extends Error {
  readonly code: HostErrorCode;
  readonly remedy: string;
  constructor(code: HostErrorCode, message: string, remedy: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'HostError';
    this.code = code;
    this.remedy = remedy;
  }
}
