/**
 * Deterministic CBOR (RFC 8949, section 4.2.1): the one form in which the project writes CBOR, and the only one it
 * accepts for its own formats. cbor-x writes it. It is read here, in one pass that refuses each other form where it
 * stands (indefinite lengths, integers that are not the shortest, keys out of order or twice): cbor-x reads them all, so
 * that what it read would have to be written again and compared, at three times the cost for every attestation.
 */
import { Encoder, Tag } from 'cbor-x';
import { latin1, sameBytes } from './bytes.ts';

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

/**
 * Decode exactly one item in deterministic form: integers below 2^32 are numbers and those above bigints, byte strings
 * views of the input, maps `Map`, tags `Tag`. Throws CborError.
 */
export function decodeCbor(bytes: Uint8Array): unknown {
  const reader = new Reader(bytes);
  const value = reader.item(0);
  if (reader.at !== bytes.length) throw new CborError(`${bytes.length - reader.at} bytes follow the item`);
  return value;
}

const MAJOR = { unsigned: 0, negative: 1, bytes: 2, text: 3, array: 4, map: 5, tag: 6, simple: 7 } as const;
/** Initial bytes of major type 7. */
const SIMPLE = new Map<number, boolean | null>([
  [0xf4, false],
  [0xf5, true],
  [0xf6, null],
]);
const FLOAT64 = 0xfb;
/** By their additional information 24 to 27: octets of the argument, and the least value that needs as many. */
const ARGUMENTS = [
  { size: 1, least: 24 },
  { size: 2, least: 2 ** 8 },
  { size: 4, least: 2 ** 16 },
] as const;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

class Reader {
  readonly #bytes: Uint8Array;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  item(depth: number): unknown {
    if (depth > DEPTH_MAX) throw new CborError(`nested more than ${DEPTH_MAX} deep`);
    const initial = this.#octet();
    const major = initial >> 5;
    if (major === MAJOR.simple) return this.#simple(initial);
    const argument = this.#argument(initial & 0x1f);
    if (major === MAJOR.unsigned) return argument;
    if (major === MAJOR.negative) return typeof argument === 'bigint' ? -1n - argument : -1 - argument;
    if (typeof argument === 'bigint') throw new CborError('a length that no input has');
    if (major === MAJOR.bytes) return this.#take(argument);
    if (major === MAJOR.text) return this.#text(argument);
    if (major === MAJOR.tag) return new Tag(this.item(depth + 1), argument);
    // An item has an octet at least, so a count that the rest cannot hold is refused before anything is made for it.
    if (argument > this.#bytes.length - this.at) throw new CborError('a count that the input cannot hold');
    return major === MAJOR.array ? this.#array(argument, depth + 1) : this.#map(argument, depth + 1);
  }

  #array(count: number, depth: number): unknown[] {
    const items: unknown[] = [];
    for (let i = 0; i < count; i++) items.push(this.item(depth));
    return items;
  }

  /** Keys ascend by their encodings, so none is there twice. */
  #map(count: number, depth: number): Map<unknown, unknown> {
    const map = new Map<unknown, unknown>();
    let before: Uint8Array | undefined;
    for (let i = 0; i < count; i++) {
      const start = this.at;
      const key = this.item(depth);
      const encoded = this.#bytes.subarray(start, this.at);
      if (before !== undefined && compare(before, encoded) >= 0) throw new CborError('map keys out of order, or twice');
      if (typeof key !== 'number' && typeof key !== 'string') throw new CborError('a map key that is not plain');
      before = encoded;
      map.set(key, this.item(depth));
    }
    return map;
  }

  #simple(initial: number): unknown {
    const value = SIMPLE.get(initial);
    if (value !== undefined) return value;
    if (initial !== FLOAT64) throw new CborError(`a simple value or float (0x${initial.toString(16)}) without a place`);
    const bytes = this.#take(8);
    const number = new DataView(bytes.buffer, bytes.byteOffset, 8).getFloat64(0);
    // As it would be written: an integer has a shorter form.
    if (!sameBytes(codec.encode(number).subarray(1), bytes)) throw new CborError('a float that is an integer');
    return number;
  }

  #argument(information: number): number | bigint {
    if (information < 24) return information;
    const form = ARGUMENTS[information - 24];
    let value = 0;
    if (form !== undefined) {
      for (let i = 0; i < form.size; i++) value = value * 256 + this.#octet();
      if (value < form.least) throw new CborError('a number that is not in its shortest form');
      return value;
    }
    if (information !== 27) throw new CborError('an indefinite length, or a reserved form');
    let long = 0n;
    for (let i = 0; i < 8; i++) long = (long << 8n) | BigInt(this.#octet());
    if (long < 2n ** 32n) throw new CborError('a number that is not in its shortest form');
    return long;
  }

  #text(size: number): string {
    const bytes = this.#take(size);
    if (bytes.every((byte) => byte < 0x80)) return latin1(bytes);
    try {
      return utf8.decode(bytes);
    } catch (cause) {
      throw new CborError('a text that is not UTF-8', { cause });
    }
  }

  #octet(): number {
    const octet = this.#bytes[this.at];
    if (octet === undefined) throw new CborError('the input ends inside an item');
    this.at += 1;
    return octet;
  }

  #take(size: number): Uint8Array {
    if (size > this.#bytes.length - this.at) throw new CborError('the input ends inside an item');
    this.at += size;
    return this.#bytes.subarray(this.at - size, this.at);
  }
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
