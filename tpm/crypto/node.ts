/** The fast provider: OpenSSL through node:crypto; what OpenSSL does not offer on a bare digest falls back to noble. */
import {
  checkPrimeSync,
  constants,
  createCipheriv,
  createDecipheriv,
  createECDH,
  createHmac,
  createPrivateKey,
  createPublicKey,
  type ECDH,
  generateKeyPairSync,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
  randomFillSync,
} from 'node:crypto';
import { TPM_ALG, TPM_ECC } from '../structures/constants.ts';
import { fromBigInt, padLeft, stripZeros, toBigInt } from './bytes.ts';
import { curveOf, NobleCrypto } from './noble.ts';
import { modInverse } from './primes.ts';
import type { AesMode, EcPoint, RsaKey } from './provider.ts';

const HASH_NAMES: Readonly<Record<number, string>> = {
  [TPM_ALG.SHA1]: 'sha1',
  [TPM_ALG.SHA256]: 'sha256',
  [TPM_ALG.SHA384]: 'sha384',
  [TPM_ALG.SHA512]: 'sha512',
  [TPM_ALG.SHA3_256]: 'sha3-256',
  [TPM_ALG.SHA3_384]: 'sha3-384',
  [TPM_ALG.SHA3_512]: 'sha3-512',
};
const CURVE_NAMES: Readonly<Record<number, string>> = {
  [TPM_ECC.NIST_P256]: 'prime256v1',
  [TPM_ECC.NIST_P384]: 'secp384r1',
  [TPM_ECC.NIST_P521]: 'secp521r1',
};

const base64url = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url');
const view = (buffer: Buffer): Uint8Array => new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
/** Node hands out slices of a shared pool; what the TPM keeps must not pin or alias it. */
const own = (buffer: Buffer): Uint8Array => Uint8Array.from(buffer);

export class NodeCrypto extends NobleCrypto {
  override readonly name = 'node';
  readonly #rsaPrivateKeys = new WeakMap<RsaKey, KeyObject>();
  readonly #ecdh = new Map<number, ECDH>();

  override hmac(alg: number, key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
    const name = HASH_NAMES[alg];
    if (name === undefined) return super.hmac(alg, key, ...parts);
    const state = createHmac(name, key);
    for (const part of parts) state.update(part);
    return view(state.digest());
  }

  override aes(mode: AesMode, encrypt: boolean, key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array {
    if (data.length === 0) return new Uint8Array(0);
    const name = `aes-${key.length * 8}-${mode}`;
    const vector = mode === 'ecb' ? null : iv;
    const cipher = encrypt ? createCipheriv(name, key, vector) : createDecipheriv(name, key, vector);
    cipher.setAutoPadding(false);
    const output = cipher.update(data);
    cipher.final();
    return own(output);
  }

  override rsaGenerate(bits: number, e: number): RsaKey {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: bits, publicExponent: e });
    const jwk = privateKey.export({ format: 'jwk' });
    const octets = (text: string | undefined, size: number): Uint8Array =>
      padLeft(own(Buffer.from(text ?? '', 'base64url')), size);
    return { n: octets(jwk.n, bits / 8), p: octets(jwk.p, bits / 16), e };
  }

  override isProbablePrime(candidate: bigint): boolean {
    return checkPrimeSync(candidate);
  }

  override rsaPublic(n: Uint8Array, e: number, m: Uint8Array): Uint8Array {
    const key = createPublicKey({
      key: { kty: 'RSA', n: base64url(n), e: base64url(stripZeros(fromBigInt(BigInt(e), 4))) },
      format: 'jwk',
    });
    return own(publicEncrypt({ key, padding: constants.RSA_NO_PADDING }, padLeft(m, n.length)));
  }

  override rsaPrivate(key: RsaKey, c: Uint8Array): Uint8Array {
    let privateKey = this.#rsaPrivateKeys.get(key);
    if (privateKey === undefined) {
      privateKey = this.#importRsa(key);
      this.#rsaPrivateKeys.set(key, privateKey);
    }
    return own(privateDecrypt({ key: privateKey, padding: constants.RSA_NO_PADDING }, padLeft(c, key.n.length)));
  }

  #importRsa(key: RsaKey): KeyObject {
    const n = toBigInt(key.n);
    const p = toBigInt(key.p);
    const q = n / p;
    const e = BigInt(key.e);
    const d = modInverse(e, (p - 1n) * (q - 1n));
    const size = key.n.length;
    const half = key.p.length;
    const int = (value: bigint, octets: number): string => base64url(fromBigInt(value, octets));
    return createPrivateKey({
      key: {
        kty: 'RSA',
        n: base64url(key.n),
        e: base64url(stripZeros(fromBigInt(e, 4))),
        d: int(d, size),
        p: int(p, half),
        q: int(q, half),
        dp: int(d % (p - 1n), half),
        dq: int(d % (q - 1n), half),
        qi: int(modInverse(q, p), half),
      },
      format: 'jwk',
    });
  }

  override ecPublic(curve: number, scalar: Uint8Array): EcPoint {
    const bytes = this.#publicBytes(curve, scalar);
    const size = (bytes.length - 1) / 2;
    return { x: bytes.slice(1, 1 + size), y: bytes.slice(1 + size) };
  }

  #publicBytes(curve: number, scalar: Uint8Array): Uint8Array {
    curveOf(curve); // TPM_RC_CURVE for one that is none
    let ecdh = this.#ecdh.get(curve);
    if (ecdh === undefined) {
      ecdh = createECDH(CURVE_NAMES[curve]!);
      this.#ecdh.set(curve, ecdh);
    }
    ecdh.setPrivateKey(scalar);
    return own(ecdh.getPublicKey());
  }

  /** r = x(kG) by OpenSSL, s in BigInt with a blinded inverse: OpenSSL signs messages only, a TPM signs digests. */
  override ecdsaSign(curve: number, scalar: Uint8Array, digest: Uint8Array): { r: Uint8Array; s: Uint8Array } {
    const { Fn } = curveOf(curve).Point;
    const order = Fn.ORDER;
    const size = Fn.BYTES;
    const excess = BigInt(Math.max(0, digest.length * 8 - Fn.BITS));
    const z = toBigInt(digest) >> excess;
    const d = toBigInt(scalar);
    for (;;) {
      const k = (toBigInt(this.random(size + 8)) % (order - 1n)) + 1n;
      const blind = (toBigInt(this.random(size + 8)) % (order - 1n)) + 1n;
      const bytes = this.#publicBytes(curve, fromBigInt(k, size));
      const r = toBigInt(bytes.subarray(1, 1 + (bytes.length - 1) / 2)) % order;
      const blinded = (((blind * z) % order) + ((blind * r) % order) * d) % order;
      const s = (modInverse((k * blind) % order, order) * blinded) % order;
      if (r !== 0n && s !== 0n) return { r: fromBigInt(r, size), s: fromBigInt(s, size) };
    }
  }

  override random(size: number): Uint8Array {
    return randomFillSync(new Uint8Array(size));
  }
}
