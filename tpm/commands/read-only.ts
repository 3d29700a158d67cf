/**
 * Read-only mode: the platform forbids what writes non-volatile memory, or makes keys, until it allows it or the TPM
 * restarts. Revision 1.84: Part 1, section 45; Part 3, section 24.9.
 */
import { type NvIndex, nvHas } from '../state/nv.ts';
import { TPM_CC, TPM_RC, TPMA_NV, TPMI_YES_NO, TpmError } from '../structures/index.ts';
import { auth, command } from './command.ts';
import type { Context } from './context.ts';
import { TPMI_RH_PLATFORM } from './handles.ts';

/** TPM2_ReadOnlyControl. */
export const ReadOnlyControl = command(
  TPM_CC.ReadOnlyControl,
  { handles: { authHandle: auth(TPMI_RH_PLATFORM, 'user') }, params: { state: TPMI_YES_NO }, nv: true },
  (tpm, { state: on }) => {
    tpm.state.readOnly = on;
  },
);

/** Commands that the mode forbids whatever they are about: TPM_RC_READ_ONLY. */
export const NOT_IN_READ_ONLY: ReadonlySet<number> = new Set([
  TPM_CC.NV_UndefineSpaceSpecial,
  TPM_CC.EvictControl,
  TPM_CC.HierarchyControl,
  TPM_CC.NV_UndefineSpace,
  TPM_CC.ChangeEPS,
  TPM_CC.ChangePPS,
  TPM_CC.Clear,
  TPM_CC.ClearControl,
  TPM_CC.ClockSet,
  TPM_CC.HierarchyChangeAuth,
  TPM_CC.NV_DefineSpace,
  TPM_CC.NV_DefineSpace2,
  TPM_CC.PCR_Allocate,
  TPM_CC.PCR_SetAuthPolicy,
  TPM_CC.PCR_SetAuthValue,
  TPM_CC.PP_Commands,
  TPM_CC.SetPrimaryPolicy,
  TPM_CC.ClockRateAdjust,
  TPM_CC.CreatePrimary,
  TPM_CC.NV_GlobalWriteLock,
  TPM_CC.NV_Increment,
  TPM_CC.NV_ChangeAuth,
  TPM_CC.DictionaryAttackParameters,
  TPM_CC.SetAlgorithmSet,
  TPM_CC.SetCommandCodeAuditStatus,
  TPM_CC.ObjectChangeAuth,
  TPM_CC.Create,
  TPM_CC.CreateLoaded,
]);

/** That the mode allows a change of an index: one that lives in memory, until the next start-up. TPM_RC_READ_ONLY. */
export function requireWritableNow({ state }: Context, index: NvIndex): void {
  const passing = nvHas(index, TPMA_NV.ORDERLY) && nvHas(index, TPMA_NV.CLEAR_STCLEAR);
  if (state.readOnly && !passing) throw new TpmError(TPM_RC.READ_ONLY);
}

export const readOnlyCommands = [ReadOnlyControl] as const;
