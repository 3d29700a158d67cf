/**
 * What DER demands of a signed structure before a parser sees it. Parsers are lenient with lengths, and the outer half
 * of a certificate is under no signature: without this, octets could change and the certificate still be believed.
 */
import { sameBytes } from '../bytes.ts';

const SEQUENCE = 0x30;
const BIT_STRING = 0x03;
const CONSTRUCTED = 0x20;
const MAX_DEPTH = 24;

/** The element that stands first, header included. Throws RangeError unless it is whole and its length in DER. */
function firstElement(der: Uint8Array): { readonly whole: Uint8Array; readonly content: Uint8Array } {
  const [tag = 0, first = 0] = der;
  const count = first < 0x80 ? 0 : first & 0x7f;
  const length = count === 0 ? first : der.subarray(2, 2 + count).reduce((sum, byte) => sum * 256 + byte, 0);
  const minimal = count === 0 || (der[2] !== 0 && length >= 0x80);
  const start = 2 + count;
  // Tags of more than one octet stand in no structure that is read here.
  if (
    (tag & 0x1f) === 0x1f ||
    der.length < 2 ||
    count > 4 ||
    first === 0x80 ||
    !minimal ||
    start + length > der.length
  ) {
    throw new RangeError('not in DER');
  }
  return { whole: der.subarray(0, start + length), content: der.subarray(start, start + length) };
}

/** Elements that fill the content of a constructed element, each with its header. Throws RangeError if they do not. */
function membersOf(whole: Uint8Array): Uint8Array[] {
  let { content } = firstElement(whole);
  const members: Uint8Array[] = [];
  while (content.length > 0) {
    const { whole: member } = firstElement(content);
    members.push(member);
    content = content.subarray(member.length);
  }
  return members;
}

function requireNesting(whole: Uint8Array, depth: number): void {
  if (depth > MAX_DEPTH) throw new RangeError('nested too deeply');
  for (const member of membersOf(whole)) {
    if (((member[0] ?? 0) & CONSTRUCTED) !== 0) requireNesting(member, depth + 1);
  }
}

/** The structure alone, without octets after it. Throws RangeError for what is no SEQUENCE in DER. */
export function withoutPadding(der: Uint8Array): Uint8Array {
  if (der[0] !== SEQUENCE) throw new RangeError('not a SEQUENCE');
  return firstElement(der).whole;
}

/**
 * The SEQUENCE of what is signed, an algorithm and a signature of whole octets, without octets after it: lengths nest at
 * every level, and what is signed names the same algorithm, octet by octet. RFC 5280, sections 4.1.1 and 5.1.1. Throws
 * RangeError.
 */
export function signedStructure(der: Uint8Array): Uint8Array {
  const whole = withoutPadding(der);
  requireNesting(whole, 0);
  const [signed, algorithm, signature, ...more] = membersOf(whole);
  if (signed?.[0] !== SEQUENCE || algorithm?.[0] !== SEQUENCE || signature?.[0] !== BIT_STRING || more.length > 0) {
    throw new RangeError('not what is signed, an algorithm and a signature');
  }
  if (firstElement(signature).content[0] !== 0) throw new RangeError('a signature that does not end with an octet');
  if (!membersOf(signed).some((member) => sameBytes(member, algorithm)))
    throw new RangeError('two signature algorithms');
  return whole;
}
