/** TPM2_PolicyCapability. Part 3, section 23.24 (revision 1.83). */
import { concat, u16be, u32be } from '../crypto/bytes.ts';
import {
  encode,
  TPM_CC,
  TPM_EO_OPERATION,
  TPM_RC,
  TPM2B_OPERAND,
  TPMS_CAPABILITY_DATA,
  TpmError,
  u16,
  u32,
} from '../structures/index.ts';
import { answer } from './capability.ts';
import { command } from './command.ts';
import { TPMI_SH_POLICY } from './handles.ts';
import { compare, extendPolicy } from './policy-logic.ts';

/** Capability and count precede the one element that is compared. */
const ELEMENT_AT = 8;

/** TPM2_PolicyCapability: a capability's value compares with the operand as asked. */
export const PolicyCapability = command(
  TPM_CC.PolicyCapability,
  {
    handles: { policySession: TPMI_SH_POLICY },
    params: { operandB: TPM2B_OPERAND, offset: u16, operation: TPM_EO_OPERATION, capability: u32, property: u32 },
  },
  (tpm, { policySession: session, operandB, offset, operation, capability, property }) => {
    if (session.type !== 'trial') {
      const { data } = answer(tpm, capability, property, 1);
      const value = encode(TPMS_CAPABILITY_DATA, { capability, data } as TPMS_CAPABILITY_DATA).subarray(ELEMENT_AT); // data follows the capability
      if (offset > value.length) throw new TpmError(TPM_RC.VALUE, 'offset');
      if (offset + operandB.length > value.length) throw new TpmError(TPM_RC.SIZE, 'operandB');
      if (!compare(value.subarray(offset, offset + operandB.length), operandB, operation))
        throw new TpmError(TPM_RC.POLICY);
    }
    const args = concat(operandB, u16be(offset), u16be(operation), u32be(capability), u32be(property));
    extendPolicy(tpm, session, u32be(TPM_CC.PolicyCapability), tpm.crypto.hash(session.authHash, args));
  },
);

export const policyCapabilityCommands = [PolicyCapability];
