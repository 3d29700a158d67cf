/** Command audit. Part 3, section 21; Part 1, section 31.3. */
import { TPM_ALG, TPM_CC, TPM_RC, TPMI_ALG_HASH_OR_NULL, TPML_CC, TpmError } from '../structures/index.ts';
import { auth, command } from './command.ts';
import { TPMI_RH_PROVISION } from './handles.ts';

/** TPM2_SetCommandCodeAuditStatus: which commands are audited, or with which hash. Part 3, section 21.2. */
export const SetCommandCodeAuditStatus = command(
  TPM_CC.SetCommandCodeAuditStatus,
  {
    handles: { auth: auth(TPMI_RH_PROVISION, 'user') },
    params: { auditAlg: TPMI_ALG_HASH_OR_NULL, setList: TPML_CC, clearList: TPML_CC },
    nv: true,
  },
  (tpm, { auditAlg, setList, clearList }) => {
    const { commandAudit } = tpm.state;
    if (auditAlg !== TPM_ALG.NULL && auditAlg !== commandAudit.alg) {
      // A change of the algorithm is audited by itself: not together with a change of the lists.
      if (setList.length > 0 || clearList.length > 0) throw new TpmError(TPM_RC.VALUE, 'auditAlg');
      commandAudit.alg = auditAlg;
      commandAudit.digest = new Uint8Array(0);
    }
    const implemented = setList.filter((code) => tpm.commands.has(code) && code !== TPM_CC.Shutdown);
    for (const code of implemented) commandAudit.commands.add(code);
    for (const code of clearList) if (code !== TPM_CC.SetCommandCodeAuditStatus) commandAudit.commands.delete(code);
    tpm.markDurable('audit');
  },
);

export const auditCommands = [SetCommandCodeAuditStatus];
