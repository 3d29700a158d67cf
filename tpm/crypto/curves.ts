/** Parameters of the curves, and arithmetic on affine points. SEC 2, version 2.0; ISO/IEC 15946-5 for BN-256. */
import { p256, p384, p521 } from '@noble/curves/nist.js';
import { TPM_ECC } from '../structures/constants.ts';
import { mod, modInverse } from './bigint.ts';
import { fromBigInt, toBigInt } from './bytes.ts';
import type { EcPoint } from './provider.ts';

/** A curve's parameters. The cofactor of every curve here is 1. */
export interface CurveParameters {
  readonly p: bigint;
  readonly a: bigint;
  readonly b: bigint;
  readonly gx: bigint;
  readonly gy: bigint;
  /** Order of the generator. */
  readonly n: bigint;
  /** Octets of a coordinate. */
  readonly size: number;
  /** Bits of n. */
  readonly bits: number;
}

/** Arithmetic on one curve. Scalars are taken modulo n; the point at infinity is undefined; points are on the curve. */
export interface Curve {
  /** k·G. */
  multiplyBase(k: bigint): EcPoint | undefined;
  /** k·P. */
  multiply(k: bigint, point: EcPoint): EcPoint | undefined;
  /** The x-coordinate of k·P: what Diffie-Hellman needs, at half the cost. */
  multiplyX(k: bigint, point: EcPoint): Uint8Array | undefined;
  /** The x-coordinate of u·G + v·P: what verification of a signature needs. Not for secret scalars. */
  combineX(u: bigint, v: bigint, point: EcPoint): Uint8Array | undefined;
}

/** BN P256: its equation is y² = x³ + 3. ISO/IEC 15946-5; TCG Algorithm Registry, section 5.2.7. */
export const BN_P256 = {
  p: 0xfffffffffffcf0cd46e5f25eee71a49f0cdc65fb12980a82d3292ddbaed33013n,
  n: 0xfffffffffffcf0cd46e5f25eee71a49e0cdc65fb1299921af62d536cd10b500dn,
  h: 1n,
  a: 0n,
  b: 3n,
  Gx: 1n,
  Gy: 2n,
};

const curve = ({ p, a, b, n, Gx, Gy }: typeof BN_P256): CurveParameters => {
  const bits = n.toString(2).length;
  return Object.freeze({ p, a, b, n, gx: Gx, gy: Gy, size: Math.ceil(bits / 8), bits });
};

/** Curves that are implemented, by TPM_ECC_CURVE. */
export const CURVES: Readonly<Record<number, CurveParameters>> = {
  [TPM_ECC.NIST_P256]: curve(p256.Point.CURVE()),
  [TPM_ECC.NIST_P384]: curve(p384.Point.CURVE()),
  [TPM_ECC.NIST_P521]: curve(p521.Point.CURVE()),
  [TPM_ECC.BN_P256]: curve(BN_P256),
};

/** A point in affine integers. */
export interface Affine {
  readonly x: bigint;
  readonly y: bigint;
}

export const toAffine = (point: EcPoint): Affine => ({ x: toBigInt(point.x), y: toBigInt(point.y) });

export const fromAffine = (c: CurveParameters, { x, y }: Affine): EcPoint => ({
  x: fromBigInt(x, c.size),
  y: fromBigInt(y, c.size),
});

/** Whether y² = x³ + ax + b over the field, coordinates reduced. */
export function satisfiesEquation(c: CurveParameters, { x, y }: Affine): boolean {
  return x < c.p && y < c.p && (y * y - (x * x * x + c.a * x + c.b)) % c.p === 0n;
}

/** P + Q; undefined is the point at infinity, given or returned. For public points. */
export function addAffine(c: CurveParameters, P: Affine | undefined, Q: Affine | undefined): Affine | undefined {
  if (P === undefined) return Q;
  if (Q === undefined) return P;
  if (P.x === Q.x && (P.y + Q.y) % c.p === 0n) return undefined;
  const slope =
    P.x === Q.x
      ? (3n * P.x * P.x + c.a) * modInverse(2n * P.y, c.p)
      : mod(Q.y - P.y, c.p) * modInverse(mod(Q.x - P.x, c.p), c.p);
  const x = mod(slope * slope - P.x - Q.x, c.p);
  return { x, y: mod(slope * (P.x - x) - P.y, c.p) };
}
