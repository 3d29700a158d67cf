/**
 * P-256 by OpenSSL. node:crypto offers base multiplication (a key pair from a scalar) and the x-coordinate of a product
 * (Diffie-Hellman); the rest follows from those two. The larger curves are faster in noble than in OpenSSL 3.0.
 */
import { createECDH } from 'node:crypto';
import { mod, modInverse } from './bigint.ts';
import { concat, fromBigInt, padLeft, toBigInt } from './bytes.ts';
import { addAffine, type Curve, type CurveParameters, fromAffine, toAffine } from './curves.ts';
import type { EcPoint } from './provider.ts';

const UNCOMPRESSED = Uint8Array.of(4);

export class OpensslCurve implements Curve {
  readonly #parameters: CurveParameters;
  readonly #name: string;

  constructor(parameters: CurveParameters, name: string) {
    this.#parameters = parameters;
    this.#name = name;
  }

  multiplyBase(k: bigint): EcPoint | undefined {
    const { n, size } = this.#parameters;
    const scalar = mod(k, n);
    if (scalar === 0n) return undefined;
    const ecdh = createECDH(this.#name);
    ecdh.setPrivateKey(fromBigInt(scalar, size));
    const encoded = ecdh.getPublicKey();
    return { x: Uint8Array.from(encoded.subarray(1, 1 + size)), y: Uint8Array.from(encoded.subarray(1 + size)) };
  }

  multiplyX(k: bigint, point: EcPoint): Uint8Array | undefined {
    const { n, size } = this.#parameters;
    const scalar = mod(k, n);
    if (scalar === 0n) return undefined;
    const ecdh = createECDH(this.#name);
    ecdh.setPrivateKey(fromBigInt(scalar, size));
    return Uint8Array.from(ecdh.computeSecret(concat(UNCOMPRESSED, padLeft(point.x, size), padLeft(point.y, size))));
  }

  /**
   * k·P from the x-coordinates of k·P and (k+1)·P. The y-coordinate follows from the addition law solved for it
   * (Brier and Joye, PKC 2002, section 4): 2·y·y₁ = 2b + (a + x·x₁)(x + x₁) - x₂(x - x₁)².
   */
  multiply(k: bigint, point: EcPoint): EcPoint | undefined {
    const { p, a, b } = this.#parameters;
    const first = this.multiplyX(k, point);
    if (first === undefined) return undefined;
    const { x, y } = toAffine(point);
    const next = this.multiplyX(k + 1n, point);
    if (next === undefined) return fromAffine(this.#parameters, { x, y: mod(-y, p) });
    const x1 = toBigInt(first);
    const x2 = toBigInt(next);
    const y1 = mod((2n * b + (a + x * x1) * (x + x1) - x2 * (x - x1) ** 2n) * modInverse(2n * y, p), p);
    return fromAffine(this.#parameters, { x: x1, y: y1 });
  }

  /** u·G + v·P = v·(P + (u/v)·G): one base multiplication, one addition of public points, one Diffie-Hellman. */
  combineX(u: bigint, v: bigint, point: EcPoint): Uint8Array | undefined {
    const affine = toAffine(point);
    const { n } = this.#parameters;
    if (mod(v, n) === 0n) return this.multiplyBase(u)?.x;
    const shift = this.multiplyBase(u * modInverse(v, n));
    const sum = addAffine(this.#parameters, affine, shift && toAffine(shift));
    return sum && this.multiplyX(v, fromAffine(this.#parameters, sum));
  }
}
