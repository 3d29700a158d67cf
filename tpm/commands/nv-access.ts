/** Who may read or write an NV index: part of the authorisation that depends on the index. Part 3, section 31.1. */
import { type NvIndex, nvHas } from '../state/nv.ts';
import { TPM_RC, TPM_RH, TPMA_NV, TpmError } from '../structures/index.ts';

/** The authority may read, the index is not locked, and it has been written where that matters. */
export function requireNvRead(authHandle: number, index: NvIndex): void {
  if (nvHas(index, TPMA_NV.READLOCKED)) throw new TpmError(TPM_RC.NV_LOCKED);
  const allowed =
    authHandle === TPM_RH.OWNER
      ? nvHas(index, TPMA_NV.OWNERREAD)
      : authHandle === TPM_RH.PLATFORM
        ? nvHas(index, TPMA_NV.PPREAD)
        : authHandle === index.handle;
  if (!allowed) throw new TpmError(TPM_RC.NV_AUTHORIZATION);
}
