/**
 * Signatures of files in IMA's list: security.ima in its second and third version (struct signature_v2_hdr of
 * security/integrity/integrity.h), by keys that the appraiser names. Keyrings of the attester are not asked.
 */
import { constants, type KeyObject, publicDecrypt, verify, X509Certificate } from 'node:crypto';
import { concatBytes, sameBytes, toHex } from '../bytes.ts';
import { hashByName, SHA1 } from '../hash.ts';
import type { ImaFields } from './list.ts';

/** enum evm_ima_xattr_type */
const DIGSIG = 0x03;
const VERITY_DIGSIG = 0x06;
const VERSION_2 = 2;
const VERSION_3 = 3;
const HEADER_SIZE = 9;
/** enum hash_algo of the kernel, include/uapi/linux/hash_info.h. */
const KERNEL_HASHES: Readonly<Record<number, string>> = { 2: 'sha1', 4: 'sha256', 5: 'sha384', 6: 'sha512' };
/** DER of DigestInfo up to the digest. RFC 8017, section 9.2, note 1. */
const DIGEST_INFO: Readonly<Record<string, string>> = {
  sha1: '3021300906052b0e03021a05000414',
  sha256: '3031300d060960864801650304020105000420',
  sha384: '3041300d060960864801650304020205000430',
  sha512: '3051300d060960864801650304020305000440',
};

export interface ImaSignature {
  /** `digest` is of the file, `verity` of its fs-verity descriptor. */
  readonly kind: 'digest' | 'verity';
  readonly algorithm: string;
  /** Last four bytes of the signer's subject key identifier, hexadecimal. */
  readonly keyId: string;
  readonly signature: Uint8Array;
}

/** Read security.ima; undefined for a bare digest, an older version or what is no signature. */
export function parseImaSignature(xattr: Uint8Array): ImaSignature | undefined {
  const [type, version, hash = 0] = xattr;
  const kind = type === DIGSIG && version === VERSION_2 ? 'digest' : undefined;
  const verity = type === VERITY_DIGSIG && version === VERSION_3 ? 'verity' : undefined;
  const algorithm = KERNEL_HASHES[hash];
  const size = ((xattr[7] ?? 0) << 8) | (xattr[8] ?? 0);
  if ((kind ?? verity) === undefined || algorithm === undefined || xattr.length !== HEADER_SIZE + size)
    return undefined;
  return {
    kind: verity ?? 'digest',
    algorithm,
    keyId: toHex(xattr.subarray(3, 7)),
    signature: xattr.subarray(HEADER_SIZE),
  };
}

/** Keys that may sign files, by key identifier. */
export class ImaKeys {
  readonly #keys = new Map<string, KeyObject>();

  /** `certificates`: X.509 in DER. Throws what node:crypto throws for bytes that are none. */
  constructor(certificates: readonly Uint8Array[]) {
    for (const der of certificates) {
      const { publicKey } = new X509Certificate(der);
      this.#keys.set(keyIdOf(publicKey), publicKey);
    }
  }

  /** The key identifier of the signer, when a known key signed this entry's file; undefined otherwise. */
  signerOf(fields: ImaFields): string | undefined {
    const parsed = fields.signature === undefined ? undefined : parseImaSignature(fields.signature);
    const key = parsed && this.#keys.get(parsed.keyId);
    if (parsed === undefined || key === undefined) return undefined;
    const digest = signedDigest(fields, parsed);
    return digest !== undefined && verifiesDigest(key, parsed, digest) ? parsed.keyId : undefined;
  }
}

/** What the signature is over: the file's digest, or the hash of struct ima_file_id. */
function signedDigest(fields: ImaFields, { kind, algorithm }: ImaSignature): Uint8Array | undefined {
  if (kind === 'digest')
    return fields.algorithm === algorithm && fields.digestType === 'ima' ? fields.digest : undefined;
  if (fields.digestType !== 'verity') return undefined;
  const hashNumber = Number(Object.entries(KERNEL_HASHES).find(([, name]) => name === fields.algorithm)?.[0] ?? -1);
  return hashByName(algorithm)?.digest(concatBytes(Uint8Array.of(VERITY_DIGSIG, hashNumber), fields.digest));
}

function verifiesDigest(key: KeyObject, { algorithm, signature }: ImaSignature, digest: Uint8Array): boolean {
  try {
    if (key.asymmetricKeyType === 'rsa') {
      const expected = concatBytes(Buffer.from(DIGEST_INFO[algorithm] ?? '', 'hex'), digest);
      return sameBytes(publicDecrypt({ key, padding: constants.RSA_PKCS1_PADDING }, signature), expected);
    }
    return key.asymmetricKeyType === 'ed25519' && verify(null, digest, key, signature);
  } catch {
    // A signature that cannot be opened with the key is not by it.
    return false;
  }
}

/** Last four bytes of SHA-1 over the subject public key, which is how keys without an extension are identified. */
function keyIdOf(key: KeyObject): string {
  const spki = key.export({ format: 'der', type: 'spki' });
  return toHex(SHA1.digest(subjectPublicKey(spki)).subarray(-4));
}

/** The contents of the BIT STRING that ends a SubjectPublicKeyInfo. */
function subjectPublicKey(spki: Uint8Array): Uint8Array {
  const skip = (at: number): { start: number; end: number } => {
    const length = spki[at + 1] ?? 0;
    if (length < 0x80) return { start: at + 2, end: at + 2 + length };
    let size = 0;
    for (let i = 0; i < (length & 0x7f); i++) size = size * 256 + (spki[at + 2 + i] ?? 0);
    return { start: at + 2 + (length & 0x7f), end: at + 2 + (length & 0x7f) + size };
  };
  const outer = skip(0);
  const algorithm = skip(outer.start);
  const bits = skip(algorithm.end);
  return spki.subarray(bits.start + 1, bits.end);
}
