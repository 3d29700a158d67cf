/** The portable provider: @noble and BigInt. Runs in a browser, and is the oracle for the OpenSSL one. */
import { cbc, cfb, ctr, ecb } from '@noble/ciphers/aes.js';
import { p256, p384, p521 } from '@noble/curves/nist.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha1 } from '@noble/hashes/legacy.js';
import { sha256, sha384, sha512 } from '@noble/hashes/sha2.js';
import { sha3_256, sha3_384, sha3_512 } from '@noble/hashes/sha3.js';
import { TPM_ALG, TPM_ECC, TPM_RC } from '../structures/constants.ts';
import { TpmError } from '../structures/errors.ts';
import { concat, fromBigInt, padLeft, toBigInt } from './bytes.ts';
import { HmacDrbg } from './drbg.ts';
import { derivePrime, modInverse, modPow } from './primes.ts';
import type { AesMode, CryptoProvider, EcPoint, HashState, RsaKey } from './provider.ts';

const HASHES = {
  [TPM_ALG.SHA1]: sha1,
  [TPM_ALG.SHA256]: sha256,
  [TPM_ALG.SHA384]: sha384,
  [TPM_ALG.SHA512]: sha512,
  [TPM_ALG.SHA3_256]: sha3_256,
  [TPM_ALG.SHA3_384]: sha3_384,
  [TPM_ALG.SHA3_512]: sha3_512,
} as const;

const CURVES = { [TPM_ECC.NIST_P256]: p256, [TPM_ECC.NIST_P384]: p384, [TPM_ECC.NIST_P521]: p521 } as const;

function hashOf(alg: number) {
  const hash = HASHES[alg as keyof typeof HASHES];
  if (hash === undefined) throw new TpmError(TPM_RC.HASH);
  return hash;
}

/** The noble curve of a TPM_ECC_CURVE; TPM_RC_CURVE if it is none. */
export function curveOf(curve: number) {
  const found = CURVES[curve as keyof typeof CURVES];
  if (found === undefined) throw new TpmError(TPM_RC.CURVE);
  return found;
}

const fieldBytes = (curve: number): number => curveOf(curve).Point.Fp.BYTES;
const orderBytes = (curve: number): number => curveOf(curve).Point.Fn.BYTES;

function uncompressed(curve: number, point: EcPoint): Uint8Array {
  const size = fieldBytes(curve);
  return concat(Uint8Array.of(4), padLeft(point.x, size), padLeft(point.y, size));
}

function affine(curve: number, bytes: Uint8Array): EcPoint {
  const size = fieldBytes(curve);
  return { x: bytes.slice(1, 1 + size), y: bytes.slice(1 + size) };
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
    return hashOf(alg).create();
  }

  hmac(alg: number, key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
    const state = hmac.create(hashOf(alg), key);
    for (const part of parts) state.update(part);
    return state.digest();
  }

  hmacStart(alg: number, key: Uint8Array): HashState {
    return hmac.create(hashOf(alg), key);
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

  #ofb(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array {
    const output = new Uint8Array(data);
    let block = iv;
    for (let at = 0; at < output.length; at++) {
      if (at % 16 === 0) block = ecb(key, { disablePadding: true }).encrypt(block);
      output[at] = output[at]! ^ block[at % 16]!;
    }
    return output;
  }

  rsaGenerate(bits: number, e: number): RsaKey {
    const random = new HmacDrbg(this, this.random(64));
    const half = bits / 2;
    const p = derivePrime(this, random, half, e);
    let q = derivePrime(this, random, half, e);
    while (q === p) q = derivePrime(this, random, half, e);
    return { n: fromBigInt(p * q, bits / 8), p: fromBigInt(p, half / 8), e };
  }

  isProbablePrime(candidate: bigint): boolean {
    const rounds = 20;
    const minusOne = candidate - 1n;
    let d = minusOne;
    let s = 0;
    while ((d & 1n) === 0n) {
      d >>= 1n;
      s++;
    }
    const size = Math.ceil(candidate.toString(16).length / 2);
    for (let i = 0; i < rounds; i++) {
      const base = (toBigInt(this.random(size)) % (candidate - 3n)) + 2n;
      let x = modPow(base, d, candidate);
      if (x === 1n || x === minusOne) continue;
      let composite = true;
      for (let j = 1; j < s && composite; j++) {
        x = (x * x) % candidate;
        if (x === minusOne) composite = false;
      }
      if (composite) return false;
    }
    return true;
  }

  rsaPublic(n: Uint8Array, e: number, m: Uint8Array): Uint8Array {
    return fromBigInt(modPow(toBigInt(m), BigInt(e), toBigInt(n)), n.length);
  }

  rsaPrivate(key: RsaKey, c: Uint8Array): Uint8Array {
    const n = toBigInt(key.n);
    const p = toBigInt(key.p);
    const q = n / p;
    const e = BigInt(key.e);
    const m1 = modPow(toBigInt(c) % p, modInverse(e, p - 1n), p);
    const m2 = modPow(toBigInt(c) % q, modInverse(e, q - 1n), q);
    const h = (((m1 - m2) % p) + p) * modInverse(q % p, p);
    return fromBigInt(m2 + (h % p) * q, key.n.length);
  }

  ecPublic(curve: number, scalar: Uint8Array): EcPoint {
    const c = curveOf(curve);
    return affine(curve, c.getPublicKey(padLeft(scalar, orderBytes(curve)), false));
  }

  ecMultiply(curve: number, point: EcPoint, scalar: Uint8Array): EcPoint | undefined {
    const { Point } = curveOf(curve);
    const k = toBigInt(scalar) % Point.Fn.ORDER;
    if (k === 0n) return undefined;
    const product = Point.fromBytes(uncompressed(curve, point)).multiply(k);
    return product.is0() ? undefined : affine(curve, product.toBytes(false));
  }

  ecOnCurve(curve: number, point: EcPoint): boolean {
    const size = fieldBytes(curve);
    if (point.x.length > size || point.y.length > size) return false;
    try {
      curveOf(curve).Point.fromBytes(uncompressed(curve, point)).assertValidity();
      return true;
    } catch {
      return false; // noble says "no" by throwing
    }
  }

  ecdsaSign(curve: number, scalar: Uint8Array, digest: Uint8Array): { r: Uint8Array; s: Uint8Array } {
    const size = orderBytes(curve);
    const bytes = curveOf(curve).sign(digest, padLeft(scalar, size), { prehash: false, lowS: false });
    return { r: bytes.slice(0, size), s: bytes.slice(size) };
  }

  ecdsaVerify(curve: number, point: EcPoint, digest: Uint8Array, r: Uint8Array, s: Uint8Array): boolean {
    const size = orderBytes(curve);
    if (r.length > size || s.length > size) return false;
    const signature = concat(padLeft(r, size), padLeft(s, size));
    try {
      return curveOf(curve).verify(signature, digest, uncompressed(curve, point), { prehash: false, lowS: false });
    } catch {
      return false; // out-of-range integers throw
    }
  }

  random(size: number): Uint8Array {
    const bytes = new Uint8Array(size);
    for (let at = 0; at < size; at += 65536) globalThis.crypto.getRandomValues(bytes.subarray(at, at + 65536));
    return bytes;
  }
}
