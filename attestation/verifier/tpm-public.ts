/** The public area of a TPM key, as a verifier reads it: name, attributes and key material. Part 2, section 12.2.4. */
import {
  decode,
  digest,
  nameOf,
  TPM_ALG,
  TPM_ECC,
  TPMA_OBJECT,
  TPMT_PUBLIC,
  type TPMT_SYM_DEF_OBJECT,
} from '../../tpm/structures/index.ts';
import { hashById } from '../hash.ts';
import type { CertifiedCurve, CertifiedKey } from './ek-certificates.ts';

export const ATTRIBUTE = TPMA_OBJECT.bits;

export type NameHash = 'sha1' | 'sha256' | 'sha384' | 'sha512';

export interface TpmPublic {
  /** nameAlg identifier || digest of the public area. */
  readonly name: Uint8Array;
  readonly nameAlg: NameHash;
  readonly attributes: number;
  /** AES-CFB key size of a storage key in bits; undefined for a key without one. */
  readonly symmetricBits: number | undefined;
  readonly key: CertifiedKey;
}

const HASHES: Readonly<Record<number, NameHash>> = {
  [TPM_ALG.SHA1]: 'sha1',
  [TPM_ALG.SHA256]: 'sha256',
  [TPM_ALG.SHA384]: 'sha384',
  [TPM_ALG.SHA512]: 'sha512',
};
const CURVES: Readonly<Record<number, CertifiedCurve>> = {
  [TPM_ECC.NIST_P256]: 'P-256',
  [TPM_ECC.NIST_P384]: 'P-384',
  [TPM_ECC.NIST_P521]: 'P-521',
};
const DEFAULT_EXPONENT = 65537;

function trimmed(bytes: Uint8Array): Uint8Array {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1;
  return bytes.subarray(start);
}

function aesCfbBits(symmetric: TPMT_SYM_DEF_OBJECT): number | undefined {
  if (symmetric.algorithm !== TPM_ALG.AES || symmetric.mode !== TPM_ALG.CFB) return undefined;
  return symmetric.keyBits;
}

function keyOf(area: TPMT_PUBLIC): CertifiedKey {
  if (area.type === TPM_ALG.RSA) {
    const modulus = trimmed(area.unique);
    if (modulus.length * 8 !== area.parameters.keyBits) throw new RangeError('the modulus has not its stated length');
    return { type: 'rsa', modulus, exponent: area.parameters.exponent || DEFAULT_EXPONENT };
  }
  if (area.type === TPM_ALG.ECC) {
    const curve = CURVES[area.parameters.curveID];
    if (curve === undefined) throw new RangeError('the curve is not one of NIST P-256, P-384, P-521');
    return { type: 'ec', curve, x: trimmed(area.unique.x), y: trimmed(area.unique.y) };
  }
  throw new RangeError('the key is neither RSA nor ECC');
}

/** Parse a TPMT_PUBLIC. Throws for anything that is not an RSA or ECC public area that is supported here. */
export function parseTpmPublic(bytes: Uint8Array): TpmPublic {
  const area = decode(TPMT_PUBLIC, bytes);
  const nameAlg = HASHES[area.nameAlg];
  if (nameAlg === undefined) throw new RangeError('the name algorithm is not supported');
  const key = keyOf(area);
  const symmetricBits = 'symmetric' in area.parameters ? aesCfbBits(area.parameters.symmetric) : undefined;
  return { name: tpmName(bytes), nameAlg, attributes: area.objectAttributes, symmetricBits, key };
}

/** Name of the object whose TPMT_PUBLIC this is, over these very bytes. Part 1, section 16. */
export function tpmName(publicArea: Uint8Array): Uint8Array {
  const { nameAlg } = decode(TPMT_PUBLIC, publicArea);
  return nameOf(nameAlg, hashById(nameAlg)?.digest(publicArea) ?? digest(nameAlg, publicArea));
}
