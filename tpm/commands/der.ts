/** DER (ITU-T X.690, section 10): what TPM2_CertifyX509 reads and writes of it. Tags of one octet, definite lengths. */
import { concat } from '../crypto/bytes.ts';

export const DER = {
  BOOLEAN: 0x01,
  INTEGER: 0x02,
  BIT_STRING: 0x03,
  OCTET_STRING: 0x04,
  NULL: 0x05,
  OID: 0x06,
  SEQUENCE: 0x30,
  /** Context-specific and constructed: [n]. */
  context: (n: number): number => 0xa0 | n,
} as const;

/** One element: `bytes` is the whole of it, `content` what its header announces. Both are views. */
export interface DerElement {
  readonly tag: number;
  readonly content: Uint8Array;
  readonly bytes: Uint8Array;
}

/** The elements that fill `bytes` exactly, one level deep; undefined where they are not DER or do not fit. */
export function readDer(bytes: Uint8Array): DerElement[] | undefined {
  const elements: DerElement[] = [];
  let at = 0;
  while (at < bytes.length) {
    const tag = bytes[at]!; // in range: at < bytes.length
    let length = bytes[at + 1];
    let start = at + 2;
    if ((tag & 0x1f) === 0x1f || length === undefined) return undefined;
    if (length >= 0x80) {
      // The shortest form is the only one. Two octets of length are more than any command holds.
      const size = length & 0x7f;
      if (size < 1 || size > 2 || start + size > bytes.length) return undefined;
      length = size === 1 ? bytes[start]! : (bytes[start]! << 8) | bytes[start + 1]!;
      if (length < (size === 1 ? 0x80 : 0x100)) return undefined;
      start += size;
    }
    const end = start + length;
    if (end > bytes.length) return undefined;
    elements.push({ tag, content: bytes.subarray(start, end), bytes: bytes.subarray(at, end) });
    at = end;
  }
  return elements;
}

/** The one element that fills `bytes`, if it has this tag. */
export function readOne(bytes: Uint8Array, tag: number): DerElement | undefined {
  const [element, ...more] = readDer(bytes) ?? [];
  return element?.tag === tag && more.length === 0 ? element : undefined;
}

/** An element of a tag over the concatenated parts, shorter than 65,536 octets. */
export function der(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = concat(...parts);
  const { length } = content;
  const header =
    length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 0xff];
  return concat(Uint8Array.from(header), content);
}

/** A non-negative INTEGER from big-endian octets. */
export function derInteger(value: Uint8Array): Uint8Array {
  const first = value.findIndex((octet) => octet !== 0);
  const least = first < 0 ? Uint8Array.of(0) : value.subarray(first);
  return der(DER.INTEGER, (least[0] ?? 0) >= 0x80 ? concat(Uint8Array.of(0), least) : least);
}

/** An OBJECT IDENTIFIER from its dotted notation. */
export function derOid(dotted: string): Uint8Array {
  const [root = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const octets = [root * 40 + second, ...rest].flatMap((arc) => {
    const groups = [arc & 0x7f];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128))
      groups.unshift((left & 0x7f) | 0x80);
    return groups;
  });
  return der(DER.OID, Uint8Array.from(octets));
}

/** The bits of a BIT STRING as a number whose bit 31 is the string's bit 0; undefined above 32 bits. */
export function derBits(bytes: Uint8Array): number | undefined {
  const element = readOne(bytes, DER.BIT_STRING);
  const unused = element?.content[0];
  if (element === undefined || unused === undefined || unused > 7) return undefined;
  const octets = element.content.subarray(1);
  if (octets.length > 4 || (octets.length === 0 && unused !== 0)) return undefined;
  return octets.reduce((bits, octet, i) => (bits | (octet << (24 - 8 * i))) >>> 0, 0);
}
