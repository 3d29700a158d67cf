/**
 * Signatures of files in IMA's list: security.ima in its second and third version (struct signature_v2_hdr of
 * security/integrity/integrity.h), by keys that the appraiser names. Keyrings of the attester are not asked.
 */
import { concatBytes, fromHex, latin1, toHex } from '../bytes.ts';
import { plainSignature } from '../crypto/ecdsa.ts';
import { CURVE_SIZES, curveOf, type HashName, type PublicKey, verification } from '../crypto/port.ts';
import { hashByName, SHA256 } from '../hash.ts';
import { keyIdentifiers, publicKeyOf, readCertificate } from '../x509/certificate.ts';
import { nameBytes } from '../x509/chain.ts';
import type { ImaFields } from './list.ts';
import { parseModuleSignature, serialName, signedModuleDigest } from './module-signature.ts';

/** enum evm_ima_xattr_type */
const DIGSIG = 0x03;
const VERITY_DIGSIG = 0x06;
const VERSION_2 = 2;
const VERSION_3 = 3;
const HEADER_SIZE = 9;
/** enum hash_algo of the kernel, include/uapi/linux/hash_info.h. */
const KERNEL_HASHES: Readonly<Record<number, HashName>> = { 2: 'sha1', 4: 'sha256', 5: 'sha384', 6: 'sha512' };

export interface ImaSignature {
  /** `digest` is of the file, `verity` of its fs-verity descriptor. */
  readonly kind: 'digest' | 'verity';
  readonly algorithm: HashName;
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

/** As many signatures as the files of a few distributions; about 10 MB. */
const MAX_KNOWN = 100_000;

interface Signer {
  readonly key: PublicKey;
  /** Last four bytes of the subject key identifier, hexadecimal: how the kernel names a key. */
  readonly keyId: string;
}

/** Keys that may sign files and modules, by what signatures name them with. */
export class ImaKeys {
  readonly #files = new Map<string, Signer>();
  readonly #modules = new Map<string, Signer>();
  /** Signatures that verified: a fleet runs the same files. */
  readonly #good = new Set<string>();

  /** `certificates`: X.509 in DER. Throws CertificateError. */
  constructor(certificates: readonly Uint8Array[]) {
    for (const der of certificates) {
      const certificate = readCertificate(der);
      const key = publicKeyOf(certificate);
      for (const identifier of keyIdentifiers(certificate)) {
        const keyId = toHex(identifier.subarray(-4));
        this.#files.set(keyId, { key, keyId });
        this.#modules.set(toHex(identifier), { key, keyId });
        this.#modules.set(serialName(nameBytes(certificate.issuer), certificate.serialNumber), { key, keyId });
      }
    }
  }

  /**
   * The key identifier of the signer, when a known key signed this entry's file, by its attribute or by a signature
   * appended to it; undefined otherwise.
   */
  signerOf(fields: ImaFields): string | undefined {
    return this.#fileSigner(fields) ?? this.#moduleSigner(fields);
  }

  #fileSigner(fields: ImaFields): string | undefined {
    const parsed = fields.signature === undefined ? undefined : parseImaSignature(fields.signature);
    const signer = parsed && this.#files.get(parsed.keyId);
    if (parsed === undefined || signer === undefined) return undefined;
    const digest = signedDigest(fields, parsed);
    return digest !== undefined && this.#verifies(signer, parsed, digest) ? signer.keyId : undefined;
  }

  #moduleSigner({ moduleSignature, moduleDigest, moduleAlgorithm }: ImaFields): string | undefined {
    const parsed = moduleSignature === undefined ? undefined : parseModuleSignature(moduleSignature);
    const signer = parsed && this.#modules.get(parsed.signer);
    if (parsed === undefined || signer === undefined || moduleDigest === undefined) return undefined;
    const digest = signedModuleDigest(parsed, moduleDigest);
    const good = parsed.algorithm === moduleAlgorithm && digest !== undefined;
    return good && this.#verifies(signer, parsed, digest) ? signer.keyId : undefined;
  }

  #verifies(
    { key, keyId }: Signer,
    signed: Pick<ImaSignature, 'algorithm' | 'signature'>,
    digest: Uint8Array,
  ): boolean {
    const name = latin1(SHA256.digest(concatBytes(fromHex(keyId), digest, signed.signature)));
    if (this.#good.has(name)) return true;
    if (!verifiesDigest(key, signed, digest)) return false;
    // Full means that files change without end: start over rather than track use.
    if (this.#good.size >= MAX_KNOWN) this.#good.clear();
    this.#good.add(name);
    return true;
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

function verifiesDigest(
  key: PublicKey,
  { algorithm, signature }: Pick<ImaSignature, 'algorithm' | 'signature'>,
  digest: Uint8Array,
): boolean {
  const crypto = verification();
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return crypto.verifyDigest({ type: 'rsassa', hash: algorithm }, digest, signature, key);
    case 'ec': {
      // The kernel takes ECDSA in DER (ecdsa-x962), as evmctl writes it.
      const plain = plainSignature(signature, CURVE_SIZES[curveOf(key) ?? 'P-256']);
      return plain !== undefined && crypto.verifyDigest({ type: 'ecdsa', hash: algorithm }, digest, plain, key);
    }
    default:
      return false;
  }
}
