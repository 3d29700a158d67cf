/** The authorisation area of a command as it is read: what can be said of each session by itself. Part 1, section 18.4. */
import {
  atSession,
  MAX_DIGEST_SIZE,
  type Reader,
  TPM_ALG,
  TPM_RC,
  TPM_RH,
  TPMA_SESSION,
  TpmError,
} from '../structures/index.ts';
import type { AnyCommand } from './command.ts';
import type { Context, UsedSession } from './context.ts';
import { isSessionHandle } from './handles.ts';

const MAX_SESSIONS = 3;
/** Handle, empty nonce, attributes, empty HMAC: the least an authorisation can be. */
const MIN_AUTHORIZATION = 9;

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
