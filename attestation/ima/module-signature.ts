/**
 * Signatures that are appended to kernel modules and kexec images, as IMA lists them (ima-modsig): CMS SignedData (RFC
 * 5652) without content and with one signer, as the kernel's sign-file and openssl make them.
 */
import * as asn1js from 'asn1js';
import { sameBytes, toHex } from '../bytes.ts';
import type { HashName } from '../crypto/port.ts';
import { hashByName } from '../hash.ts';
import { identifier, members, raw, tagged, tagOf } from '../x509/asn1.ts';
import { integerHex } from '../x509/certificate.ts';

const OID_SIGNED_DATA = '1.2.840.113549.1.7.2';
const OID_MESSAGE_DIGEST = '1.2.840.113549.1.9.4';
const HASHES: Readonly<Record<string, HashName>> = {
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
};
const MAX_BYTES = 65_536;
const SET = 0x31;

export interface ModuleSignature {
  /** Subject key identifier in hexadecimal, or issuer and serial number as `serialName` has them. */
  readonly signer: string;
  readonly algorithm: HashName;
  readonly signature: Uint8Array;
  /** Where there are signed attributes: the content's digest among them, and the DER that was signed. */
  readonly attributes: { readonly digest: Uint8Array; readonly der: Uint8Array } | undefined;
}

/** How a signer is named by its certificate's issuer and serial number. */
export const serialName = (issuer: Uint8Array, serial: asn1js.Integer): string =>
  `${toHex(issuer)} ${integerHex(serial)}`;

/** Undefined for what is not such a signature, or of a hash that is not accepted (SHA-1 among them). */
export function parseModuleSignature(bytes: Uint8Array): ModuleSignature | undefined {
  if (bytes.length > MAX_BYTES) return undefined;
  try {
    const [type, content] = members(asn1js.fromBER(Uint8Array.from(bytes)).result);
    const signers = members(members(members(content)[0]).at(-1));
    return identifier(type) === OID_SIGNED_DATA && signers.length === 1 ? readSigner(members(signers[0])) : undefined;
  } catch {
    // Whatever else it is, it is no signature that anyone here can verify.
    return undefined;
  }
}

function readSigner([, name, hash, ...rest]: readonly asn1js.BaseBlock[]): ModuleSignature | undefined {
  const algorithm = HASHES[identifier(members(hash)[0])];
  const signature = rest.find((block) => block instanceof asn1js.OctetString);
  const signer = name === undefined ? undefined : signerName(name);
  if (algorithm === undefined || signature === undefined || signer === undefined) return undefined;
  const block = tagged(rest, 0);
  const attributes = block === undefined ? undefined : readAttributes(block);
  return { signer, algorithm, signature: signature.valueBlock.valueHexView, attributes };
}

function signerName(name: asn1js.BaseBlock): string | undefined {
  if (tagOf(name) === 0) return name instanceof asn1js.Primitive ? toHex(name.valueBlock.valueHexView) : undefined;
  const [issuer, serial] = members(name);
  return serial instanceof asn1js.Integer ? serialName(raw(issuer), serial) : undefined;
}

/** What is signed are the attributes as a SET, not under the tag they stand under. RFC 5652, section 5.4. */
function readAttributes(block: asn1js.BaseBlock): { digest: Uint8Array; der: Uint8Array } {
  const der = raw(block);
  der[0] = SET;
  const attribute = members(block).find((one) => identifier(members(one)[0]) === OID_MESSAGE_DIGEST);
  const [value] = members(members(attribute)[1]);
  if (!(value instanceof asn1js.OctetString)) throw new RangeError('attributes without the digest of the content');
  return { digest: value.valueBlock.valueHexView, der };
}

/** What the signature is over, when it is over a module with this digest: that digest, or the attributes'. */
export function signedModuleDigest({ attributes, algorithm }: ModuleSignature, digest: Uint8Array) {
  if (attributes === undefined) return digest;
  return sameBytes(attributes.digest, digest) ? hashByName(algorithm)?.digest(attributes.der) : undefined;
}
