/** What sessions compute: hashes of commands and responses, HMACs, parameter encryption. Part 1, sections 18 to 21. */
import { concat, equal, equalSecret, u32be } from '../crypto/bytes.ts';
import { KDFa } from '../crypto/kdf.ts';
import type { Session } from '../state/sessions.ts';
import { TPM_ALG, TPM_RC, TPMA_SESSION, TpmError } from '../structures/index.ts';
import type { AnyCommand } from './command.ts';
import type { Context, UsedSession } from './context.ts';
import { entityAuth, entityName, isObjectHandle } from './handles.ts';

const EMPTY = new Uint8Array(0);

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

/** sessionKey, and the authorisation value where it is part of the HMAC key. Part 1, section 19.6.5. */
export function hmacKey(context: Context, used: UsedSession): Uint8Array {
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

/** The HMAC that a command must carry for a session; with an empty key, none will do. Part 1, section 19.6.3. */
export function commandHmac(
  context: Context,
  command: AnyCommand,
  handles: readonly number[],
  parameters: Uint8Array,
  used: UsedSession,
  index: number,
): Uint8Array {
  const session = used.session!; // passwords have no HMAC
  const key = hmacKey(context, used);
  if (key.length === 0 && used.authorization.length === 0) return EMPTY;
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
export function parameterKey(context: Context, used: UsedSession): Uint8Array {
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
