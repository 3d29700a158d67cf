/** The portable provider: @noble and BigInt. Runs in a browser, and is the oracle for the OpenSSL one. */
import { cbc, cfb, ctr, ecb } from '@noble/ciphers/aes.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha1 } from '@noble/hashes/legacy.js';
import { sha256, sha384, sha512 } from '@noble/hashes/sha2.js';
import { sha3_256, sha3_384, sha3_512 } from '@noble/hashes/sha3.js';
import { TPM_ALG, TPM_RC } from '../structures/constants.ts';
import { TpmError } from '../structures/errors.ts';
import { mod, modInverse, modPow } from './bigint.ts';
import { fromBigInt, toBigInt } from './bytes.ts';
import { CURVES, type Curve, type CurveParameters, satisfiesEquation, toAffine } from './curves.ts';
import { HmacDrbg } from './drbg.ts';
import { ecdsaSign, ecdsaVerify } from './ecc-signatures.ts';
import { NOBLE_CURVES } from './noble-curve.ts';
import { deriveRsa } from './primes.ts';
import type { AesMode, CryptoProvider, EcPoint, HashState, RsaKey } from './provider.ts';
import { rsaNumbers } from './rsa-key.ts';
import { RunningHash, RunningHmac } from './running-hash.ts';

const HASHES = {
  [TPM_ALG.SHA1]: sha1,
  [TPM_ALG.SHA256]: sha256,
  [TPM_ALG.SHA384]: sha384,
  [TPM_ALG.SHA512]: sha512,
  [TPM_ALG.SHA3_256]: sha3_256,
  [TPM_ALG.SHA3_384]: sha3_384,
  [TPM_ALG.SHA3_512]: sha3_512,
} as const;

/** Rounds of Miller-Rabin: FIPS 186-5, table B.1, asks for 5 to 7 at the sizes used here. */
const ROUNDS = 8;

function hashOf(alg: number) {
  const hash = HASHES[alg as keyof typeof HASHES];
  if (hash === undefined) throw new TpmError(TPM_RC.HASH);
  return hash;
}

/** The parameters of a TPM_ECC_CURVE; TPM_RC_CURVE if it is none that is implemented. */
export function curveParameters(curve: number): CurveParameters {
  const found = CURVES[curve];
  if (found === undefined) throw new TpmError(TPM_RC.CURVE);
  return found;
}

export class NobleCrypto implements CryptoProvider {
  readonly name: string = 'noble';

  hash(alg: number, ...parts: readonly Uint8Array[]): Uint8Array {
    const hash = hashOf(alg);
    if (parts.length === 1) return hash(parts[0]!);
    const state = hash.create();
    for (const part of parts) state.update(part);
    return state.digest();
  }

  hashStart(alg: number): HashState {
    return new RunningHash(hashOf(alg).create());
  }

  hashResume(alg: number, state: Uint8Array): HashState {
    return RunningHash.resume(hashOf(alg), state);
  }

  hmac(alg: number, key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
    const state = hmac.create(hashOf(alg), key);
    for (const part of parts) state.update(part);
    return state.digest();
  }

  hmacStart(alg: number, key: Uint8Array): HashState {
    return RunningHmac.start(hashOf(alg), key);
  }

  hmacResume(alg: number, state: Uint8Array): HashState {
    return RunningHmac.resume(hashOf(alg), state);
  }

  aes(mode: AesMode, encrypt: boolean, key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array {
    if (data.length === 0) return new Uint8Array(0);
    if (mode === 'ofb') return this.#ofb(key, iv, data);
    const cipher =
      mode === 'cfb'
        ? cfb(key, iv)
        : mode === 'ctr'
          ? ctr(key, iv)
          : mode === 'cbc'
            ? cbc(key, iv, { disablePadding: true })
            : ecb(key, { disablePadding: true });
    return encrypt ? cipher.encrypt(data) : cipher.decrypt(data);
  }

  /** OFB (SP 800-38A, section 6.4), which noble has not: the last output enciphered, XORed on. */
  #ofb(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array {
    const output = new Uint8Array(data);
    let stream = iv;
    for (let at = 0; at < output.length; at++) {
      if (at % 16 === 0) stream = ecb(key, { disablePadding: true }).encrypt(stream);
      output[at] = output[at]! ^ stream[at % 16]!;
    }
    return output;
  }

  rsaGenerate(bits: number, e: number): RsaKey {
    return deriveRsa(this, new HmacDrbg(this, this.random(64)), bits, e);
  }

  isProbablePrime(candidate: bigint): boolean {
    if (candidate < 4n) return candidate === 2n || candidate === 3n;
    if ((candidate & 1n) === 0n) return false;
    const minusOne = candidate - 1n;
    let odd = minusOne;
    let twos = 0;
    while ((odd & 1n) === 0n) {
      odd >>= 1n;
      twos++;
    }
    const size = Math.ceil(candidate.toString(16).length / 2) + 8;
    for (let round = 0; round < ROUNDS; round++) {
      const base = (toBigInt(this.random(size)) % (candidate - 3n)) + 2n;
      let x = this.modPow(base, odd, candidate);
      if (x === 1n) continue;
      for (let i = 1; i < twos && x !== minusOne; i++) x = (x * x) % candidate;
      if (x !== minusOne) return false;
    }
    return true;
  }

  /** base^exponent mod an odd modulus; the exponent is odd and below the modulus. */
  protected modPow(base: bigint, exponent: bigint, modulus: bigint): bigint {
    return modPow(base, exponent, modulus);
  }

  rsaPublic(n: Uint8Array, e: number, m: Uint8Array): Uint8Array {
    return fromBigInt(modPow(toBigInt(m), BigInt(e), toBigInt(n)), n.length);
  }

  rsaPrivate(key: RsaKey, c: Uint8Array): Uint8Array {
    const { n, p, q, e, dp, dq, qInverse } = rsaNumbers(key);
    const cipher = toBigInt(c) % n;
    const blind = (toBigInt(this.random(key.n.length)) % (n - 2n)) + 2n;
    const blinded = (cipher * modPow(blind, e, n)) % n;
    const mq = modPow(blinded, dq, q);
    const mp = modPow(blinded, dp, p);
    const m = ((mq + q * mod((mp - mq) * qInverse, p)) * modInverse(blind, n)) % n;
    // A fault in one half would give a factor of n away (Boneh, DeMillo, Lipton 1997).
    if (modPow(m, e, n) !== cipher) throw new TpmError(TPM_RC.FAILURE);
    return fromBigInt(m, key.n.length);
  }

  /** The arithmetic of a curve; TPM_RC_CURVE if it is none that is implemented. */
  protected curve(curve: number): Curve {
    const found = NOBLE_CURVES[curve];
    if (found === undefined) throw new TpmError(TPM_RC.CURVE);
    return found;
  }

  ecPublic(curve: number, scalar: Uint8Array): EcPoint {
    const point = this.curve(curve).multiplyBase(toBigInt(scalar));
    if (point === undefined) throw new TpmError(TPM_RC.FAILURE); // the scalar was not in 1..n-1
    return point;
  }

  ecMultiply(curve: number, point: EcPoint, scalar: Uint8Array): EcPoint | undefined {
    return this.curve(curve).multiply(toBigInt(scalar), point);
  }

  ecSharedX(curve: number, point: EcPoint, scalar: Uint8Array): Uint8Array | undefined {
    return this.curve(curve).multiplyX(toBigInt(scalar), point);
  }

  ecCombineX(curve: number, u: bigint, v: bigint, point: EcPoint): Uint8Array | undefined {
    return this.curve(curve).combineX(u, v, point);
  }

  ecOnCurve(curve: number, point: EcPoint): boolean {
    const parameters = curveParameters(curve);
    const fits = point.x.length <= parameters.size && point.y.length <= parameters.size;
    return fits && satisfiesEquation(parameters, toAffine(point));
  }

  ecdsaSign(curve: number, scalar: Uint8Array, digest: Uint8Array): { r: Uint8Array; s: Uint8Array } {
    return ecdsaSign(this, curve, scalar, digest);
  }

  ecdsaVerify(curve: number, point: EcPoint, digest: Uint8Array, r: Uint8Array, s: Uint8Array): boolean {
    return ecdsaVerify(this, curve, point, digest, { r, s });
  }

  random(size: number): Uint8Array {
    const bytes = new Uint8Array(size);
    for (let at = 0; at < size; at += 65536) globalThis.crypto.getRandomValues(bytes.subarray(at, at + 65536));
    return bytes;
  }
}
