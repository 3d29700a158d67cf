/** Byte strings as every format of this room reads and compares them. */

/** Node's, where there is one: ten times as fast over long strings as a loop. */
const { Buffer: nodeBuffer } = globalThis as { readonly Buffer?: typeof Buffer };
/**
 * What a Buffer's `toString` calls, on any bytes: an event's text would take twice as long by way of a Buffer that lives
 * for that one call. Not in Node's documentation, so looked for, and done without where it is not.
 */
type Decode = (this: Uint8Array, from: number, to: number) => string;
const { latin1Slice, hexSlice, ucs2Slice } = (nodeBuffer?.prototype ?? {}) as {
  readonly latin1Slice?: Decode;
  readonly hexSlice?: Decode;
  readonly ucs2Slice?: Decode;
};
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
/** Below this, a loop is faster. */
const LONG = 64;

/** Lower-case hexadecimal. */
export function toHex(bytes: Uint8Array): string {
  if (hexSlice !== undefined) return hexSlice.call(bytes, 0, bytes.length);
  let text = '';
  for (const byte of bytes) text += HEX[byte];
  return text;
}

/** Throws RangeError for text that is not whole octets of hexadecimal. */
export function fromHex(text: string): Uint8Array {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) throw new RangeError('not hexadecimal');
  return Uint8Array.from({ length: text.length / 2 }, (_, at) => Number.parseInt(text.slice(2 * at, 2 * at + 2), 16));
}

/** base64url without padding (RFC 4648, section 5). */
export function toBase64Url(bytes: Uint8Array): string {
  const text = btoa(latin1(bytes));
  return text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

/** Throws RangeError for text that is not base64url. */
export function fromBase64Url(text: string): Uint8Array {
  if (!/^[A-Za-z0-9_-]*$/.test(text) || text.length % 4 === 1) throw new RangeError('not base64url');
  return fromLatin1(atob(text.replaceAll('-', '+').replaceAll('_', '/')));
}

/** base64 (RFC 4648, section 4), padded or not. Throws RangeError for text that is not. */
export const fromBase64 = (text: string): Uint8Array =>
  fromBase64Url(
    text
      .replace(/={0,2}$/, '')
      .replaceAll('+', '-')
      .replaceAll('/', '_'),
  );

/** Whether two byte strings are equal. Not for secrets: it stops at the first difference. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  if (nodeBuffer !== undefined && a.length > LONG) return nodeBuffer.compare(a, b) === 0;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** One character per octet, of the octets from `from` to before `to`, which must be inside. */
export function latin1(bytes: Uint8Array, from = 0, to = bytes.length): string {
  if (latin1Slice !== undefined) return latin1Slice.call(bytes, from, to);
  let text = '';
  for (let i = from; i < to; i++) text += String.fromCharCode(bytes[i] ?? 0);
  return text;
}

/** Octets of a text of characters below 256. */
export function fromLatin1(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** UTF-16, little-endian, without a check of surrogates: as firmware writes it. A last odd octet is dropped. */
export function utf16(bytes: Uint8Array): string {
  if (ucs2Slice !== undefined) return ucs2Slice.call(bytes, 0, bytes.length & ~1);
  let text = '';
  for (let i = 0; i + 1 < bytes.length; i += 2)
    text += String.fromCharCode((bytes[i] ?? 0) | ((bytes[i + 1] ?? 0) << 8));
  return text;
}

/** The same text without what follows its first NUL. */
export function untilNul(text: string): string {
  const end = text.indexOf('\0');
  return end < 0 ? text : text.slice(0, end);
}

/** Reading past the end, or a length that the format forbids. Formats turn it into their own error. */
export class ShortError extends RangeError {
  override readonly name = 'ShortError';
}

const U32 = 2 ** 32;

/** A cursor over little-endian bytes from outside; never passes the end (ShortError). */
export class LittleEndian {
  readonly bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  get left(): number {
    return this.bytes.length - this.at;
  }

  u8(): number {
    return this.#octet(this.#take(1));
  }

  u16(): number {
    const at = this.#take(2);
    return this.#octet(at) | (this.#octet(at + 1) << 8);
  }

  u32(): number {
    return this.#u32(this.#take(4));
  }

  u64(): bigint {
    const at = this.#take(8);
    return (BigInt(this.#u32(at + 4)) << 32n) | BigInt(this.#u32(at));
  }

  /** A u64 that must be a safe integer. */
  size64(): number {
    const at = this.#take(8);
    const value = this.#u32(at + 4) * U32 + this.#u32(at);
    if (!Number.isSafeInteger(value)) throw new ShortError(`a length of ${value} at ${at}`);
    return value;
  }

  /** A view of the next `size` bytes. */
  take(size: number): Uint8Array {
    const at = this.#take(size);
    return this.bytes.subarray(at, at + size);
  }

  /** Pass `size` bytes; returns where they start. */
  skip(size: number): number {
    return this.#take(size);
  }

  rest(): Uint8Array {
    return this.take(this.left);
  }

  /** Inside: `#take` has looked. */
  #octet(at: number): number {
    return this.bytes[at] as number;
  }

  #u32(at: number): number {
    const low = this.#octet(at) | (this.#octet(at + 1) << 8) | (this.#octet(at + 2) << 16);
    return low + this.#octet(at + 3) * 2 ** 24;
  }

  #take(size: number): number {
    const at = this.at;
    if (size > this.bytes.length - at) throw new ShortError(`${size} bytes wanted at ${at}, ${this.left} left`);
    this.at = at + size;
    return at;
  }
}
