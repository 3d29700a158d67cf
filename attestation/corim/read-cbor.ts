/**
 * CBOR of others (RFC 8949): any well-formed encoding is read but strings in chunks, within limits; only plain values come
 * out. The encoding is walked before the library decodes it, because the library computes with what some tags hold: a
 * bignum costs the square of its length, and what is marked as shared is read twice, at every level again.
 */
import { Decoder, Tag } from 'cbor-x';

const MAX_BYTES = 4 * 2 ** 20;
const MAX_DEPTH = 32;
const MAX_ITEMS = 200_000;
const MAX_BIGNUM = 64;

const decoder = new Decoder({ useRecords: false, mapsAsObjects: false, tagUint8Array: false });

/** Throws RangeError for what is not one item of CBOR, or is larger or deeper than any real document. */
export function readCbor(bytes: Uint8Array): unknown {
  if (bytes.length > MAX_BYTES) throw new RangeError(`${bytes.length} bytes; at most ${MAX_BYTES}`);
  new Walk(bytes).item(0);
  let value: unknown;
  try {
    value = decoder.decode(bytes);
  } catch (cause) {
    throw new RangeError('not one item of CBOR', { cause });
  }
  check(value);
  return value;
}

const MAJOR = { bytes: 2, text: 3, array: 4, map: 5, tag: 6 } as const;
const BREAK = 0xff;
const INDEFINITE = 31;
const BIGNUMS = new Set([2, 3]);
/** Decimal fractions, bigfloats, packed and shared values, records, objects, sets: none has a place in our formats. */
const REFUSED_TAGS = new Set([4, 5, 6, 14, 15, 27, 28, 29, 51, 105, 258, 259, 0xdff9, 0xdffa, 0xdffb]);

/** One pass over an encoding, without making anything of it. */
class Walk {
  readonly #bytes: Uint8Array;
  #at = 0;
  #items = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  item(depth: number, most = MAX_BYTES): void {
    this.#items += 1;
    if (depth > MAX_DEPTH || this.#items > MAX_ITEMS) throw new RangeError('nested too deep, or too many items');
    const initial = this.#octet();
    const [major, information] = [initial >> 5, initial & 0x1f];
    if (information === INDEFINITE) {
      this.#untilBreak(major, depth);
      return;
    }
    const argument = this.#argument(information);
    if (major === MAJOR.bytes || major === MAJOR.text) {
      if (argument > Math.min(most, this.#bytes.length - this.#at)) throw new RangeError('a string that is too long');
      this.#at += argument;
    } else if (major === MAJOR.tag) {
      if (REFUSED_TAGS.has(argument)) throw new RangeError('a tag that has no place here');
      this.item(depth + 1, BIGNUMS.has(argument) ? MAX_BIGNUM : MAX_BYTES);
    } else if (major === MAJOR.array || major === MAJOR.map) {
      for (let left = argument * (major - MAJOR.array + 1); left > 0; left -= 1) this.item(depth + 1);
    }
  }

  /** A collection without a count. Strings in chunks are not read by the library. */
  #untilBreak(major: number, depth: number): void {
    if (major !== MAJOR.array && major !== MAJOR.map) throw new RangeError('not one item of CBOR');
    while (this.#bytes[this.#at] !== BREAK) this.item(depth + 1);
    this.#at += 1;
  }

  /** A number beyond what it may count is larger than anything that is there. */
  #argument(information: number): number {
    if (information < 24) return information;
    if (information > 27) throw new RangeError('not one item of CBOR');
    let value = 0;
    for (let left = 1 << (information - 24); left > 0; left -= 1) value = value * 256 + this.#octet();
    return value;
  }

  #octet(): number {
    const octet = this.#bytes[this.#at];
    if (octet === undefined) throw new RangeError('the input ends inside an item');
    this.#at += 1;
    return octet;
  }
}

/** The library turns some tags into objects of the language; none but dates has a place in our formats. */
function check(value: unknown): void {
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array || value instanceof Date) return;
  if (value instanceof Tag) check(value.value);
  else if (Array.isArray(value)) for (const item of value) check(item);
  else if (value instanceof Map) {
    for (const [key, item] of value) {
      check(key);
      check(item);
    }
  } else throw new RangeError('a tag that has no place here');
}
