/**
 * What a TPM needs of cryptography, and nothing else. Two implementations: `node.ts` (OpenSSL through node:crypto, fast)
 * and `noble.ts` (portable, runs in a browser, the oracle of the first). The interface is primitives; padding, key
 * derivation, signature schemes and protection of objects are written once over it, in the files beside this one.
 *
 * Everything is synchronous: a TPM executes one command at a time. Algorithms are TPM_ALG and TPM_ECC numbers (Part 2,
 * sections 6.3 and 6.4). Integers are big-endian octets. Keys are prepared once, when an object is loaded, and kept
 * with it: a provider caches in them whatever its library parses or precomputes.
 */
import type { TPM_ALG, TPM_ECC } from '../structures/constants.ts';

type Alg = typeof TPM_ALG;
type Ecc = typeof TPM_ECC;

/** Hash algorithms by TPM_ALG number. */
export type HashAlg = Alg['SHA1' | 'SHA256' | 'SHA384' | 'SHA512' | 'SHA3_256' | 'SHA3_384' | 'SHA3_512'];
/** Modes of AES by TPM_ALG number. */
export type CipherMode = Alg['CTR' | 'OFB' | 'CBC' | 'CFB' | 'ECB'];
/** Curves by TPM_ECC number. */
export type CurveId = Ecc['NIST_P256' | 'NIST_P384' | 'NIST_P521' | 'BN_P256'];

/** A source of random octets: the TPM's own generator, or a deterministic one of a seed or a test. */
export type Random = (size: number) => Uint8Array;

/** A running hash or HMAC. `digest` ends it; `clone` splits it before that. */
export interface Digester {
  update(data: Uint8Array): void;
  digest(): Uint8Array;
  clone(): Digester;
}

/** A public RSA key, prepared. */
export interface RsaPublicKey {
  /** The modulus: `n.length` is the size of every message and signature. */
  readonly n: Uint8Array;
  readonly e: number;
  /** RSAEP (RFC 8017, section 5.1.1) on exactly `n.length` octets below n. Throws `CryptoError`. */
  encrypt(message: Uint8Array): Uint8Array;
}

/** A private RSA key, prepared: RSADP by CRT, blinded, its result checked against faults before it leaves. */
export interface RsaPrivateKey extends RsaPublicKey {
  /** One prime; the other is n / p. */
  readonly p: Uint8Array;
  /** RSADP (RFC 8017, section 5.1.2) on exactly `n.length` octets below n. Throws `CryptoError`. */
  decrypt(cipher: Uint8Array): Uint8Array;
}

/** An affine point; both coordinates have the size of the curve's field. */
export interface Point {
  readonly x: Uint8Array;
  readonly y: Uint8Array;
}

/** A curve's parameters (SEC 2; ISO/IEC 15946-5 for BN-256). */
export interface CurveParameters {
  readonly id: CurveId;
  readonly p: bigint;
  readonly a: bigint;
  readonly b: bigint;
  readonly gx: bigint;
  readonly gy: bigint;
  /** Order of the generator; the cofactor of every curve here is 1. */
  readonly n: bigint;
  /** Octets of a coordinate. */
  readonly size: number;
  /** Bits of n. */
  readonly bits: number;
}

/** Arithmetic on one curve. Scalars are taken modulo n. The point at infinity is `undefined`. */
export interface Curve {
  readonly parameters: CurveParameters;
  /** Whether (x, y) satisfies the equation. Every point from outside passes here first. */
  isOnCurve(point: Point): boolean;
  /** k·G. */
  multiplyBase(k: bigint): Point | undefined;
  /** k·P. Throws `CryptoError` when P is not on the curve. */
  multiply(k: bigint, point: Point): Point | undefined;
  /** u·G + v·P, as signature verification needs it; not for secret scalars. */
  multiplyAdd(u: bigint, v: bigint, point: Point): Point | undefined;
}

/** The primitives. Instances are stateless and may be shared. */
export interface CryptoProvider {
  readonly name: 'node' | 'noble';
  /** Octets from the operating system's generator. */
  readonly random: Random;

  hash(alg: HashAlg, ...parts: readonly Uint8Array[]): Uint8Array;
  createHash(alg: HashAlg): Digester;
  hmac(alg: HashAlg, key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array;
  createHmac(alg: HashAlg, key: Uint8Array): Digester;

  /**
   * AES without padding: any length in CTR, OFB and CFB (128-bit feedback), whole blocks in CBC and ECB, else
   * `CryptoError`. `key` is 16, 24 or 32 octets; `iv` 16, or empty for ECB.
   */
  encrypt(mode: CipherMode, key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array;
  decrypt(mode: CipherMode, key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array;
  /** AES-CMAC (RFC 4493), 16 octets. */
  cmac(key: Uint8Array, data: Uint8Array): Uint8Array;

  /** Prepare a public key. Throws `CryptoError` when n is even or e is not an odd number above 1. */
  rsaPublicKey(n: Uint8Array, e: number): RsaPublicKey;
  /** Prepare a private key from n, e and one prime. Throws `CryptoError` when p does not divide n or e has no inverse. */
  rsaPrivateKey(n: Uint8Array, e: number, p: Uint8Array): RsaPrivateKey;
  /** Miller-Rabin with an error below 2^-100 for random candidates (FIPS 186-5, table B.1). */
  isProbablePrime(candidate: bigint): boolean;

  curve(id: CurveId): Curve;

  /** Constant-time comparison; false for different lengths. */
  equal(a: Uint8Array, b: Uint8Array): boolean;
}

/** Input that the operation cannot be applied to. Callers turn it into the response code of their command. */
export class CryptoError extends Error {
  override readonly name = 'CryptoError';
  readonly code: 'SIZE' | 'RANGE' | 'POINT' | 'KEY' | 'PADDING';

  constructor(code: CryptoError['code'], message: string) {
    super(message);
    this.code = code;
  }
}
