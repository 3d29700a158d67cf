/**
 * The fast provider: OpenSSL through node:crypto; what it does not offer, or does more slowly, is
 * inherited from the portable one.
 */
import {
  checkPrimeSync,
  constants,
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  hash,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
  randomFillSync,
} from 'node:crypto';
import { TPM_ALG, TPM_ECC } from '../structures/constants.ts';
import { concat, fromBigInt, padLeft, stripZeros, toBigInt } from './bytes.ts';
import { CURVES, type Curve } from './curves.ts';
import { NobleCrypto } from './noble.ts';
import { OpensslCurve } from './node-curve.ts';
import type { AesMode, RsaKey } from './provider.ts';
import { rsaNumbers } from './rsa-key.ts';

const HASH_NAMES: Readonly<Record<number, string>> = {
  [TPM_ALG.SHA1]: 'sha1',
  [TPM_ALG.SHA256]: 'sha256',
  [TPM_ALG.SHA384]: 'sha384',
  [TPM_ALG.SHA512]: 'sha512',
  [TPM_ALG.SHA3_256]: 'sha3-256',
  [TPM_ALG.SHA3_384]: 'sha3-384',
  [TPM_ALG.SHA3_512]: 'sha3-512',
};
/** OpenSSL's P-256 is an order of magnitude faster than noble's; its larger curves are not. */
const P256 = new OpensslCurve(CURVES[TPM_ECC.NIST_P256]!, 'prime256v1');

const base64url = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url');
const view = (buffer: Buffer): Uint8Array => new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
/** Node hands out slices of a shared pool; what the TPM keeps must not pin or alias it. */
const own = (buffer: Buffer): Uint8Array => Uint8Array.from(buffer);

export class NodeCrypto extends NobleCrypto {
  override readonly name: string = 'node';
  readonly #rsaPrivateKeys = new WeakMap<RsaKey, KeyObject>();
  readonly #rsaPublicKeys = new WeakMap<Uint8Array, { e: number; key: KeyObject }>();

  override hash(alg: number, ...parts: readonly Uint8Array[]): Uint8Array {
    const name = HASH_NAMES[alg];
    if (name === undefined) return super.hash(alg, ...parts);
    return view(hash(name, parts.length === 1 ? parts[0]! : concat(...parts), 'buffer'));
  }

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

  /**
   * The rounds of FIPS 186-5 for random candidates, as in the portable provider. checkPrimeSync always does 64 of them,
   * as OpenSSL holds for candidates of an adversary, and takes twice as long for a key.
   */
  override isProbablePrime(candidate: bigint): boolean {
    return candidate >> 511n === 0n ? candidate > 1n && checkPrimeSync(candidate) : super.isProbablePrime(candidate);
  }

  /** OpenSSL's exponentiation is reachable as that of an RSA public key, for moduli of 512 bits and more. */
  protected override modPow(base: bigint, exponent: bigint, modulus: bigint): bigint {
    const size = Math.ceil(modulus.toString(16).length / 2);
    const octets = (value: bigint): string => base64url(stripZeros(fromBigInt(value, size)));
    const key = createPublicKey({ key: { kty: 'RSA', n: octets(modulus), e: octets(exponent) }, format: 'jwk' });
    return toBigInt(publicEncrypt({ key, padding: constants.RSA_NO_PADDING }, fromBigInt(base, size)));
  }

  override rsaPublic(n: Uint8Array, e: number, m: Uint8Array): Uint8Array {
    let known = this.#rsaPublicKeys.get(n);
    if (known === undefined || known.e !== e) {
      const key = { kty: 'RSA', n: base64url(n), e: base64url(stripZeros(fromBigInt(BigInt(e), 4))) };
      known = { e, key: createPublicKey({ key, format: 'jwk' }) };
      this.#rsaPublicKeys.set(n, known);
    }
    return own(publicEncrypt({ key: known.key, padding: constants.RSA_NO_PADDING }, padLeft(m, n.length)));
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
    const { e, p, q, d, dp, dq, qInverse } = rsaNumbers(key);
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
        dp: int(dp, half),
        dq: int(dq, half),
        qi: int(qInverse, half),
      },
      format: 'jwk',
    });
  }

  protected override curve(curve: number): Curve {
    return curve === TPM_ECC.NIST_P256 ? P256 : super.curve(curve);
  }

  override random(size: number): Uint8Array {
    return randomFillSync(new Uint8Array(size));
  }
}
