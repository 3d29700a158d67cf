/** Octets and integers. */

export function toBigInt(bytes: Uint8Array): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let value = 0n;
  let at = 0;
  for (; at < (bytes.length & 7); at++) value = (value << 8n) | BigInt(bytes[at]!);
  for (; at < bytes.length; at += 8) value = (value << 64n) | view.getBigUint64(at);
  return value;
}

/** Big-endian octets, padded to `size`. The value must fit. */
export function fromBigInt(value: bigint, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  let rest = value;
  let at = size;
  for (; at >= 8; rest >>= 64n) {
    at -= 8;
    view.setBigUint64(at, rest); // takes the low 64 bits
  }
  for (; at > 0; rest >>= 8n) bytes[--at] = Number(rest & 0xffn);
  return bytes;
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let size = 0;
  for (const part of parts) size += part.length;
  const all = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Equality in time that depends on the lengths only. */
export function equalSecret(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ b[i]!;
  return difference === 0;
}

/** Equality of public octets. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return equalSecret(a, b);
}

/** Without leading zeros. */
export function stripZeros(bytes: Uint8Array): Uint8Array {
  let at = 0;
  while (at < bytes.length - 1 && bytes[at] === 0) at++;
  return bytes.subarray(at);
}

/** Padded on the left to `size`; longer values must have leading zeros only. */
export function padLeft(bytes: Uint8Array, size: number): Uint8Array {
  if (bytes.length === size) return bytes;
  if (bytes.length > size) return bytes.subarray(bytes.length - size);
  const padded = new Uint8Array(size);
  padded.set(bytes, size - bytes.length);
  return padded;
}

export function u16be(value: number): Uint8Array {
  return Uint8Array.of(value >>> 8, value);
}

export function u32be(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

export function u64be(value: bigint): Uint8Array {
  const high = Number(BigInt.asUintN(32, value >> 32n));
  const low = Number(BigInt.asUintN(32, value));
  return Uint8Array.of(high >>> 24, high >>> 16, high >>> 8, high, low >>> 24, low >>> 16, low >>> 8, low);
}

const encoder = new TextEncoder();
/** The specification's labels are few, and used by every derivation. */
const labels = new Map<string, Uint8Array>();

/** One of the specification's labels as it is hashed: ASCII with its terminating zero. Not to be changed. */
export function label(text: string): Uint8Array {
  const known = labels.get(text);
  if (known !== undefined) return known;
  const encoded = encoder.encode(`${text}\0`);
  labels.set(text, encoded);
  return encoded;
}

export const ascii = (text: string): Uint8Array => encoder.encode(text);
