/** Miscellaneous management functions. Part 3, section 26. */
import { TPM_CC, TPML_CC, u32 } from '../structures/index.ts';
import { auth, command } from './command.ts';
import { TPMI_RH_PLATFORM } from './handles.ts';

/** Commands whose need of physical presence may be changed: those that platform authorisation can run. Section 26.2. */
const CHANGEABLE: ReadonlySet<number> = new Set([
  TPM_CC.EvictControl,
  TPM_CC.HierarchyControl,
  TPM_CC.NV_UndefineSpace,
  TPM_CC.NV_UndefineSpaceSpecial,
  TPM_CC.ChangeEPS,
  TPM_CC.ChangePPS,
  TPM_CC.Clear,
  TPM_CC.ClearControl,
  TPM_CC.ClockSet,
  TPM_CC.ClockRateAdjust,
  TPM_CC.CreatePrimary,
  TPM_CC.HierarchyChangeAuth,
  TPM_CC.NV_DefineSpace,
  TPM_CC.NV_GlobalWriteLock,
  TPM_CC.PCR_Allocate,
  TPM_CC.PCR_SetAuthPolicy,
  TPM_CC.SetPrimaryPolicy,
  TPM_CC.SetAlgorithmSet,
  TPM_CC.SetCommandCodeAuditStatus,
]);

/** TPM2_PP_Commands: needs physical presence itself, as its authorisation says; other codes are passed over. Section 26.2. */
export const PP_Commands = command(
  TPM_CC.PP_Commands,
  {
    handles: { auth: auth(TPMI_RH_PLATFORM, 'user') },
    params: { setList: TPML_CC, clearList: TPML_CC },
    nv: true,
  },
  (tpm, { setList, clearList }) => {
    const { ppCommands } = tpm.state;
    for (const code of setList) if (CHANGEABLE.has(code) && tpm.commands.has(code)) ppCommands.add(code);
    for (const code of clearList) ppCommands.delete(code);
    tpm.markDurable('hierarchies');
  },
);

/** TPM2_SetAlgorithmSet: a number that the platform keeps here; algorithms are chosen by profile. Section 26.3. */
export const SetAlgorithmSet = command(
  TPM_CC.SetAlgorithmSet,
  { handles: { authHandle: auth(TPMI_RH_PLATFORM, 'user') }, params: { algorithmSet: u32 }, nv: true },
  (tpm, { algorithmSet }) => {
    tpm.state.algorithmSet = algorithmSet;
    tpm.markDurable('hierarchies');
  },
);

export const managementCommands = [PP_Commands, SetAlgorithmSet] as const;
