/** What manufacture refuses or cannot do. */

export type ManufactureCode = 'E_STATE_MANUFACTURED' | 'E_STATE_CA' | 'E_TPM_RESPONSE';

export class ManufactureError extends Error {
  readonly code: ManufactureCode;
  readonly remedy: string;
  constructor(code: ManufactureCode, message: string, remedy: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'ManufactureError';
    this.code = code;
    this.remedy = remedy;
  }
}
