/** Signatures over digests, which OpenSSL's interface of Node does not take, and the encoding of digests under RSA. */
import { p256, p384, p521 } from '@noble/curves/nist.js';
import { concatBytes, toHex } from '../bytes.ts';
import { CURVE_SIZES, type Curve, type HashName } from './port.ts';

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

type NoblePoint = InstanceType<typeof p256.Point>;

/** A key that has verified this often gets a table of its multiples: 8 ms once, then a quarter of the time. */
const WORTH_A_TABLE = 8;
const TABLE_BITS = 8;

/** The public key of ECDSA signatures over digests, with what speeds up verifying many. */
export class DigestKey {
  readonly curve: Curve;
  readonly #point: NoblePoint;
  #uses = 0;

  /** Throws for a point that is not on the curve. */
  constructor({ curve, x, y }: CurvePoint) {
    this.curve = curve;
    this.#point = NOBLE[curve].Point.fromBytes(concatBytes(Uint8Array.of(4), x, y));
    this.#point.assertValidity();
  }

  /** Whether r || s is a signature over the digest. FIPS 186-5, section 6.4.2. */
  verify(digest: Uint8Array, signature: Uint8Array): boolean {
    const { Point } = NOBLE[this.curve];
    const { Fn } = Point;
    const size = CURVE_SIZES[this.curve];
    if (signature.length !== 2 * size) return false;
    const [r, s] = [integer(signature.subarray(0, size)), integer(signature.subarray(size))];
    if (!Fn.isValidNot0(r) || !Fn.isValidNot0(s)) return false;
    this.#uses += 1;
    if (this.#uses === WORTH_A_TABLE) this.#point.precompute(TABLE_BITS, false);
    const w = Fn.inv(s);
    // Scalars and points are public: time may tell them.
    const base = Point.BASE.multiplyUnsafe(Fn.mul(leftmost(digest, Fn.BITS, Fn.ORDER), w));
    const sum = base.add(this.#point.multiplyUnsafe(Fn.mul(r, w)));
    return !sum.is0() && sum.toAffine().x % Fn.ORDER === r;
  }
}

/** The leftmost bits of a digest as an integer below the order. Section 6.4.1, step 2. */
function leftmost(digest: Uint8Array, bits: number, order: bigint): bigint {
  const excess = digest.length * 8 - bits;
  const value = excess > 0 ? integer(digest) >> BigInt(excess) : integer(digest);
  return value % order;
}

const integer = (bytes: Uint8Array): bigint => BigInt(`0x${toHex(bytes) || '0'}`);
