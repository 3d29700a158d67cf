/** The authorisation area: sessions, roles, passwords, HMACs, policies. Part 1, section 19; Part 3, section 5. */
import { concat, equal, equalSecret, u32be } from '../crypto/bytes.ts';
import { KDFa } from '../crypto/kdf.ts';
import { isPin, kindOf, nvHas, pinOf, setPinCount } from '../state/nv.ts';
import { has } from '../state/objects.ts';
import { emptyPolicy, type Session } from '../state/sessions.ts';
import {
  atSession,
  MAX_DIGEST_SIZE,
  type Reader,
  TPM_ALG,
  TPM_CC,
  TPM_NT,
  TPM_RC,
  TPM_RH,
  TPMA_NV,
  TPMA_OBJECT,
  TPMA_SESSION,
  TpmError,
  type Writer,
} from '../structures/index.ts';
import type { AnyCommand, Role } from './command.ts';
import { type Context, nvRecord, type UsedSession } from './context.ts';
import {
  entityAuth,
  entityName,
  entityPolicy,
  hasPolicy,
  isDaExempt,
  isNvHandle,
  isObjectHandle,
  isSessionHandle,
} from './handles.ts';
import { checkLockout, registerFailure } from './lockout-logic.ts';

const EMPTY = new Uint8Array(0);
const MAX_SESSIONS = 3;
/** Handle, empty nonce, attributes, empty HMAC: the least an authorisation can be. */
const MIN_AUTHORIZATION = 9;

const NV_READS: ReadonlySet<number> = new Set([TPM_CC.NV_Read, TPM_CC.NV_ReadLock, TPM_CC.NV_Certify, TPM_CC.PolicyNV]);
const NV_WRITES: ReadonlySet<number> = new Set([
  TPM_CC.NV_Write,
  TPM_CC.NV_Increment,
  TPM_CC.NV_Extend,
  TPM_CC.NV_SetBits,
  TPM_CC.NV_WriteLock,
]);

/** Read the authorisation area. Checks what can be said of each session by itself. */
export function readSessions(
  context: Context,
  command: AnyCommand,
  handles: readonly number[],
  r: Reader,
): UsedSession[] {
  const size = r.u32();
  if (size < MIN_AUTHORIZATION || size > r.remaining) throw new TpmError(TPM_RC.AUTHSIZE);
  const end = r.pos + size;
  const outerEnd = r.end;
  r.end = end;
  const sessions: UsedSession[] = [];
  while (r.pos < end) {
    if (sessions.length === MAX_SESSIONS) throw new TpmError(TPM_RC.AUTHSIZE);
    const number = sessions.length + 1;
    try {
      sessions.push(readSession(context, command, handles, sessions, r));
    } catch (error) {
      if (error instanceof TpmError) throw new TpmError(atSession(error.code, number));
      throw error;
    }
  }
  r.end = outerEnd;
  return sessions;
}

function readSession(
  context: Context,
  command: AnyCommand,
  handles: readonly number[],
  earlier: readonly UsedSession[],
  r: Reader,
): UsedSession {
  const sessionHandle = r.u32();
  if (sessionHandle !== TPM_RH.PW && !isSessionHandle(sessionHandle)) throw new TpmError(TPM_RC.HANDLE);
  const nonceCaller = shortBuffer(r);
  const attributes = TPMA_SESSION.read(r);
  const authorization = shortBuffer(r);
  const handle = earlier.length < command.authCount ? handles[earlier.length] : undefined;
  if (sessionHandle === TPM_RH.PW) {
    if (handle === undefined) throw new TpmError(TPM_RC.HANDLE);
    if ((attributes & ~TPMA_SESSION.continueSession) !== 0) throw new TpmError(TPM_RC.ATTRIBUTES);
    if (nonceCaller.length !== 0) throw new TpmError(TPM_RC.NONCE);
    return { session: undefined, nonceCaller, attributes, authorization, handle };
  }
  const session = context.state.sessions.loaded.get(sessionHandle);
  if (session === undefined) throw new TpmError(TPM_RC.REFERENCE_S0 + earlier.length);
  if (earlier.some((used) => used.session === session)) throw new TpmError(TPM_RC.HANDLE);
  const wants = (bit: number): boolean => (attributes & bit) !== 0;
  if (handle !== undefined) {
    if (session.type === 'trial') throw new TpmError(TPM_RC.ATTRIBUTES);
  } else if (!wants(TPMA_SESSION.decrypt | TPMA_SESSION.encrypt | TPMA_SESSION.audit)) {
    throw new TpmError(TPM_RC.HANDLE);
  }
  if (wants(TPMA_SESSION.decrypt)) {
    if (!command.decryptable || earlier.some((used) => (used.attributes & TPMA_SESSION.decrypt) !== 0))
      throw new TpmError(TPM_RC.ATTRIBUTES);
    if (session.symmetric.algorithm === TPM_ALG.NULL) throw new TpmError(TPM_RC.SYMMETRIC);
  }
  if (wants(TPMA_SESSION.encrypt)) {
    if (!command.encryptable || earlier.some((used) => (used.attributes & TPMA_SESSION.encrypt) !== 0))
      throw new TpmError(TPM_RC.ATTRIBUTES);
    if (session.symmetric.algorithm === TPM_ALG.NULL) throw new TpmError(TPM_RC.SYMMETRIC);
  }
  if (wants(TPMA_SESSION.audit)) {
    if (session.type !== 'hmac' || earlier.some((used) => (used.attributes & TPMA_SESSION.audit) !== 0))
      throw new TpmError(TPM_RC.ATTRIBUTES);
    if (wants(TPMA_SESSION.auditExclusive) && session.audit !== undefined && !wants(TPMA_SESSION.auditReset)) {
      if (context.state.sessions.exclusive !== session.handle) throw new TpmError(TPM_RC.EXCLUSIVE);
    }
  } else if (wants(TPMA_SESSION.auditExclusive | TPMA_SESSION.auditReset)) {
    throw new TpmError(TPM_RC.ATTRIBUTES);
  }
  return { session, nonceCaller, attributes, authorization, handle };
}

function shortBuffer(r: Reader): Uint8Array {
  const size = r.u16();
  if (size > MAX_DIGEST_SIZE) throw new TpmError(TPM_RC.SIZE);
  return r.bytes(size);
}

/** H(commandCode || names || parameters). */
export function cpHash(
  context: Context,
  alg: number,
  code: number,
  handles: readonly number[],
  parameters: Uint8Array,
): Uint8Array {
  const names = handles.map((handle) => entityName(context.state, handle));
  return context.crypto.hash(alg, u32be(code), ...names, parameters);
}

/** H(responseCode || commandCode || parameters). */
export function rpHash(context: Context, alg: number, code: number, parameters: Uint8Array): Uint8Array {
  return context.crypto.hash(alg, u32be(TPM_RC.SUCCESS), u32be(code), parameters);
}

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

/** An authorisation value without its trailing zeros. Part 1, section 19.6.5. */
export function trimAuth(value: Uint8Array): Uint8Array {
  let end = value.length;
  while (end > 0 && value[end - 1] === 0) end--;
  return value.subarray(0, end);
}

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

/** Whether what the policy session asserts holds for this command. Part 1, section 19.7.7. */
function checkPolicy(
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
export function localityMatches(allowed: number, locality: number): boolean {
  if (allowed === 0) return true;
  return allowed < 32 ? locality < 5 && (allowed & (1 << locality)) !== 0 : allowed === locality;
}

/** sessionKey, and the authorisation value where it is part of the HMAC key. Part 1, section 19.6.5. */
function hmacKey(context: Context, used: UsedSession): Uint8Array {
  const session = used.session!; // passwords have no HMAC
  const { handle } = used;
  if (handle === undefined) return session.sessionKey;
  if (session.type === 'policy' && !session.policy.authValueNeeded) return session.sessionKey;
  const authValue = usedAuth(context, used, handle);
  const { bound } = session;
  used.bound ??=
    session.type === 'hmac' &&
    bound !== undefined &&
    equal(bound.name, entityName(context.state, handle)) &&
    equalSecret(bound.authValue, authValue);
  return used.bound ? session.sessionKey : concat(session.sessionKey, authValue);
}

/** The authorisation value of what a session authorises; of a sequence, the one it had when the command came. */
function usedAuth({ state }: Context, used: UsedSession, handle: number): Uint8Array {
  if (used.sequenceAuth === undefined && isObjectHandle(handle) && state.objects.get(handle)?.kind === 'sequence')
    used.sequenceAuth = entityAuth(state, handle).slice();
  return used.sequenceAuth ?? entityAuth(state, handle);
}

function commandHmac(
  context: Context,
  command: AnyCommand,
  handles: readonly number[],
  parameters: Uint8Array,
  used: UsedSession,
  index: number,
): Uint8Array {
  const session = used.session!; // passwords have no HMAC
  const key = hmacKey(context, used);
  if (key.length === 0 && session.type !== 'hmac' && used.authorization.length === 0) return EMPTY;
  const extra: Uint8Array[] = [];
  if (index === 0) {
    const decrypt = context.sessions.find((other) => (other.attributes & TPMA_SESSION.decrypt) !== 0);
    const encrypt = context.sessions.find((other) => (other.attributes & TPMA_SESSION.encrypt) !== 0);
    if (decrypt?.session !== undefined && decrypt !== used) extra.push(decrypt.session.nonceTPM);
    if (encrypt?.session !== undefined && encrypt !== used && encrypt !== decrypt) extra.push(encrypt.session.nonceTPM);
  }
  return context.crypto.hmac(
    session.authHash,
    key,
    cpHash(context, session.authHash, command.code, handles, parameters),
    used.nonceCaller,
    session.nonceTPM,
    ...extra,
    Uint8Array.of(used.attributes),
  );
}

/** The key of parameter encryption: sessionKey, and the authorisation value of what the session authorises. */
function parameterKey(context: Context, used: UsedSession): Uint8Array {
  const session = used.session!; // only sessions encrypt
  return used.handle === undefined
    ? session.sessionKey
    : concat(session.sessionKey, usedAuth(context, used, used.handle));
}

/** CFB or XOR over a first parameter. Part 1, section 21. */
export function cryptParameter(
  context: Pick<Context, 'crypto'>,
  session: Pick<Session, 'authHash' | 'symmetric'>,
  encrypt: boolean,
  key: Uint8Array,
  nonceNewer: Uint8Array,
  nonceOlder: Uint8Array,
  data: Uint8Array,
): Uint8Array {
  const { symmetric, authHash } = session;
  if (symmetric.algorithm === TPM_ALG.XOR) {
    const mask = KDFa(context.crypto, symmetric.keyBits, key, 'XOR', nonceNewer, nonceOlder, data.length * 8);
    return data.map((byte, i) => byte ^ mask[i]!);
  }
  if (symmetric.algorithm === TPM_ALG.NULL) return data;
  const keySize = symmetric.keyBits / 8;
  const material = KDFa(context.crypto, authHash, key, 'CFB', nonceNewer, nonceOlder, symmetric.keyBits + 128);
  return context.crypto.aes('cfb', encrypt, material.subarray(0, keySize), material.subarray(keySize), data);
}

/** Decrypt the first parameter in place, if a session says so. */
export function decryptParameter(context: Context, parameters: Uint8Array): void {
  const used = context.sessions.find(({ attributes }) => (attributes & TPMA_SESSION.decrypt) !== 0);
  if (used?.session === undefined) return;
  if (parameters.length < 2) throw new TpmError(TPM_RC.INSUFFICIENT);
  const size = (parameters[0]! << 8) | parameters[1]!;
  if (size > parameters.length - 2) throw new TpmError(TPM_RC.SIZE);
  const data = parameters.subarray(2, 2 + size);
  const { session, nonceCaller } = used;
  data.set(cryptParameter(context, session, false, parameterKey(context, used), nonceCaller, session.nonceTPM, data));
}

/** Roll nonces, encrypt the first response parameter in place, and write the response's authorisation area. */
export function writeResponseSessions(
  context: Context,
  command: AnyCommand,
  parameters: Uint8Array,
  w: Writer,
  auditCpHash: (alg: number) => Uint8Array,
): void {
  const { crypto, sessions, state } = context;
  for (const used of sessions) {
    const { session } = used;
    if (session !== undefined) session.nonceTPM = context.random.bytes(session.nonceTPM.length);
  }
  const encrypting = sessions.find(({ attributes }) => (attributes & TPMA_SESSION.encrypt) !== 0);
  if (encrypting?.session !== undefined) {
    const size = (parameters[0]! << 8) | parameters[1]!;
    const data = parameters.subarray(2, 2 + size);
    const { session, nonceCaller } = encrypting;
    data.set(
      cryptParameter(context, session, true, parameterKey(context, encrypting), session.nonceTPM, nonceCaller, data),
    );
  }
  for (const used of sessions) updateAudit(context, command, used, parameters, auditCpHash);
  for (const used of sessions) {
    const { session, attributes } = used;
    if (session === undefined) {
      w.u16(0);
      w.u8(attributes | TPMA_SESSION.continueSession);
      w.u16(0);
      continue;
    }
    let answered = attributes;
    if ((attributes & TPMA_SESSION.audit) !== 0) {
      answered &= ~TPMA_SESSION.auditExclusive;
      if (state.sessions.exclusive === session.handle) answered |= TPMA_SESSION.auditExclusive;
    }
    w.u16(session.nonceTPM.length);
    w.bytes(session.nonceTPM);
    w.u8(answered);
    const key = hmacKey(context, used);
    const silent =
      session.policy.passwordNeeded || (session.type !== 'hmac' && key.length === 0 && used.authorization.length === 0);
    const hmac = silent
      ? EMPTY
      : crypto.hmac(
          session.authHash,
          key,
          rpHash(context, session.authHash, command.code, parameters),
          session.nonceTPM,
          used.nonceCaller,
          Uint8Array.of(answered),
        );
    w.u16(hmac.length);
    w.bytes(hmac);
    used.sequenceAuth?.fill(0);
    settleSession(context, session, used);
  }
}

function settleSession(context: Context, session: Session, used: UsedSession): void {
  if ((used.attributes & TPMA_SESSION.continueSession) === 0) {
    context.state.sessions.flush(session.handle);
  } else if (session.type === 'policy' && used.handle !== undefined) {
    resetPolicy(session);
  }
}

/** Forget what a policy session has asserted. */
export function resetPolicy(session: Session): void {
  session.policy = emptyPolicy(session.policy.digest.length);
}

function updateAudit(
  context: Context,
  command: AnyCommand,
  used: UsedSession,
  parameters: Uint8Array,
  auditCpHash: (alg: number) => Uint8Array,
): void {
  const { session, attributes } = used;
  if (session === undefined || (attributes & TPMA_SESSION.audit) === 0) return;
  if (session.audit === undefined || (attributes & TPMA_SESSION.auditReset) !== 0) {
    session.audit = { digest: new Uint8Array(session.policy.digest.length) };
    // A session that audits is bound no longer, as in the reference code of Part 4.
    session.bound = undefined;
    context.state.sessions.exclusive = session.handle;
  }
  session.audit.digest = context.crypto.hash(
    session.authHash,
    session.audit.digest,
    auditCpHash(session.authHash),
    rpHash(context, session.authHash, command.code, parameters),
  );
}
