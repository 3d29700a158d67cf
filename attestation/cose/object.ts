/** What COSE objects (RFC 9052) have in common: headers, the error, and how the bytes are read. */
import { type CborValue, decodeCbor, encodeCbor, Tag } from '../cbor.ts';
import { readCbor } from '../corim/read-cbor.ts';

/** Header labels. RFC 9052, section 3.1. */
export const HEADER = { algorithm: 1, critical: 2, contentType: 3, keyId: 4, iv: 5 } as const;
export const TAG_ENCRYPT0 = 16;
export const TAG_SIGN1 = 18;

export class CoseError extends Error {
  readonly code = 'E_COSE';
  readonly remedy = 'the object is damaged, or was made for another purpose or key';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CoseError';
  }
}

/** Headers beside the algorithm; of our own objects all are protected. */
export type Headers = ReadonlyMap<number | string, CborValue>;

/** Protected headers as they are signed: ours, with the algorithm. */
export const protect = (algorithm: number, headers: Headers): Uint8Array =>
  encodeCbor(new Map<number | string, CborValue>([[HEADER.algorithm, algorithm], ...headers]));

/** Decode by the rules of our own formats (`strict`: deterministic CBOR) or of everyone's. Throws CoseError. */
export function decodeItem(bytes: Uint8Array, strict: boolean): unknown {
  try {
    return strict ? decodeCbor(bytes) : readCbor(bytes);
  } catch (cause) {
    throw new CoseError(cause instanceof Error ? cause.message : 'not CBOR', { cause });
  }
}

/** The members of a tagged COSE object; of others' objects the tag may be absent. Throws CoseError. */
export function parts(bytes: Uint8Array, tag: number, count: number, strict: boolean): readonly unknown[] {
  const value = decodeItem(bytes, strict);
  const members = value instanceof Tag && value.tag === tag ? value.value : strict ? undefined : value;
  if (!Array.isArray(members) || members.length !== count) {
    throw new CoseError(tag === TAG_SIGN1 ? 'not a COSE_Sign1' : 'not a COSE_Encrypt0');
  }
  return members;
}

/** Protected headers, decoded; others may write none as an empty string. Throws CoseError. */
export function protectedHeaders(bytes: unknown, strict: boolean): Headers {
  if (!(bytes instanceof Uint8Array)) throw new CoseError('no protected header');
  return bytes.length === 0 && !strict ? new Map() : asMap(decodeItem(bytes, strict));
}

export function asMap(value: unknown): Headers {
  if (value instanceof Map) return value as Headers;
  throw new CoseError('not a map');
}

export const isBytes = (value: unknown, length: number): value is Uint8Array =>
  value instanceof Uint8Array && value.length === length;
