/**
 * The fastest provider: hashes, HMAC, AES, elliptic curves and public-key exponentiation by direct calls of libcrypto.
 * node:crypto makes an object for each operation, and builds and parses a key for each new key, which costs more than
 * the operation. The rest is inherited.
 *
 * Numbers and points that OpenSSL needs are made once and used again; a call never returns to the event loop in
 * between. Those that held a secret are cleared after use.
 */

import { DIGEST_SIZE, TPM_ALG, TPM_ECC, TPM_RC } from '../structures/constants.ts';
import { TpmError } from '../structures/errors.ts';
import { copyOf } from '../structures/octets.ts';
import { modPow } from './bigint.ts';
import { fromBigInt, toBigInt } from './bytes.ts';
import { CURVES } from './curves.ts';
import type { Libcrypto, Pointer } from './libcrypto.ts';
import { NodeCrypto } from './node.ts';
import type { AesMode, EcPoint } from './provider.ts';

/** NIDs of OpenSSL (objects.h). BN P-256 is not among its curves. */
const CURVE_NIDS: Readonly<Record<number, number>> = {
  [TPM_ECC.NIST_P256]: 415,
  [TPM_ECC.NIST_P384]: 715,
  [TPM_ECC.NIST_P521]: 716,
};
const UNCOMPRESSED = 4;
/** BN_FLG_CONSTTIME: what is done with this number must not depend on it. */
const CONSTANT_TIME = 4;

/** OpenSSL's names of hashes, and octets of a block (FIPS 180-4, figure 1); DIGEST_SIZE has their sizes. */
const HASHES = [
  { alg: TPM_ALG.SHA1, name: 'SHA1', block: 64 },
  { alg: TPM_ALG.SHA256, name: 'SHA256', block: 64 },
  { alg: TPM_ALG.SHA384, name: 'SHA384', block: 128 },
  { alg: TPM_ALG.SHA512, name: 'SHA512', block: 128 },
] as const;
/** Octets that are joined for one call; longer inputs go to the inherited provider. */
const JOINED = 8192;
/** FIPS 198-1. */
const INNER_PAD = 0x36;
const OUTER_PAD = 0x5c;
const KEY_SIZES = [16, 24, 32];
const MODES: readonly AesMode[] = ['cfb', 'ctr', 'ofb', 'cbc', 'ecb'];
const NO_KEY = new Uint8Array(new ArrayBuffer(32));

interface Hash {
  readonly type: Pointer;
  readonly size: number;
  readonly block: number;
}

interface Group {
  readonly group: Pointer;
  readonly size: number;
  readonly point: Pointer;
  readonly result: Pointer;
  /** 4 || x || y */
  readonly octets: Uint8Array;
}

export class LibcryptoProvider extends NodeCrypto {
  override readonly name: string = 'libcrypto';
  readonly #c: Libcrypto;
  readonly #context: Pointer;
  readonly #secret: Pointer;
  readonly #first: Pointer;
  readonly #second: Pointer;
  readonly #result: Pointer;
  readonly #groups: Readonly<Record<number, Group>>;
  readonly #hashes: ReadonlyMap<number, Hash>;
  /** Each with its algorithm set, and a key of zeros between calls. */
  readonly #ciphers: ReadonlyMap<AesMode, ReadonlyMap<number, Pointer>>;
  // Memory that calls read and write. Handing over an array of the engine's own heap would move it out of there each time.
  readonly #joined = new Uint8Array(JOINED);
  readonly #outer = new Uint8Array(256);
  readonly #digestOut = new Uint8Array(new ArrayBuffer(64));
  readonly #key = new Uint8Array(new ArrayBuffer(32));
  readonly #vector = new Uint8Array(new ArrayBuffer(16));
  readonly #length = new Uint8Array(new ArrayBuffer(4));
  readonly #scratch = new Uint8Array(new ArrayBuffer(JOINED));

  constructor(libcrypto: Libcrypto) {
    super();
    this.#c = libcrypto;
    const number = () => some(libcrypto.BN_new());
    this.#context = some(libcrypto.BN_CTX_new());
    this.#secret = number();
    libcrypto.BN_set_flags(this.#secret, CONSTANT_TIME);
    this.#first = number();
    this.#second = number();
    this.#result = number();
    this.#hashes = new Map(
      HASHES.map(({ alg, name, block }) => {
        const type = some(libcrypto.EVP_MD_fetch(null, name, null));
        return [alg, { type, size: DIGEST_SIZE[alg]!, block }];
      }),
    );
    this.#ciphers = new Map(
      MODES.map((mode) => [mode, new Map(KEY_SIZES.map((size) => [size, this.#newCipher(size, mode)]))]),
    );
    this.#groups = Object.fromEntries(
      Object.entries(CURVE_NIDS).map(([curve, nid]) => {
        const group = some(libcrypto.EC_GROUP_new_by_curve_name(nid));
        const { size } = CURVES[Number(curve)]!;
        const point = some(libcrypto.EC_POINT_new(group));
        const result = some(libcrypto.EC_POINT_new(group));
        return [curve, { group, size, point, result, octets: new Uint8Array(1 + 2 * size) }];
      }),
    );
  }

  #newCipher(size: number, mode: AesMode): Pointer {
    const c = this.#c;
    const cipher = some(c.EVP_CIPHER_CTX_new());
    const type = some(c.EVP_CIPHER_fetch(null, cipherName(size, mode), null));
    this.#succeed(c.EVP_CipherInit_ex(cipher, type, null, NO_KEY, NO_KEY, 1));
    c.EVP_CIPHER_CTX_set_padding(cipher, 0);
    return cipher;
  }

  override hash(alg: number, ...parts: readonly Uint8Array[]): Uint8Array {
    const hash = this.#hashes.get(alg);
    const length = hash === undefined ? 0 : this.#join(0, parts);
    if (hash === undefined || length > JOINED) return super.hash(alg, ...parts);
    this.#digest(hash, this.#joined, length);
    this.#joined.fill(0, 0, length); // it may have been secret
    return copyOf(this.#digestOut, 0, hash.size);
  }

  /** H(key ^ outer || H(key ^ inner || parts)): two calls cost less than OpenSSL's own HMAC takes to begin. */
  override hmac(alg: number, key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
    const hash = this.#hashes.get(alg);
    if (hash === undefined) return super.hmac(alg, key, ...parts);
    if (key.length > hash.block) return this.hmac(alg, this.hash(alg, key), ...parts);
    const { block, size } = hash;
    const length = this.#join(block, parts);
    if (length > JOINED) return super.hmac(alg, key, ...parts);
    const inner = this.#joined;
    const outer = this.#outer;
    for (let i = 0; i < block; i++) {
      const octet = i < key.length ? key[i]! : 0;
      inner[i] = octet ^ INNER_PAD;
      outer[i] = octet ^ OUTER_PAD;
    }
    const digest = this.#digestOut;
    this.#digest(hash, inner, length);
    for (let i = 0; i < size; i++) outer[block + i] = digest[i]!;
    this.#digest(hash, outer, block + size);
    inner.fill(0, 0, length);
    outer.fill(0, 0, block + size);
    return copyOf(digest, 0, size);
  }

  /** Leaves the digest in #digestOut. */
  #digest({ type }: Hash, data: Uint8Array, length: number): void {
    this.#succeed(this.#c.EVP_Digest(data, length, this.#digestOut, null, type, null));
  }

  /** Put the parts behind `at`; returns where they end. Nothing is written when that is beyond the buffer. */
  #join(at: number, parts: readonly Uint8Array[]): number {
    let end = at;
    for (let i = 0; i < parts.length; i++) end += parts[i]!.length;
    if (end > JOINED) return end;
    for (let i = 0, to = at; i < parts.length; i++) {
      this.#joined.set(parts[i]!, to);
      to += parts[i]!.length;
    }
    return end;
  }

  override aes(mode: AesMode, encrypt: boolean, key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array {
    const cipher = this.#ciphers.get(mode)?.get(key.length);
    const size = data.length;
    if (cipher === undefined || size === 0 || size > JOINED) return super.aes(mode, encrypt, key, iv, data);
    const c = this.#c;
    this.#key.set(key);
    if (mode !== 'ecb') this.#vector.set(iv);
    const vector = mode === 'ecb' ? null : this.#vector;
    this.#succeed(c.EVP_CipherInit_ex(cipher, null, null, this.#key, vector, encrypt ? 1 : 0));
    this.#key.fill(0);
    const inPlace = this.#scratch;
    inPlace.set(data);
    this.#succeed(c.EVP_CipherUpdate(cipher, inPlace, this.#length, inPlace, size));
    c.EVP_CipherInit_ex(cipher, null, null, NO_KEY, null, -1); // overwrites the key
    const output = copyOf(inPlace, 0, size);
    inPlace.fill(0, 0, size);
    return output;
  }

  override ecPublic(curve: number, scalar: Uint8Array): EcPoint {
    const group = this.#groups[curve];
    if (group === undefined) return super.ecPublic(curve, scalar);
    return some(this.#multiply(group, scalar, null));
  }

  override ecMultiply(curve: number, point: EcPoint, scalar: Uint8Array): EcPoint | undefined {
    const group = this.#groups[curve];
    return group ? this.#multiply(group, scalar, this.#enter(group, point)) : super.ecMultiply(curve, point, scalar);
  }

  override ecSharedX(curve: number, point: EcPoint, scalar: Uint8Array): Uint8Array | undefined {
    return this.#groups[curve] ? this.ecMultiply(curve, point, scalar)?.x : super.ecSharedX(curve, point, scalar);
  }

  override ecCombineX(curve: number, u: bigint, v: bigint, point: EcPoint): Uint8Array | undefined {
    const group = this.#groups[curve];
    if (group === undefined) return super.ecCombineX(curve, u, v, point);
    const c = this.#c;
    const n = this.#number(this.#first, fromBigInt(u, group.size));
    const m = this.#number(this.#second, fromBigInt(v, group.size));
    const Q = this.#enter(group, point);
    this.#succeed(c.EC_POINT_mul(group.group, group.result, n, Q, m, this.#context));
    return this.#leave(group)?.x;
  }

  override ecOnCurve(curve: number, point: EcPoint): boolean {
    const group = this.#groups[curve];
    if (group === undefined) return super.ecOnCurve(curve, point);
    if (point.x.length > group.size || point.y.length > group.size) return false;
    this.#encode(group, point);
    const known = this.#c.EC_POINT_oct2point(
      group.group,
      group.point,
      group.octets,
      group.octets.length,
      this.#context,
    );
    if (known !== 1) this.#c.ERR_clear_error();
    return known === 1;
  }

  override ecdsaSign(curve: number, scalar: Uint8Array, digest: Uint8Array): { r: Uint8Array; s: Uint8Array } {
    const group = this.#groups[curve];
    if (group === undefined) return super.ecdsaSign(curve, scalar, digest);
    const c = this.#c;
    return this.#withKey(group, (key) => {
      this.#succeed(c.EC_KEY_set_private_key(key, this.#number(this.#secret, scalar)));
      c.BN_clear(this.#secret);
      const signature = some(c.ECDSA_do_sign(this.#outside(digest), digest.length, key));
      const r = this.#octets(c.ECDSA_SIG_get0_r(signature), group.size);
      const s = this.#octets(c.ECDSA_SIG_get0_s(signature), group.size);
      c.ECDSA_SIG_free(signature);
      return { r, s };
    });
  }

  override ecdsaVerify(curve: number, point: EcPoint, digest: Uint8Array, r: Uint8Array, s: Uint8Array): boolean {
    const group = this.#groups[curve];
    if (group === undefined) return super.ecdsaVerify(curve, point, digest, r, s);
    if (!this.ecOnCurve(curve, point)) return false; // leaves the point in group.point
    const c = this.#c;
    return this.#withKey(group, (key) => {
      this.#succeed(c.EC_KEY_set_public_key(key, group.point));
      const signature = some(c.ECDSA_SIG_new());
      // The signature owns the two numbers from here on.
      c.ECDSA_SIG_set0(signature, this.#number(null, r), this.#number(null, s));
      const valid = c.ECDSA_do_verify(this.#outside(digest), digest.length, signature, key);
      c.ECDSA_SIG_free(signature);
      if (valid !== 1) c.ERR_clear_error();
      return valid === 1;
    });
  }

  override rsaPublic(n: Uint8Array, e: number, m: Uint8Array): Uint8Array {
    // A public area may hold any modulus; OpenSSL's exponentiation wants an odd one.
    if ((n.at(-1)! & 1) === 0) return fromBigInt(modPow(toBigInt(m), BigInt(e), toBigInt(n)), n.length);
    const exponent = this.#number(this.#second, fromBigInt(BigInt(e), 4));
    return this.#power(this.#number(this.#first, m), exponent, n, false);
  }

  protected override modPow(base: bigint, exponent: bigint, modulus: bigint): bigint {
    const n = fromBigInt(modulus, Math.ceil(modulus.toString(16).length / 2));
    const power = this.#number(this.#secret, fromBigInt(exponent, n.length));
    const result = this.#power(this.#number(this.#first, fromBigInt(base % modulus, n.length)), power, n, true);
    this.#c.BN_clear(this.#secret);
    return toBigInt(result);
  }

  /** base^exponent mod an odd n, as long as n. */
  #power(base: Pointer, exponent: Pointer, n: Uint8Array, secret: boolean): Uint8Array {
    const c = this.#c;
    const modulus = this.#number(null, n);
    try {
      const power = secret ? c.BN_mod_exp_mont_consttime : c.BN_mod_exp_mont;
      this.#succeed(power(this.#result, base, exponent, modulus, this.#context, null));
      return this.#octets(this.#result, n.length);
    } finally {
      c.BN_clear(this.#result);
      c.BN_clear_free(modulus);
    }
  }

  /** scalar * Q, or scalar * G without Q; undefined at infinity. */
  #multiply(group: Group, scalar: Uint8Array, Q: Pointer): EcPoint | undefined {
    const c = this.#c;
    const k = this.#number(this.#secret, scalar);
    const [n, m] = Q === null ? [k, null] : [null, k];
    const done = c.EC_POINT_mul(group.group, group.result, n, Q, m, this.#context);
    c.BN_clear(this.#secret);
    this.#succeed(done);
    return this.#leave(group);
  }

  /** The octets as a number: in this one, or in a new one. */
  #number(into: Pointer, octets: Uint8Array): Pointer {
    const number = some(this.#c.BN_bin2bn(this.#outside(octets), octets.length, into));
    this.#scratch.fill(0, 0, octets.length);
    return number;
  }

  #octets(number: Pointer, size: number): Uint8Array {
    if (this.#c.BN_bn2binpad(number, this.#scratch, size) !== size) throw this.#failure();
    const octets = copyOf(this.#scratch, 0, size);
    this.#scratch.fill(0, 0, size);
    return octets;
  }

  /** The octets, for one call, where a call can read them. */
  #outside(octets: Uint8Array): Uint8Array {
    this.#scratch.set(octets);
    return this.#scratch;
  }

  #encode({ octets, size }: Group, { x, y }: EcPoint): void {
    octets.fill(0);
    octets[0] = UNCOMPRESSED;
    octets.set(x, 1 + size - x.length);
    octets.set(y, 1 + 2 * size - y.length);
  }

  #enter(group: Group, point: EcPoint): Pointer {
    this.#encode(group, point);
    const { octets } = group;
    this.#succeed(this.#c.EC_POINT_oct2point(group.group, group.point, octets, octets.length, this.#context));
    return group.point;
  }

  #leave({ group, result, octets, size }: Group): EcPoint | undefined {
    const c = this.#c;
    if (c.EC_POINT_is_at_infinity(group, result) === 1) return undefined;
    const length = c.EC_POINT_point2oct(group, result, UNCOMPRESSED, octets, octets.length, this.#context);
    if (length !== octets.length) throw this.#failure();
    const point = { x: octets.slice(1, 1 + size), y: octets.slice(1 + size) };
    octets.fill(0);
    return point;
  }

  #withKey<T>({ group }: Group, work: (key: Pointer) => T): T {
    const c = this.#c;
    const key = some(c.EC_KEY_new());
    try {
      this.#succeed(c.EC_KEY_set_group(key, group));
      return work(key);
    } finally {
      c.EC_KEY_free(key); // clears the private scalar
    }
  }

  #succeed(done: number): void {
    if (done !== 1) throw this.#failure();
  }

  #failure(): TpmError {
    this.#c.ERR_clear_error();
    return new TpmError(TPM_RC.FAILURE);
  }
}

const cipherName = (size: number, mode: AesMode) => `AES-${size * 8}-${mode.toUpperCase()}`;

/** What OpenSSL gives unless memory is out. */
function some<T>(value: T | null | undefined): T {
  if (value === null || value === undefined) throw new TpmError(TPM_RC.FAILURE);
  return value;
}
