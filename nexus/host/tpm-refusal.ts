/** What the platform TPM refused. */
import { baseCode, TpmResponseError } from '../../tpm/index.ts';

/** Whether `error` is the TPM's refusal with `code` (TPM_RC without a number), by `command` where one is named. */
export const isRefusal = (error: unknown, code: number, command?: string): error is TpmResponseError =>
  error instanceof TpmResponseError &&
  (command === undefined || error.command === command) &&
  baseCode(error.code) === code;
