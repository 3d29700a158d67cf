/** Whether what a policy session asserts holds for a command. Part 1, section 19.7.7. */
import { equal, u32be } from '../crypto/bytes.ts';
import { nvHas } from '../state/nv.ts';
import type { Session } from '../state/sessions.ts';
import { TPM_CC, TPM_RC, TPMA_NV, TpmError } from '../structures/index.ts';
import type { AnyCommand, Role } from './command.ts';
import type { Context } from './context.ts';
import { entityName, entityPolicy } from './handles.ts';
import { cpHash } from './session-crypto.ts';

/** Whether what the policy session asserts holds for this command. Part 1, section 19.7.7. */
export function checkPolicy(
  context: Context,
  command: AnyCommand,
  handles: readonly number[],
  parameters: Uint8Array,
  session: Session,
  handle: number,
  role: Role,
): void {
  const { policy } = session;
  const { state } = context;
  if (policy.pcrCounter !== undefined && policy.pcrCounter !== state.pcr.updateCounter)
    throw new TpmError(TPM_RC.PCR_CHANGED);
  const expected = entityPolicy(state, handle);
  if (expected.alg !== session.authHash || !equal(expected.digest, policy.digest))
    throw new TpmError(TPM_RC.POLICY_FAIL);
  if (policy.physicalPresence && !context.physicalPresence) throw new TpmError(TPM_RC.PP);
  if (policy.timeout !== 0n && context.clock.time > policy.timeout) throw new TpmError(TPM_RC.EXPIRED);
  if (policy.commandCode !== undefined) {
    if (policy.commandCode !== command.code) throw new TpmError(TPM_RC.POLICY_CC);
  } else if (role !== 'user') {
    throw new TpmError(TPM_RC.POLICY_FAIL);
  }
  if (!localityMatches(policy.locality, context.locality)) throw new TpmError(TPM_RC.LOCALITY);
  if (policy.cpHash !== undefined) {
    if (!equal(policy.cpHash, cpHash(context, session.authHash, command.code, handles, parameters)))
      throw new TpmError(TPM_RC.POLICY_FAIL);
  }
  if (policy.nameHash !== undefined) {
    const names = handles.map((each) => entityName(state, each));
    if (!equal(policy.nameHash, context.crypto.hash(session.authHash, ...names)))
      throw new TpmError(TPM_RC.POLICY_FAIL);
  }
  if (policy.parametersHash !== undefined) {
    if (!equal(policy.parametersHash, context.crypto.hash(session.authHash, u32be(command.code), parameters)))
      throw new TpmError(TPM_RC.POLICY_FAIL);
  }
  if (policy.templateHash !== undefined) {
    const template = CREATIONS.has(command.code) ? secondBuffer(parameters) : undefined;
    if (template === undefined || !equal(policy.templateHash, context.crypto.hash(session.authHash, template)))
      throw new TpmError(TPM_RC.POLICY_FAIL);
  }
  if (policy.nvWritten !== undefined) {
    const index = state.nv.get(handle);
    if (index === undefined || nvHas(index, TPMA_NV.WRITTEN) !== policy.nvWritten)
      throw new TpmError(TPM_RC.POLICY_FAIL);
  }
}

const CREATIONS: ReadonlySet<number> = new Set([TPM_CC.Create, TPM_CC.CreatePrimary, TPM_CC.CreateLoaded]);

/** The content of the second of two TPM2B: `inPublic` after `inSensitive`, which may be encrypted. */
function secondBuffer(parameters: Uint8Array): Uint8Array | undefined {
  const sizeAt = (at: number): number => ((parameters[at] ?? 0) << 8) | (parameters[at + 1] ?? 0);
  const second = 2 + sizeAt(0);
  const end = second + 2 + sizeAt(second);
  return end <= parameters.length ? parameters.subarray(second + 2, end) : undefined;
}

/** TPMA_LOCALITY against a locality. Part 2, section 8.5. */
function localityMatches(allowed: number, locality: number): boolean {
  if (allowed === 0) return true;
  return allowed < 32 ? locality < 5 && (allowed & (1 << locality)) !== 0 : allowed === locality;
}
