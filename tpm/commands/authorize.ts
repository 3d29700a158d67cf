/** Whether a command's sessions authorise it: roles, passwords, HMACs. Part 1, section 19; Part 3, section 5. */
import { equalSecret } from '../crypto/bytes.ts';
import { isPin, kindOf, nvHas, pinOf, setPinCount } from '../state/nv.ts';
import { has } from '../state/objects.ts';
import type { Session } from '../state/sessions.ts';
import { atSession, TPM_CC, TPM_NT, TPM_RC, TPM_RH, TPMA_NV, TPMA_OBJECT, TpmError } from '../structures/index.ts';
import { trimAuth } from './auth-value.ts';
import type { AnyCommand, Role } from './command.ts';
import { type Context, nvRecord, type UsedSession } from './context.ts';
import { entityAuth, entityPolicy, hasPolicy, isDaExempt, isNvHandle, isObjectHandle } from './handles.ts';
import { checkLockout, registerFailure } from './lockout-logic.ts';
import { checkPolicy } from './policy-check.ts';
import { commandHmac } from './session-crypto.ts';

const NV_READS: ReadonlySet<number> = new Set([TPM_CC.NV_Read, TPM_CC.NV_ReadLock, TPM_CC.NV_Certify, TPM_CC.PolicyNV]);
const NV_WRITES: ReadonlySet<number> = new Set([
  TPM_CC.NV_Write,
  TPM_CC.NV_Increment,
  TPM_CC.NV_Extend,
  TPM_CC.NV_SetBits,
  TPM_CC.NV_WriteLock,
]);

/** Check every session of the command, in order. Throws with the session's number. */
export function checkSessions(
  context: Context,
  command: AnyCommand,
  handles: readonly number[],
  parameters: Uint8Array,
): void {
  const { sessions } = context;
  if (sessions.length < command.authCount) throw new TpmError(TPM_RC.AUTH_MISSING);
  if (handles[0] === TPM_RH.PLATFORM && needsPresence(context, command.code) && !context.physicalPresence)
    throw new TpmError(atSession(TPM_RC.PP, 1));
  for (let i = 0; i < sessions.length; i++) {
    try {
      checkSession(context, command, handles, parameters, sessions[i]!, i);
    } catch (error) {
      if (error instanceof TpmError) throw new TpmError(atSession(error.code, i + 1));
      throw error;
    }
  }
}

/** PP_Commands itself always does. Part 1, section 19.2.4; Part 3, section 26.2. */
const needsPresence = (context: Context, code: number): boolean =>
  code === TPM_CC.PP_Commands || context.state.ppCommands.has(code);

function checkSession(
  context: Context,
  command: AnyCommand,
  handles: readonly number[],
  parameters: Uint8Array,
  used: UsedSession,
  index: number,
): void {
  const { state } = context;
  const { handle, session } = used;
  if (handle !== undefined) {
    const role = command.handleList[index]!.role!; // an associated handle has a role
    const guessable = session === undefined || session.type === 'hmac' || needsAuthValue(session);
    if (guessable && !isDaExempt(state, handle)) checkLockout(context, handle);
    if (session?.type === 'policy') {
      if (!policyAvailable(context, command.code, handle)) throw new TpmError(TPM_RC.AUTH_UNAVAILABLE);
    } else {
      if (requiresPolicy(context, role, handle)) throw new TpmError(TPM_RC.AUTH_TYPE);
      if (!authValueAvailable(context, command.code, role, handle)) throw new TpmError(TPM_RC.AUTH_UNAVAILABLE);
    }
    if (session?.type === 'policy') checkPolicy(context, command, handles, parameters, session, handle, role);
  }
  const good =
    session === undefined || session.policy.passwordNeeded
      ? equalSecret(trimAuth(used.authorization), entityAuth(state, handle!))
      : equalSecret(used.authorization, commandHmac(context, command, handles, parameters, used, index));
  if (good) {
    const guessed = session === undefined || session.type === 'hmac' || needsAuthValue(session);
    if (handle !== undefined && guessed) pinPassed(context, handle);
    return;
  }
  throw new TpmError(authFailure(context, used));
}

const needsAuthValue = (session: Session): boolean => session.policy.authValueNeeded || session.policy.passwordNeeded;

/** Record a wrong guess; TPM_RC_AUTH_FAIL where guesses count, TPM_RC_BAD_AUTH where they do not. */
function authFailure(context: Context, used: UsedSession): number {
  const { handle, session } = used;
  if (handle !== undefined && isNvHandle(handle)) {
    const index = context.state.nv.get(handle);
    if (index !== undefined && kindOf(index) === TPM_NT.PIN_FAIL && nvHas(index, TPMA_NV.WRITTEN)) {
      setPinCount(index, pinOf(index).pinCount + 1);
      context.markDurable(nvRecord(handle));
    }
  }
  const target = handle ?? session?.bound?.handle;
  if (target === undefined) return TPM_RC.BAD_AUTH;
  if (
    session?.bound !== undefined &&
    target !== session.bound.handle &&
    !isDaExempt(context.state, session.bound.handle)
  ) {
    registerFailure(context, session.bound.handle);
    return TPM_RC.AUTH_FAIL;
  }
  if (isDaExempt(context.state, target)) return TPM_RC.BAD_AUTH;
  registerFailure(context, target);
  return TPM_RC.AUTH_FAIL;
}

/** A right authorisation value of a PIN index: one use of PIN pass, and PIN fail counts from zero. Part 1, section 37.2.8. */
function pinPassed(context: Context, handle: number): void {
  if (!isNvHandle(handle)) return;
  const index = context.state.nv.get(handle);
  if (index === undefined || !isPin(index) || !nvHas(index, TPMA_NV.WRITTEN)) return;
  const { pinCount } = pinOf(index);
  if (kindOf(index) === TPM_NT.PIN_FAIL) {
    if (pinCount === 0) return;
    setPinCount(index, 0);
  } else {
    setPinCount(index, pinCount + 1);
  }
  context.markDurable(nvRecord(handle));
}

function requiresPolicy(context: Context, role: Role, handle: number): boolean {
  if (role === 'dup') return true;
  if (role !== 'admin') return false;
  if (isObjectHandle(handle)) {
    const object = context.state.objects.get(handle);
    return object?.kind === 'object' && has(object, TPMA_OBJECT.adminWithPolicy);
  }
  return isNvHandle(handle);
}

function authValueAvailable(context: Context, code: number, role: Role, handle: number): boolean {
  if (isObjectHandle(handle)) {
    const object = context.state.objects.get(handle);
    if (object?.kind !== 'object') return true;
    if (object.sensitive === undefined) return role === 'admin';
    return role === 'admin' || has(object, TPMA_OBJECT.userWithAuth);
  }
  if (!isNvHandle(handle)) return true;
  const index = context.state.nv.get(handle)!; // resolved before
  if (isPin(index)) {
    if (!nvHas(index, TPMA_NV.WRITTEN)) return false;
    const { pinCount, pinLimit } = pinOf(index);
    if (pinCount >= pinLimit) return false;
  }
  if (NV_WRITES.has(code)) return nvHas(index, TPMA_NV.AUTHWRITE);
  if (NV_READS.has(code)) return nvHas(index, TPMA_NV.AUTHREAD);
  return true;
}

function policyAvailable(context: Context, code: number, handle: number): boolean {
  if (!hasPolicy(entityPolicy(context.state, handle))) return false;
  if (!isNvHandle(handle)) return true;
  const index = context.state.nv.get(handle)!; // resolved before
  if (NV_WRITES.has(code)) return nvHas(index, TPMA_NV.POLICYWRITE);
  if (NV_READS.has(code)) return nvHas(index, TPMA_NV.POLICYREAD);
  return true;
}
