/** Curves by noble-curves: every curve of the portable provider, and those that OpenSSL lacks or is slower at. */
import { type WeierstrassPointCons, weierstrass } from '@noble/curves/abstract/weierstrass.js';
import { p256, p384, p521 } from '@noble/curves/nist.js';
import { TPM_ECC } from '../structures/constants.ts';
import { mod } from './bigint.ts';
import { BN_P256, CURVES, type Curve, type CurveParameters, fromAffine, toAffine } from './curves.ts';
import type { EcPoint } from './provider.ts';

type NoblePoint = InstanceType<WeierstrassPointCons<bigint>>;

class NobleCurve implements Curve {
  readonly #parameters: CurveParameters;
  readonly #points: WeierstrassPointCons<bigint>;

  constructor(parameters: CurveParameters, points: WeierstrassPointCons<bigint>) {
    this.#parameters = parameters;
    this.#points = points;
  }

  multiplyBase(k: bigint): EcPoint | undefined {
    return this.#leave(this.#times(this.#points.BASE, k));
  }

  multiply(k: bigint, point: EcPoint): EcPoint | undefined {
    return this.#leave(this.#times(this.#enter(point), k));
  }

  multiplyX(k: bigint, point: EcPoint): Uint8Array | undefined {
    return this.multiply(k, point)?.x;
  }

  combineX(u: bigint, v: bigint, point: EcPoint): Uint8Array | undefined {
    const { n } = this.#parameters;
    const right = this.#enter(point).multiplyUnsafe(mod(v, n));
    return this.#leave(this.#times(this.#points.BASE, u).add(right))?.x;
  }

  #enter(point: EcPoint): NoblePoint {
    return this.#points.fromAffine(toAffine(point));
  }

  /** noble refuses the scalar 0; here it makes the point at infinity. */
  #times(point: NoblePoint, k: bigint): NoblePoint {
    const scalar = mod(k, this.#parameters.n);
    return scalar === 0n ? this.#points.ZERO : point.multiply(scalar);
  }

  #leave(point: NoblePoint): EcPoint | undefined {
    return point.is0() ? undefined : fromAffine(this.#parameters, point.toAffine());
  }
}

const noble = (id: number, points: WeierstrassPointCons<bigint>): Curve => new NobleCurve(CURVES[id]!, points);

/** One instance a curve: noble keeps a table of multiples of the generator in it. */
export const NOBLE_CURVES: Readonly<Record<number, Curve>> = {
  [TPM_ECC.NIST_P256]: noble(TPM_ECC.NIST_P256, p256.Point),
  [TPM_ECC.NIST_P384]: noble(TPM_ECC.NIST_P384, p384.Point),
  [TPM_ECC.NIST_P521]: noble(TPM_ECC.NIST_P521, p521.Point),
  [TPM_ECC.BN_P256]: noble(TPM_ECC.BN_P256, weierstrass(BN_P256)),
};
