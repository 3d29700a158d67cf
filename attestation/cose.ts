/**
 * COSE (RFC 9052, RFC 9053) as far as the project's own formats use it: COSE_Sign1 with ES256, COSE_Encrypt0 with
 * A256GCM, COSE_Key for P-256. Objects are tagged, in deterministic CBOR. A second library is the oracle in tests.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createPublicKey,
  type KeyObject,
  randomBytes,
  sign,
  verify,
} from 'node:crypto';
import { type CborValue, decodeCbor, encodeCbor, Tag } from './cbor.ts';
import { remembered } from './key-cache.ts';

/** Header labels (RFC 9052, section 3.1) and our choice of algorithms. */
const HEADER_ALG = 1;
const HEADER_IV = 5;
/** Text label: the signer's COSE_Key in the protected header of a manifest. */
const HEADER_KEY = 'key';
const ES256 = -7;
const A256GCM = 3;
const TAG_ENCRYPT0 = 16;
const TAG_SIGN1 = 18;
const IV_SIZE = 12;
const GCM_TAG_SIZE = 16;

export class CoseError extends Error {
  readonly code = 'E_COSE';
  readonly remedy = 'the object is damaged, or was made for another purpose or key';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CoseError';
  }
}

/** Headers beside the algorithm; all are protected. */
export type Headers = ReadonlyMap<number | string, CborValue>;

/** COSE_Key of an EC P-256 public (or private: its public half) key. RFC 9053, section 7.1.1. */
export function encodeCoseKey(key: KeyObject): Uint8Array {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  const { crv, x, y } = publicKey.export({ format: 'jwk' });
  if (crv !== 'P-256' || x === undefined || y === undefined) throw new CoseError('the key is not EC P-256');
  const coordinate = (text: string) => Uint8Array.from(Buffer.from(text, 'base64url'));
  return encodeCbor(
    new Map<number, CborValue>([
      [1, 2],
      [3, ES256],
      [-1, 1],
      [-2, coordinate(x)],
      [-3, coordinate(y)],
    ]),
  );
}

/** Parse a COSE_Key of EC P-256 for ES256. Throws CoseError; a point off the curve is refused. */
export const decodeCoseKey = remembered((bytes) => {
  const map = asMap(decode(bytes));
  const x = map.get(-2);
  const y = map.get(-3);
  const wellFormed = map.size === 5 && map.get(1) === 2 && map.get(3) === ES256 && map.get(-1) === 1;
  if (!wellFormed || !isBytes(x, 32) || !isBytes(y, 32)) throw new CoseError('not a COSE_Key of EC P-256');
  const coordinate = (value: Uint8Array) => Buffer.from(value).toString('base64url');
  try {
    return createPublicKey({ format: 'jwk', key: { kty: 'EC', crv: 'P-256', x: coordinate(x), y: coordinate(y) } });
  } catch (cause) {
    throw new CoseError('the point is not on the curve', { cause });
  }
});

/** SHA-256 of a key's COSE_Key: how signers and nexus keys are named. */
export function coseKeyDigest(key: KeyObject): Uint8Array {
  return sha256(encodeCoseKey(key));
}

const sha256 = (bytes: Uint8Array): Uint8Array => Uint8Array.from(createHash('sha256').update(bytes).digest());

export interface Signed {
  readonly headers: Headers;
  readonly payload: Uint8Array;
}

/** Sign with ES256: COSE_Sign1 with an attached payload and protected headers only. */
export function signSign1(payload: Uint8Array, key: KeyObject, headers: Headers = new Map()): Uint8Array {
  const protectedHeader = encodeCbor(new Map<number | string, CborValue>([[HEADER_ALG, ES256], ...headers]));
  const signature = sign('sha256', signatureInput(protectedHeader, payload), { key, dsaEncoding: 'ieee-p1363' });
  return encodeCbor(new Tag([protectedHeader, new Map(), payload, Uint8Array.from(signature)], TAG_SIGN1));
}

/** Verify with the given key. Throws CoseError. */
export function verifySign1(bytes: Uint8Array, key: KeyObject): Signed {
  const { signed, protectedHeader, signature } = openSign1(bytes);
  const input = signatureInput(protectedHeader, signed.payload);
  if (!verify('sha256', input, { key, dsaEncoding: 'ieee-p1363' }, signature)) {
    throw new CoseError('the signature does not verify');
  }
  return signed;
}

/** Sign with the signer's own public key in the protected header. */
export function signSign1EmbeddingKey(payload: Uint8Array, key: KeyObject): Uint8Array {
  return signSign1(payload, key, new Map([[HEADER_KEY, encodeCoseKey(key)]]));
}

/** Verify with the key that the object itself carries; `keyDigest` names it. Who trusts it is the caller's affair. */
export function verifySign1WithEmbeddedKey(bytes: Uint8Array): Signed & { readonly keyDigest: Uint8Array } {
  const coseKey = openSign1(bytes).signed.headers.get(HEADER_KEY);
  if (!(coseKey instanceof Uint8Array)) throw new CoseError('no key in the protected header');
  return { ...verifySign1(bytes, decodeCoseKey(coseKey)), keyDigest: sha256(coseKey) };
}

function openSign1(bytes: Uint8Array): { signed: Signed; protectedHeader: Uint8Array; signature: Uint8Array } {
  const [protectedHeader, unprotected, payload, signature] = parts(bytes, TAG_SIGN1, 4);
  if (!(unprotected instanceof Map) || unprotected.size !== 0) throw new CoseError('unprotected headers are not used');
  if (!(payload instanceof Uint8Array)) throw new CoseError('the payload is detached');
  if (!isBytes(signature, 64)) throw new CoseError('not an ES256 signature');
  const headers = protectedHeaders(protectedHeader, ES256);
  return { signed: { headers, payload }, protectedHeader: protectedHeader as Uint8Array, signature };
}

const signatureInput = (protectedHeader: Uint8Array, payload: Uint8Array) =>
  encodeCbor(['Signature1', protectedHeader, new Uint8Array(), payload]);

/** Encrypt with A256GCM under a 32-byte key and a random IV. The headers are authenticated and readable. */
export function encryptEncrypt0(plaintext: Uint8Array, key: Uint8Array, headers: Headers): Uint8Array {
  const iv = randomBytes(IV_SIZE);
  const protectedHeader = encodeCbor(new Map<number | string, CborValue>([[HEADER_ALG, A256GCM], ...headers]));
  const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(encryptionInput(protectedHeader));
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
  const unprotected = new Map([[HEADER_IV, Uint8Array.from(iv)]]);
  return encodeCbor(new Tag([protectedHeader, unprotected, Uint8Array.from(ciphertext)], TAG_ENCRYPT0));
}

/** The protected headers of a COSE_Encrypt0, before the key is known. Not yet authenticated. Throws CoseError. */
export function encrypt0Headers(bytes: Uint8Array): Headers {
  return openEncrypt0(bytes).headers;
}

/** Decrypt. Throws CoseError when the key is another or anything was changed. */
export function decryptEncrypt0(bytes: Uint8Array, key: Uint8Array): { headers: Headers; plaintext: Uint8Array } {
  const { headers, protectedHeader, iv, ciphertext } = openEncrypt0(bytes);
  const end = ciphertext.length - GCM_TAG_SIZE;
  const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: GCM_TAG_SIZE })
    .setAAD(encryptionInput(protectedHeader))
    .setAuthTag(ciphertext.subarray(end));
  try {
    return {
      headers,
      plaintext: Uint8Array.from(Buffer.concat([decipher.update(ciphertext.subarray(0, end)), decipher.final()])),
    };
  } catch {
    throw new CoseError('the object does not open with this key');
  }
}

function openEncrypt0(bytes: Uint8Array) {
  const [protectedHeader, unprotected, ciphertext] = parts(bytes, TAG_ENCRYPT0, 3);
  const headers = protectedHeaders(protectedHeader, A256GCM);
  const iv = unprotected instanceof Map && unprotected.size === 1 ? unprotected.get(HEADER_IV) : undefined;
  if (!isBytes(iv, IV_SIZE)) throw new CoseError('no initialisation vector');
  if (!(ciphertext instanceof Uint8Array) || ciphertext.length < GCM_TAG_SIZE) throw new CoseError('no ciphertext');
  return { headers, protectedHeader: protectedHeader as Uint8Array, iv, ciphertext };
}

const encryptionInput = (protectedHeader: Uint8Array) => encodeCbor(['Encrypt0', protectedHeader, new Uint8Array()]);

function parts(bytes: Uint8Array, tag: number, count: number): unknown[] {
  const value = decode(bytes);
  if (!(value instanceof Tag) || value.tag !== tag || !Array.isArray(value.value) || value.value.length !== count) {
    throw new CoseError(tag === TAG_SIGN1 ? 'not a COSE_Sign1' : 'not a COSE_Encrypt0');
  }
  return value.value;
}

function protectedHeaders(bytes: unknown, algorithm: number): Headers {
  if (!(bytes instanceof Uint8Array)) throw new CoseError('no protected header');
  const headers = asMap(decode(bytes));
  if (headers.get(HEADER_ALG) !== algorithm) throw new CoseError('another algorithm than the one used here');
  return headers;
}

function decode(bytes: Uint8Array): unknown {
  try {
    return decodeCbor(bytes);
  } catch (cause) {
    throw new CoseError(cause instanceof Error ? cause.message : 'not CBOR', { cause });
  }
}

function asMap(value: unknown): ReadonlyMap<number | string, CborValue> {
  if (value instanceof Map) return value as ReadonlyMap<number | string, CborValue>;
  throw new CoseError('not a map');
}

const isBytes = (value: unknown, length: number): value is Uint8Array =>
  value instanceof Uint8Array && value.length === length;
