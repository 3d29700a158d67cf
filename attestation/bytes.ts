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

/** One character per octet. */
export function latin1(bytes: Uint8Array): string {
  if (latin1Slice !== undefined) return latin1Slice.call(bytes, 0, bytes.length);
  let text = '';
  for (let i = 0; i < bytes.length; i++) text += String.fromCharCode(bytes[i] ?? 0);
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

/** A cursor over little-endian bytes from outside; never passes the end (ShortError). */
export class LittleEndian {
  readonly bytes: Uint8Array;
  at: number;
  readonly #view: DataView;

  constructor(bytes: Uint8Array, at = 0) {
    this.bytes = bytes;
    this.at = at;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left(): number {
    return this.bytes.length - this.at;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true);
  }

  /** A u64 that must be a safe integer. */
  size64(): number {
    const value = this.u64();
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new ShortError(`a length of ${value} at ${this.at - 8}`);
    return Number(value);
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

  #take(size: number): number {
    const at = this.at;
    if (size > this.bytes.length - at) throw new ShortError(`${size} bytes wanted at ${at}, ${this.left} left`);
    this.at = at + size;
    return at;
  }
}
