/**
 * Signatures over elliptic curves: ECDSA, ECSchnorr, ECDAA. FIPS 186-5, section 6; Part 1, annex C. Secret scalars are
 * multiplied by a fresh random factor before they are inverted, since the time that bigint takes depends on values.
 */
import { mod, modInverse } from './bigint.ts';
import { fromBigInt, toBigInt } from './bytes.ts';
import { CURVES, type CurveParameters } from './curves.ts';
import type { CryptoProvider, EcPoint } from './provider.ts';

/** Both integers have the size of the curve. */
export interface EccSignature {
  readonly r: Uint8Array;
  readonly s: Uint8Array;
}

/** The leftmost bits of a digest as an integer (FIPS 186-5, section 6.4.1, step 2). */
function digestScalar({ bits }: CurveParameters, digest: Uint8Array): bigint {
  const excess = digest.length * 8 - bits;
  const value = toBigInt(digest);
  return excess > 0 ? value >> BigInt(excess) : value;
}

const inRange = (value: bigint, n: bigint): boolean => value > 0n && value < n;

/** Uniform in 1..n-1, from 64 bits more than the order has (FIPS 186-5, section A.2.1). */
function randomScalar(crypto: CryptoProvider, n: bigint): bigint {
  const size = Math.ceil(n.toString(16).length / 2) + 8;
  return (toBigInt(crypto.random(size)) % (n - 1n)) + 1n;
}

/** ECDSA over a digest; the nonce is fresh from the operating system's generator. */
export function ecdsaSign(crypto: CryptoProvider, curve: number, d: Uint8Array, digest: Uint8Array): EccSignature {
  const parameters = CURVES[curve]!;
  const { n, size } = parameters;
  const z = digestScalar(parameters, digest);
  for (;;) {
    const k = randomScalar(crypto, n);
    const r = toBigInt(crypto.ecPublic(curve, fromBigInt(k, size)).x) % n;
    const blind = randomScalar(crypto, n);
    const blindedKey = (blind * toBigInt(d)) % n;
    const s = (modInverse((blind * k) % n, n) * ((blind * z + r * blindedKey) % n)) % n;
    if (r !== 0n && s !== 0n) return { r: fromBigInt(r, size), s: fromBigInt(s, size) };
  }
}

/** Whether (r, s) is a signature of `digest` by the holder of `point`; false for points off the curve. */
export function ecdsaVerify(
  crypto: CryptoProvider,
  curve: number,
  point: EcPoint,
  digest: Uint8Array,
  signature: EccSignature,
): boolean {
  const parameters = CURVES[curve]!;
  const { n } = parameters;
  const r = toBigInt(signature.r);
  const s = toBigInt(signature.s);
  if (!inRange(r, n) || !inRange(s, n) || !crypto.ecOnCurve(curve, point)) return false;
  const w = modInverse(s, n);
  const x = crypto.ecCombineX(curve, (digestScalar(parameters, digest) * w) % n, (r * w) % n, point);
  return x !== undefined && toBigInt(x) % n === r;
}

/** The challenge of ECSchnorr: H(x || digest), cut to the order's size. Part 1, annex C.4.3. */
function schnorrChallenge(
  crypto: CryptoProvider,
  { n, bits }: CurveParameters,
  alg: number,
  x: Uint8Array,
  digest: Uint8Array,
): bigint {
  return toBigInt(crypto.hash(alg, x, digest).subarray(0, Math.ceil(bits / 8))) % n;
}

/** ECSchnorr: r = H(x(kG) || digest), s = k + r·d. Part 1, annex C.4.3. */
export function ecschnorrSign(
  crypto: CryptoProvider,
  curve: number,
  d: Uint8Array,
  alg: number,
  digest: Uint8Array,
): EccSignature {
  const parameters = CURVES[curve]!;
  const { n, size } = parameters;
  for (;;) {
    const k = randomScalar(crypto, n);
    const r = schnorrChallenge(crypto, parameters, alg, crypto.ecPublic(curve, fromBigInt(k, size)).x, digest);
    const s = mod(k + r * toBigInt(d), n);
    if (r !== 0n && s !== 0n) return { r: fromBigInt(r, size), s: fromBigInt(s, size) };
  }
}

/** Whether r = H(x(s·G - r·Q) || digest). */
export function ecschnorrVerify(
  crypto: CryptoProvider,
  curve: number,
  point: EcPoint,
  alg: number,
  digest: Uint8Array,
  signature: EccSignature,
): boolean {
  const parameters = CURVES[curve]!;
  const { n } = parameters;
  const r = toBigInt(signature.r);
  const s = toBigInt(signature.s);
  if (!inRange(r, n) || !inRange(s, n) || !crypto.ecOnCurve(curve, point)) return false;
  const x = crypto.ecCombineX(curve, s, n - r, point);
  return x !== undefined && schnorrChallenge(crypto, parameters, alg, x, digest) === r;
}

/**
 * ECDAA: a fresh nonce, T = H(nonce || digest) mod n, s = commit + T·d; `commit` is the scalar that TPM2_Commit used.
 * `signature.r` is the nonce. Part 1, annex C.4.2.
 */
export function ecdaaSign(
  crypto: CryptoProvider,
  curve: number,
  d: Uint8Array,
  alg: number,
  digest: Uint8Array,
  commit: bigint,
): EccSignature {
  const { n, size } = CURVES[curve]!;
  for (;;) {
    const nonce = fromBigInt(randomScalar(crypto, n), size);
    const t = toBigInt(crypto.hash(alg, nonce, digest)) % n;
    const s = mod(commit + t * toBigInt(d), n);
    if (t !== 0n && s !== 0n) return { r: nonce, s: fromBigInt(s, size) };
  }
}
