/**
 * The public area of a TPM key, as a verifier reads it: name, attributes and key material. TPM 2.0 Library, Part 2,
 * section 12.2.4 (TPMT_PUBLIC), restricted to asymmetric keys. Bounded and exact: trailing bytes are refused.
 */
import { createHash } from 'node:crypto';
import type { CertifiedCurve, CertifiedKey } from './ek-certificates.ts';

/** TPMA_OBJECT bits, Part 2, section 8.3. */
export const ATTRIBUTE = {
  fixedTPM: 1 << 1,
  fixedParent: 1 << 4,
  sensitiveDataOrigin: 1 << 5,
  restricted: 1 << 16,
  decrypt: 1 << 17,
  sign: 1 << 18,
} as const;

export type NameHash = 'sha1' | 'sha256' | 'sha384' | 'sha512';

export interface TpmPublic {
  /** nameAlg identifier || digest of the public area. */
  readonly name: Uint8Array;
  readonly nameAlg: NameHash;
  readonly attributes: number;
  /** AES key size of a storage key in bits; undefined for a key without a symmetric algorithm. */
  readonly symmetricBits: number | undefined;
  readonly key: CertifiedKey;
}

const ALG_RSA = 0x0001;
const ALG_AES = 0x0006;
const ALG_NULL = 0x0010;
const ALG_ECC = 0x0023;
const ALG_CFB = 0x0043;
/** Signature and encryption schemes that carry no hash: RSAES. */
const ALG_RSAES = 0x0015;
/** ECDAA carries a count after its hash. */
const ALG_ECDAA = 0x001a;
const HASHES: Readonly<Record<number, NameHash>> = { 4: 'sha1', 11: 'sha256', 12: 'sha384', 13: 'sha512' };
const CURVES: Readonly<Record<number, CertifiedCurve>> = { 3: 'P-256', 4: 'P-384', 5: 'P-521' };
const DEFAULT_EXPONENT = 65537;

/** Sequential big-endian reader; every read is checked. */
class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u16(): number {
    this.#offset += 2;
    return this.#view.getUint16(this.#offset - 2);
  }

  u32(): number {
    this.#offset += 4;
    return this.#view.getUint32(this.#offset - 4);
  }

  sized(): Uint8Array {
    const length = this.u16();
    const start = this.#offset;
    if (start + length > this.#bytes.length) throw new RangeError('a sized buffer passes the end');
    this.#offset += length;
    return this.#bytes.subarray(start, this.#offset);
  }

  end(): void {
    if (this.#offset !== this.#bytes.length) throw new RangeError('bytes follow the public area');
  }
}

function symmetric(reader: Reader): number | undefined {
  const algorithm = reader.u16();
  if (algorithm === ALG_NULL) return undefined;
  if (algorithm !== ALG_AES) throw new RangeError('the symmetric algorithm is not AES');
  const bits = reader.u16();
  if (reader.u16() !== ALG_CFB) throw new RangeError('the symmetric mode is not CFB');
  return bits;
}

function skipScheme(reader: Reader): void {
  const scheme = reader.u16();
  if (scheme === ALG_NULL || scheme === ALG_RSAES) return;
  reader.u16();
  if (scheme === ALG_ECDAA) reader.u16();
}

function trimmed(bytes: Uint8Array): Uint8Array {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1;
  return bytes.subarray(start);
}

/** Parse a TPMT_PUBLIC. Throws `RangeError` for anything that is not an RSA or ECC public area that we support. */
export function parseTpmPublic(bytes: Uint8Array): TpmPublic {
  const reader = new Reader(bytes);
  const type = reader.u16();
  const nameAlgorithm = reader.u16();
  const nameAlg = HASHES[nameAlgorithm];
  if (nameAlg === undefined) throw new RangeError('the name algorithm is unknown');
  const attributes = reader.u32();
  reader.sized();
  const symmetricBits = symmetric(reader);
  skipScheme(reader);
  let key: CertifiedKey;
  if (type === ALG_RSA) {
    const bits = reader.u16();
    const exponent = reader.u32() || DEFAULT_EXPONENT;
    const modulus = trimmed(reader.sized());
    if (modulus.length * 8 !== bits) throw new RangeError('the modulus has not the length it claims');
    key = { type: 'rsa', modulus, exponent };
  } else if (type === ALG_ECC) {
    const curve = CURVES[reader.u16()];
    if (curve === undefined) throw new RangeError('the curve is not one of NIST P-256, P-384, P-521');
    if (reader.u16() !== ALG_NULL) reader.u16();
    key = { type: 'ec', curve, x: trimmed(reader.sized()), y: trimmed(reader.sized()) };
  } else {
    throw new RangeError('the key is neither RSA nor ECC');
  }
  reader.end();
  return { name: tpmName(bytes), nameAlg, attributes, symmetricBits, key };
}

/** Name of the object: nameAlg || H(TPMT_PUBLIC). Part 1, section 16. Throws `RangeError` for an unknown algorithm. */
export function tpmName(publicArea: Uint8Array): Uint8Array {
  const algorithm = new Reader(publicArea.subarray(2)).u16();
  const hash = HASHES[algorithm];
  if (hash === undefined) throw new RangeError('the name algorithm is unknown');
  return Buffer.concat([publicArea.subarray(2, 4), createHash(hash).update(publicArea).digest()]);
}
