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

/** OpenSSL's names of hash algorithms; DIGEST_SIZE has their sizes. */
const HASHES: Readonly<Record<number, string>> = {
  [TPM_ALG.SHA1]: 'SHA1',
  [TPM_ALG.SHA256]: 'SHA256',
  [TPM_ALG.SHA384]: 'SHA384',
  [TPM_ALG.SHA512]: 'SHA512',
  [TPM_ALG.SHA3_256]: 'SHA3-256',
  [TPM_ALG.SHA3_384]: 'SHA3-384',
  [TPM_ALG.SHA3_512]: 'SHA3-512',
};
const KEY_SIZES = [16, 24, 32];
const MODES: readonly AesMode[] = ['cfb', 'ctr', 'ofb', 'cbc', 'ecb'];
/** Stands for no octets where OpenSSL takes a null pointer for "as before". */
const NOTHING = new Uint8Array(1);

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
  readonly #hashes: ReadonlyMap<number, Pointer>;
  readonly #ciphers: ReadonlyMap<string, Pointer>;
  readonly #digest: Pointer;
  readonly #mac: Pointer;
  readonly #cipher: Pointer;
  readonly #length = new Uint8Array(4);

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
    this.#digest = some(libcrypto.EVP_MD_CTX_new());
    this.#mac = some(libcrypto.HMAC_CTX_new());
    this.#cipher = some(libcrypto.EVP_CIPHER_CTX_new());
    this.#hashes = new Map(
      Object.entries(HASHES).map(([alg, name]) => [Number(alg), some(libcrypto.EVP_MD_fetch(null, name, null))]),
    );
    this.#ciphers = new Map(
      KEY_SIZES.flatMap((size) =>
        MODES.map((mode) => [
          cipherName(size, mode),
          some(libcrypto.EVP_CIPHER_fetch(null, cipherName(size, mode), null)),
        ]),
      ),
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

  override hash(alg: number, ...parts: readonly Uint8Array[]): Uint8Array {
    const type = this.#hashes.get(alg);
    if (type === undefined) return super.hash(alg, ...parts);
    const c = this.#c;
    this.#succeed(c.EVP_DigestInit_ex(this.#digest, type, null));
    for (const part of parts) if (part.length > 0) c.EVP_DigestUpdate(this.#digest, part, part.length);
    const digest = new Uint8Array(DIGEST_SIZE[alg]!); // one of HASHES
    this.#succeed(c.EVP_DigestFinal_ex(this.#digest, digest, null));
    return digest;
  }

  override hmac(alg: number, key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
    const type = this.#hashes.get(alg);
    if (type === undefined) return super.hmac(alg, key, ...parts);
    const c = this.#c;
    this.#succeed(c.HMAC_Init_ex(this.#mac, key.length > 0 ? key : NOTHING, key.length, type, null));
    for (const part of parts) if (part.length > 0) c.HMAC_Update(this.#mac, part, part.length);
    const digest = new Uint8Array(DIGEST_SIZE[alg]!); // one of HASHES
    this.#succeed(c.HMAC_Final(this.#mac, digest, null));
    c.HMAC_CTX_reset(this.#mac); // clears the key
    return digest;
  }

  override aes(mode: AesMode, encrypt: boolean, key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array {
    const type = this.#ciphers.get(cipherName(key.length, mode));
    if (type === undefined || data.length === 0) return super.aes(mode, encrypt, key, iv, data);
    const c = this.#c;
    const vector = mode === 'ecb' ? null : iv;
    this.#succeed(c.EVP_CipherInit_ex(this.#cipher, type, null, key, vector, encrypt ? 1 : 0));
    c.EVP_CIPHER_CTX_set_padding(this.#cipher, 0);
    const output = new Uint8Array(data.length);
    this.#succeed(c.EVP_CipherUpdate(this.#cipher, output, this.#length, data, data.length));
    c.EVP_CIPHER_CTX_reset(this.#cipher); // clears the key
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
      const signature = some(c.ECDSA_do_sign(digest, digest.length, key));
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
      c.ECDSA_SIG_set0(signature, some(c.BN_bin2bn(r, r.length, null)), some(c.BN_bin2bn(s, s.length, null)));
      const valid = c.ECDSA_do_verify(digest, digest.length, signature, key);
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
    const modulus = some(c.BN_bin2bn(n, n.length, null));
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

  #number(into: Pointer, octets: Uint8Array): Pointer {
    return some(this.#c.BN_bin2bn(octets, octets.length, into));
  }

  #octets(number: Pointer, size: number): Uint8Array {
    const octets = new Uint8Array(size);
    if (this.#c.BN_bn2binpad(number, octets, size) !== size) throw this.#failure();
    return octets;
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
