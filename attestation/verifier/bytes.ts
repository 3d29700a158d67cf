/** Bytes in JSON: base64url without padding (RFC 4648, section 5), with a bound on the decoded length. */
import { Type } from 'typebox';

/** Schema of a base64url string of at most `max` bytes; exactly `max` where `exact`. */
export function Base64Url(max: number, description: string, exact = false) {
  const length = Math.ceil((max * 4) / 3);
  return Type.String({
    pattern: '^[A-Za-z0-9_-]*$',
    maxLength: length,
    minLength: exact ? length : 0,
    contentEncoding: 'base64url',
    description,
  });
}

export function fromBase64Url(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'base64url'));
}

export function toBase64Url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url');
}
