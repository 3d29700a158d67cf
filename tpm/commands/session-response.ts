/** The authorisation area of a response, and what a command leaves behind in its sessions. Part 1, sections 18.5 and 31. */
import { resetPolicy, type Session } from '../state/sessions.ts';
import { TPMA_SESSION, type Writer } from '../structures/index.ts';
import type { AnyCommand } from './command.ts';
import type { Context, UsedSession } from './context.ts';
import { cryptParameter, hmacKey, parameterKey, rpHash } from './session-crypto.ts';

const EMPTY = new Uint8Array(0);

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
    const silent = session.policy.passwordNeeded || (key.length === 0 && used.authorization.length === 0);
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
