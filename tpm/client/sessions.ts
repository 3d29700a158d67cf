/** Client side of authorisation: passwords, HMAC and policy sessions. Part 1, section 19. */
import { concat, equalSecret } from '../crypto/bytes.ts';
import type { CryptoProvider } from '../crypto/provider.ts';
import {
  DIGEST_SIZE,
  TPM_ALG,
  TPM_RH,
  TPMA_SESSION,
  type TPMI_ALG_HASH,
  type TPMT_SYM_DEF,
} from '../structures/index.ts';

/** A session that a client holds. Make one with `TpmClient.startSession`. */
export interface ClientSession {
  readonly handle: number;
  readonly type: 'hmac' | 'policy' | 'trial';
  readonly authHash: TPMI_ALG_HASH;
  readonly symmetric: TPMT_SYM_DEF;
  readonly sessionKey: Uint8Array;
  nonceTPM: Uint8Array;
  nonceCaller: Uint8Array;
  /** The entity it is bound to, whose authorisation value is then in the session key already; until it audits. */
  boundName: Uint8Array | undefined;
  /** TPMA_SESSION for the next command. */
  attributes: number;
  /** After PolicyAuthValue: the entity's value is part of the HMAC key. After PolicyPassword: it is sent in clear. */
  policyAuth: 'none' | 'hmac' | 'password';
}

/** One authorisation of a command: a password, or a session with the entity's authorisation value. */
export interface Authorization {
  readonly session?: ClientSession | undefined;
  /** The entity's authorisation value; empty when left out. */
  readonly authValue?: Uint8Array | undefined;
}

const EMPTY = new Uint8Array(0);

/** The HMAC of the response does not fit: what answered is not the TPM that the session was made with. */
export class SessionError extends Error {
  override readonly name = 'SessionError';
}

export const trim = (value: Uint8Array): Uint8Array => {
  let end = value.length;
  while (end > 0 && value[end - 1] === 0) end--;
  return value.subarray(0, end);
};

/** The key of a session's HMAC for an entity. */
function hmacKey(session: ClientSession, authValue: Uint8Array, name: Uint8Array | undefined): Uint8Array {
  if (name === undefined) return session.sessionKey;
  if (session.type !== 'hmac' && session.policyAuth !== 'hmac') return session.sessionKey;
  const bound = session.type === 'hmac' && session.boundName !== undefined && equalSecret(session.boundName, name);
  return bound ? session.sessionKey : concat(session.sessionKey, trim(authValue));
}

/** The bytes of one authorisation in a command. `name` is the entity's, undefined for a session that authorises none. */
export function commandAuthorization(
  crypto: CryptoProvider,
  { session, authValue = EMPTY }: Authorization,
  cpHash: (alg: number) => Uint8Array,
  name: Uint8Array | undefined,
  extraNonces: readonly Uint8Array[],
): Uint8Array {
  if (session === undefined) return field(TPM_RH.PW, EMPTY, TPMA_SESSION.continueSession, authValue);
  let hmac = EMPTY as Uint8Array;
  if (session.policyAuth === 'password') hmac = authValue;
  else {
    const key = hmacKey(session, authValue, name);
    if (session.type === 'hmac' || key.length > 0)
      hmac = crypto.hmac(
        session.authHash,
        key,
        cpHash(session.authHash),
        session.nonceCaller,
        session.nonceTPM,
        ...extraNonces,
        Uint8Array.of(session.attributes),
      );
  }
  return field(session.handle, session.nonceCaller, session.attributes, hmac);
}

function field(handle: number, nonce: Uint8Array, attributes: number, hmac: Uint8Array): Uint8Array {
  return concat(
    Uint8Array.of(handle >>> 24, handle >>> 16, handle >>> 8, handle, nonce.length >> 8, nonce.length),
    nonce,
    Uint8Array.of(attributes, hmac.length >> 8, hmac.length),
    hmac,
  );
}

/** Check one authorisation of a response and take over its nonce. */
export function checkResponse(
  crypto: CryptoProvider,
  { session, authValue = EMPTY }: Authorization,
  rpHash: (alg: number) => Uint8Array,
  name: Uint8Array | undefined,
  answer: { attributes: number; hmac: Uint8Array },
): void {
  if (session === undefined) return;
  const key = hmacKey(session, authValue, name);
  if (session.policyAuth === 'password' || (session.type !== 'hmac' && key.length === 0)) {
    if (answer.hmac.length !== 0) throw new SessionError('The response carries an HMAC that nobody asked for.');
    return;
  }
  const expected = crypto.hmac(
    session.authHash,
    key,
    rpHash(session.authHash),
    session.nonceTPM,
    session.nonceCaller,
    Uint8Array.of(answer.attributes),
  );
  if (!equalSecret(expected, answer.hmac))
    throw new SessionError(
      'The HMAC of the response is wrong: the authorisation value or the TPM is not the right one.',
    );
}

/** AES-128-CFB, what most TPMs and clients use for parameter encryption. */
export const AES_128_CFB: TPMT_SYM_DEF = { algorithm: TPM_ALG.AES, keyBits: 128, mode: TPM_ALG.CFB };

export const nonceSize = (authHash: TPMI_ALG_HASH): number => DIGEST_SIZE[authHash]!; // every hash has a size
