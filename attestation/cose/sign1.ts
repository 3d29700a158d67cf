/**
 * COSE_Sign1, read and verified. Our own objects are deterministic CBOR with protected headers only, and anything else in
 * their place is refused; objects of others may be written in any way that RFC 9052 allows.
 */
import { encodeCbor } from '../cbor.ts';
import { type PublicKey, verification } from '../crypto/port.ts';
import { schemeFor } from './algorithms.ts';
import { decodeCoseKey, keyDigest } from './key.ts';
import { asMap, CoseError, HEADER, type Headers, parts, protectedHeaders, TAG_SIGN1 } from './object.ts';

/** Text label: the signer's COSE_Key in the protected header of a manifest. */
export const HEADER_KEY = 'key';

export interface Signed {
  /** Protected headers, the algorithm among them. */
  readonly headers: Headers;
  readonly payload: Uint8Array;
}

interface Opened extends Signed {
  readonly protectedHeader: Uint8Array;
  readonly signature: Uint8Array;
}

/** Verify one of our own objects with the given key, by the algorithm of that key's kind. Throws CoseError. */
export function verifySign1(bytes: Uint8Array, key: PublicKey): Signed {
  return verifyOpened(openSign1(bytes), key);
}

/** Verify with the key that the object itself carries; `keyDigest` names it. Who trusts it is the caller's affair. */
export function verifySign1WithEmbeddedKey(bytes: Uint8Array): Signed & { readonly keyDigest: Uint8Array } {
  const opened = openSign1(bytes);
  const coseKey = opened.headers.get(HEADER_KEY);
  if (!(coseKey instanceof Uint8Array)) throw new CoseError('no key in the protected header');
  return { ...verifyOpened(opened, decodeCoseKey(coseKey)), keyDigest: keyDigest(coseKey) };
}

function openSign1(bytes: Uint8Array): Opened {
  const [protectedHeader, unprotected, payload, signature] = parts(bytes, TAG_SIGN1, 4, true);
  if (!(unprotected instanceof Map) || unprotected.size !== 0) throw new CoseError('unprotected headers are not used');
  if (!(payload instanceof Uint8Array)) throw new CoseError('the payload is detached');
  if (!(signature instanceof Uint8Array)) throw new CoseError('no signature');
  const headers = protectedHeaders(protectedHeader, true);
  return { headers, payload, protectedHeader: protectedHeader as Uint8Array, signature }; // protectedHeaders saw bytes
}

/** A COSE_Sign1 as anyone may write it, not verified. */
export interface ForeignSign1 {
  readonly headers: Headers;
  /** Nobody's word: not signed. */
  readonly unprotected: Headers;
  /** Undefined where it travels beside the object. */
  readonly payload: Uint8Array | undefined;
  readonly protectedHeader: Uint8Array;
  readonly signature: Uint8Array;
}

/** Labels whose meaning is honoured here, and which may therefore be marked critical. */
const UNDERSTOOD = new Set<unknown>([HEADER.algorithm, HEADER.contentType, HEADER.keyId]);

/** Read a COSE_Sign1 of others, with or without its tag. Throws CoseError; for critical headers not known here too. */
export function readForeignSign1(bytes: Uint8Array, understood: readonly (number | string)[] = []): ForeignSign1 {
  const [protectedHeader, unprotected, payload, signature] = parts(bytes, TAG_SIGN1, 4, false);
  if (payload !== null && !(payload instanceof Uint8Array)) throw new CoseError('a payload that is not bytes');
  if (!(signature instanceof Uint8Array)) throw new CoseError('no signature');
  const headers = protectedHeaders(protectedHeader, false);
  const critical: unknown = headers.get(HEADER.critical) ?? [];
  const honoured = (label: unknown) =>
    headers.has(label as number) && (UNDERSTOOD.has(label) || understood.includes(label as number));
  if (!Array.isArray(critical) || !critical.every(honoured)) throw new CoseError('critical headers not known here');
  return {
    headers,
    unprotected: asMap(unprotected),
    payload: payload ?? undefined,
    protectedHeader: protectedHeader as Uint8Array, // protectedHeaders saw bytes
    signature,
  };
}

export interface ForeignOptions {
  /** Data that is signed and travels elsewhere. Default none. */
  readonly external?: Uint8Array;
  /** The payload, where the object is without. */
  readonly detached?: Uint8Array;
}

/** Verify a COSE_Sign1 of others: the algorithm stands in the protected header, and is the key's. Throws CoseError. */
export function verifyForeignSign1(object: ForeignSign1, key: PublicKey, options: ForeignOptions = {}): Signed {
  const payload = object.payload ?? options.detached;
  if (payload === undefined) throw new CoseError('the payload is detached');
  return verifyOpened({ ...object, payload }, key, options.external);
}

function verifyOpened(opened: Opened, key: PublicKey, external?: Uint8Array): Signed {
  const { headers, payload, protectedHeader, signature } = opened;
  const scheme = schemeFor(headers.get(HEADER.algorithm), key);
  const input = signatureInput(protectedHeader, payload, external);
  if (!verification().verify(scheme, input, signature, key)) throw new CoseError('the signature does not verify');
  return { headers, payload };
}

/** Sig_structure. RFC 9052, section 4.4. */
export const signatureInput = (
  protectedHeader: Uint8Array,
  payload: Uint8Array,
  external: Uint8Array = new Uint8Array(),
): Uint8Array => encodeCbor(['Signature1', protectedHeader, external, payload]);
