/**
 * Deterministic CBOR (RFC 8949, section 4.2.1) over cbor-x: the one form in which the project writes CBOR, and the only
 * one it accepts for its own formats. Decoding re-encodes and compares, so duplicate keys, indefinite lengths, foreign
 * tags and non-shortest integers are all refused by one rule.
 */
import { Encoder, Tag } from 'cbor-x';
import { sameBytes } from './bytes.ts';

export { Tag };

export class CborError extends Error {
  readonly code = 'E_CBOR';
  readonly remedy = 'send deterministic CBOR (RFC 8949, section 4.2.1)';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CborError';
  }
}

/** Deeper nesting than any of our formats has. */
const DEPTH_MAX = 16;

/** useRecords off: cbor-x's own record tags are neither written nor understood. */
const codec = new Encoder({ useRecords: false, mapsAsObjects: false, tagUint8Array: false, variableMapSize: true });

/** What CBOR carries here. Decoded maps are `Map`; plain objects may be given to encode. */
export type CborValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Tag
  | readonly CborValue[]
  | ReadonlyMap<number | string, CborValue>
  | { readonly [key: string]: CborValue };

/** Encode, map keys in bytewise order of their encodings. */
export function encodeCbor(value: CborValue): Uint8Array {
  return Uint8Array.from(codec.encode(ordered(value, 0)));
}

/** Decode exactly one item in deterministic form. Throws CborError. */
export function decodeCbor(bytes: Uint8Array): unknown {
  let again: Uint8Array;
  let value: unknown;
  try {
    value = codec.decode(bytes);
    again = codec.encode(ordered(value as CborValue, 0));
  } catch (cause) {
    throw new CborError('the bytes are not CBOR', { cause });
  }
  if (!sameBytes(again, bytes)) throw new CborError('the CBOR is not in deterministic form');
  return value;
}

/** The same value with every map in deterministic order. */
function ordered(value: CborValue, depth: number): unknown {
  if (depth > DEPTH_MAX) throw new CborError(`nested more than ${DEPTH_MAX} deep`);
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return value;
  if (value instanceof Tag) return new Tag(ordered(value.value as CborValue, depth + 1), value.tag);
  if (Array.isArray(value)) return value.map((item: CborValue) => ordered(item, depth + 1));
  const entries = value instanceof Map ? [...(value as Map<number | string, CborValue>)] : Object.entries(value);
  const keyed = entries.map(([key, item]) => ({
    encoded: Uint8Array.from(codec.encode(key)),
    entry: [key, ordered(item, depth + 1)] as const,
  }));
  keyed.sort((a, b) => compare(a.encoded, b.encoded));
  return new Map(keyed.map(({ entry }) => entry));
}

function compare(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
