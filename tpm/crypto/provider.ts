/**
 * What the TPM asks of cryptography, and no more: primitives. Paddings, key derivation and schemes are built on these
 * once (`rsa-padding.ts`, `kdf.ts`, `signing.ts`), so that providers stay small and cannot disagree about them.
 * Integers are big-endian octets. All calls are synchronous: a command runs to its end before the next one.
 */

/** A point in affine coordinates, each as long as the field. */
export interface EcPoint {
  readonly x: Uint8Array;
  readonly y: Uint8Array;
}

/** An RSA key pair: modulus, one prime, public exponent (normally 65537). */
export interface RsaKey {
  readonly n: Uint8Array;
  readonly p: Uint8Array;
  readonly e: number;
}

export type AesMode = 'cfb' | 'ctr' | 'ofb' | 'cbc' | 'ecb';

/** A digest in the making. */
export interface HashState {
  update(data: Uint8Array): HashState;
  digest(): Uint8Array;
  clone(): HashState;
  /** The state as octets, secret where the message or the key is. The same from every provider. */
  export(): Uint8Array;
}

/** Cryptographic primitives. Hash algorithms and curves are named by TPM_ALG_ID and TPM_ECC_CURVE. */
export interface CryptoProvider {
  readonly name: string;
  /** H(parts[0] || parts[1] || ...). */
  hash(alg: number, ...parts: readonly Uint8Array[]): Uint8Array;
  hashStart(alg: number): HashState;
  /** Continue a hash from what `export` gave. Throws `RangeError` for octets that are no state of it. */
  hashResume(alg: number, state: Uint8Array): HashState;
  hmac(alg: number, key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array;
  hmacStart(alg: number, key: Uint8Array): HashState;
  /** Continue an HMAC, likewise. */
  hmacResume(alg: number, state: Uint8Array): HashState;
  /** AES without padding. `iv` is 16 octets (none for ECB); CBC and ECB take whole blocks only. */
  aes(mode: AesMode, encrypt: boolean, key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array;
  /** A fresh RSA key by the provider's own randomness. */
  rsaGenerate(bits: number, e: number): RsaKey;
  /** Miller-Rabin, its error below 2^-100 for random candidates (FIPS 186-5, table B.1). */
  isProbablePrime(candidate: bigint): boolean;
  /** m^e mod n, as long as n. What a provider prepares is kept with the array `n`, which must not change. */
  rsaPublic(n: Uint8Array, e: number, m: Uint8Array): Uint8Array;
  /** c^d mod n, as long as n: blinded, and checked before it leaves. What is prepared is kept with the object `key`. */
  rsaPrivate(key: RsaKey, c: Uint8Array): Uint8Array;
  /** scalar * G; the scalar is in 1..n-1. */
  ecPublic(curve: number, scalar: Uint8Array): EcPoint;
  /** scalar * point, or undefined at infinity. The point must be on the curve. */
  ecMultiply(curve: number, point: EcPoint, scalar: Uint8Array): EcPoint | undefined;
  /** The x-coordinate of scalar * point: Diffie-Hellman. */
  ecSharedX(curve: number, point: EcPoint, scalar: Uint8Array): Uint8Array | undefined;
  /** The x-coordinate of u * G + v * point, to verify signatures; undefined at infinity. Scalars are public. */
  ecCombineX(curve: number, u: bigint, v: bigint, point: EcPoint): Uint8Array | undefined;
  ecOnCurve(curve: number, point: EcPoint): boolean;
  ecdsaSign(curve: number, scalar: Uint8Array, digest: Uint8Array): { r: Uint8Array; s: Uint8Array };
  ecdsaVerify(curve: number, point: EcPoint, digest: Uint8Array, r: Uint8Array, s: Uint8Array): boolean;
  /** Fresh random octets from the platform. */
  random(size: number): Uint8Array;
}
