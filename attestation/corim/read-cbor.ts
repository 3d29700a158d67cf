/** CBOR of others (RFC 8949): any well-formed encoding is read, within limits; only plain values come out. */
import { Decoder, Tag } from 'cbor-x';

const MAX_BYTES = 4 * 2 ** 20;
const MAX_DEPTH = 32;
const MAX_ITEMS = 200_000;

const decoder = new Decoder({ useRecords: false, mapsAsObjects: false, tagUint8Array: false });

/** Throws RangeError for what is not one item of CBOR, or is larger or deeper than any real document. */
export function readCbor(bytes: Uint8Array): unknown {
  if (bytes.length > MAX_BYTES) throw new RangeError(`${bytes.length} bytes; at most ${MAX_BYTES}`);
  let value: unknown;
  try {
    value = decoder.decode(bytes);
  } catch (cause) {
    throw new RangeError('not one item of CBOR', { cause });
  }
  check(value, 0, { left: MAX_ITEMS });
  return value;
}

/** The library turns some tags into objects of the language; none but dates has a place in our formats. */
function check(value: unknown, depth: number, budget: { left: number }): void {
  budget.left -= 1;
  if (depth > MAX_DEPTH || budget.left < 0) throw new RangeError('nested too deep, or too many items');
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array || value instanceof Date) return;
  if (value instanceof Tag) check(value.value, depth + 1, budget);
  else if (Array.isArray(value)) for (const item of value) check(item, depth + 1, budget);
  else if (value instanceof Map) {
    for (const [key, item] of value) {
      check(key, depth + 1, budget);
      check(item, depth + 1, budget);
    }
  } else throw new RangeError('a tag that has no place here');
}
