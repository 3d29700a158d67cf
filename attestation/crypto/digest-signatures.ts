/** Signatures over digests, which OpenSSL's interface of Node does not take, and the encoding of digests under RSA. */
import { p256, p384, p521 } from '@noble/curves/nist.js';
import { concatBytes } from '../bytes.ts';
import type { Curve, HashName } from './port.ts';

/** DER of DigestInfo up to the digest. RFC 8017, section 9.2, note 1. */
export const DIGEST_INFO: Readonly<Record<HashName, string>> = {
  sha1: '3021300906052b0e03021a05000414',
  sha256: '3031300d060960864801650304020105000420',
  sha384: '3041300d060960864801650304020205000430',
  sha512: '3051300d060960864801650304020305000440',
};

export interface CurvePoint {
  readonly curve: Curve;
  readonly x: Uint8Array;
  readonly y: Uint8Array;
}

export const NOBLE = { 'P-256': p256, 'P-384': p384, 'P-521': p521 } as const;

/** ECDSA over a digest; the signature is r || s. FIPS 186-5, section 6.4.2. */
export function ecdsaOverDigest(digest: Uint8Array, signature: Uint8Array, { curve, x, y }: CurvePoint): boolean {
  const point = concatBytes(Uint8Array.of(4), x, y);
  try {
    // Both s and n - s are signatures; which one it is tells nobody anything here.
    return NOBLE[curve].verify(signature, digest, point, { prehash: false, lowS: false });
  } catch {
    // A signature of another length.
    return false;
  }
}
