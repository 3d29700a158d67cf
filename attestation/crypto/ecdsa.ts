/** ECDSA signatures as X.509 and the kernel write them, for providers that take r || s. */

/** ECDSA-Sig-Value in DER (RFC 3279, section 2.2.3) as r || s; undefined for what is none. */
export function plainSignature(der: Uint8Array, size: number): Uint8Array | undefined {
  // Only P-521 needs a length of two octets.
  const start = der[1] === 0x81 ? 3 : 2;
  if (der[0] !== 0x30 || der[start - 1] !== der.length - start) return undefined;
  const plain = new Uint8Array(2 * size);
  let at = start;
  for (const end of [size, 2 * size]) {
    const length = der[at + 1] ?? 0;
    const number = der.subarray(at + 2, at + 2 + length);
    const bytes = number[0] === 0 ? number.subarray(1) : number;
    if (der[at] !== 0x02 || number.length !== length || length === 0 || bytes.length > size) return undefined;
    plain.set(bytes, end - bytes.length);
    at += 2 + length;
  }
  return at === der.length ? plain : undefined;
}
