/** What fails on the way to a TPM. What the TPM itself refuses is a response code, never one of these. */

export type TpmTransportCode =
  | 'E_TRANSPORT_CONNECT'
  | 'E_TRANSPORT_CLOSED'
  | 'E_TRANSPORT_PROTOCOL'
  | 'E_TRANSPORT_LOCALITY'
  | 'E_TRANSPORT_ADDRESS';

/** A fault of the way to a TPM: `code` is stable, `remedy` is what to do about it, `cause` the system's error. */
export class TpmTransportError extends Error {
  readonly code: TpmTransportCode;
  readonly remedy: string;
  constructor(code: TpmTransportCode, message: string, remedy: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'TpmTransportError';
    this.code = code;
    this.remedy = remedy;
  }
}
