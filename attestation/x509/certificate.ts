/** What appraisal reads of an X.509 certificate (RFC 5280), by pkijs; bounded. */
import type * as asn1js from 'asn1js';
import { Certificate } from 'pkijs';
import { sameBytes, toHex } from '../bytes.ts';
import { type PublicKey, verification } from '../crypto/port.ts';
import { SHA1 } from '../hash.ts';
import { signedStructure } from './der.ts';

const MAX_BYTES = 16_384;
const OID_SUBJECT_KEY_IDENTIFIER = '2.5.29.14';

export class CertificateError extends Error {
  override readonly name = 'CertificateError';
  readonly code = 'E_CERTIFICATE';
  readonly remedy = 'Send the certificate as DER (RFC 5280), as its authority issued it.';
}

/** Parse DER; octets after the outer SEQUENCE, as NV indices are padded with, are dropped. Throws CertificateError. */
export function readCertificate(der: Uint8Array): Certificate {
  return readSigned(der, 'certificate', (bytes) => Certificate.fromBER(bytes));
}

/** Read one signed structure in DER, by default of at most 16 KiB. Throws CertificateError. */
export function readSigned<T>(
  der: Uint8Array,
  what: string,
  read: (bytes: Uint8Array<ArrayBuffer>) => T,
  most = MAX_BYTES,
): T {
  if (der.length > most) throw new CertificateError(`a ${what} of ${der.length} bytes; at most ${most}`);
  try {
    return read(Uint8Array.from(signedStructure(der)));
  } catch (cause) {
    throw new CertificateError(`the ${what} does not parse`, { cause });
  }
}

/** SubjectPublicKeyInfo in DER. */
export const spkiOf = (certificate: Certificate): Uint8Array =>
  new Uint8Array(certificate.subjectPublicKeyInfo.toSchema().toBER());

/** Throws CertificateError for a kind of key that is not used here. */
export function publicKeyOf(certificate: Certificate): PublicKey {
  try {
    return verification().importSpki(spkiOf(certificate));
  } catch (cause) {
    throw new CertificateError('the key of the certificate is not of a kind that is used here', { cause });
  }
}

/** The identifiers of a certificate's key: its extension's, and SHA-1 over the key (RFC 5280, section 4.2.1.2). */
export function keyIdentifiers(certificate: Certificate): Uint8Array[] {
  const computed = SHA1.digest(certificate.subjectPublicKeyInfo.subjectPublicKey.valueBlock.valueHexView);
  const extension = certificate.extensions?.find(({ extnID }) => extnID === OID_SUBJECT_KEY_IDENTIFIER)?.parsedValue;
  const stated: unknown = extension?.valueBlock?.valueHexView;
  return stated instanceof Uint8Array && !sameBytes(stated, computed) ? [stated, computed] : [computed];
}

/** A serial number, or another INTEGER, in hexadecimal as it is encoded. */
export const integerHex = (integer: asn1js.Integer): string => toHex(integer.valueBlock.valueHexView);
