/** Dictionary-attack functions. Part 3, section 25; the counting itself is in `lockout-logic.ts`. */
import { TPM_CC, u32 } from '../structures/index.ts';
import { auth, command } from './command.ts';
import { TPMI_RH_LOCKOUT } from './handles.ts';
import { heal } from './lockout-logic.ts';

/** TPM2_DictionaryAttackLockReset. Section 25.2. */
export const DictionaryAttackLockReset = command(
  TPM_CC.DictionaryAttackLockReset,
  { handles: { lockHandle: auth(TPMI_RH_LOCKOUT, 'user') }, nv: true },
  (tpm) => {
    tpm.state.lockout.failedTries = 0;
    tpm.markDurable('lockout');
  },
);

/** TPM2_DictionaryAttackParameters: times in seconds; what time has forgiven by the old ones stays so. Section 25.3. */
export const DictionaryAttackParameters = command(
  TPM_CC.DictionaryAttackParameters,
  {
    handles: { lockHandle: auth(TPMI_RH_LOCKOUT, 'user') },
    params: { newMaxTries: u32, newRecoveryTime: u32, lockoutRecovery: u32 },
    nv: true,
  },
  (tpm, { newMaxTries, newRecoveryTime, lockoutRecovery }) => {
    heal(tpm);
    Object.assign(tpm.state.lockout, { maxTries: newMaxTries, recoveryTime: newRecoveryTime, lockoutRecovery });
    tpm.markDurable('lockout');
  },
);

export const dictionaryAttackCommands = [DictionaryAttackLockReset, DictionaryAttackParameters] as const;
