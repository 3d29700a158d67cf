/**
 * The certificates that a TPM leaves its factory with. Endorsement certificate: TCG EK Credential Profile 2.5,
 * section 3.2. Platform certificate: an X.509 certificate over the same key with the platform's names, as swtpm_setup
 * makes it (the TCG's own platform certificate is an attribute certificate, which few tools read).
 */
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import {
  Set as Asn1Set,
  Constructed,
  fromBER,
  Integer,
  ObjectIdentifier,
  OctetString,
  Sequence,
  Utf8String,
} from 'asn1js';
import { type CertificateAuthority, NO_EXPIRATION, SIGNATURE, serialNumber } from './authority.ts';

/** TCG object identifiers (TCG OID registry, arc 2.23.133). */
const OID = {
  tpmManufacturer: '2.23.133.2.1',
  tpmModel: '2.23.133.2.2',
  tpmVersion: '2.23.133.2.3',
  tpmSpecification: '2.23.133.2.16',
  platformManufacturer: '2.23.133.5.1.1',
  platformModel: '2.23.133.5.1.4',
  platformVersion: '2.23.133.5.1.5',
  kpEKCertificate: '2.23.133.8.1',
  kpPlatformCertificate: '2.23.133.8.2',
  kpAIKCertificate: '2.23.133.8.3',
  hardwareModuleName: '1.3.6.1.5.5.7.8.4',
  /** Type of a hardware module that is a TPM 2.0. */
  tpm20: '2.23.133.1.2',
  subjectDirectoryAttributes: '2.5.29.9',
  subjectAltName: '2.5.29.17',
} as const;

/** What a TPM says of itself; from its own fixed properties. */
export interface TpmIdentity {
  /** `id:` and the manufacturer's four bytes in hexadecimal. */
  readonly manufacturer: string;
  readonly model: string;
  /** `id:` and the firmware version in hexadecimal. */
  readonly version: string;
  readonly family: string;
  readonly level: number;
  /** Revision times 100. */
  readonly revision: number;
}

export interface PlatformIdentity {
  readonly manufacturer: string;
  readonly model: string;
  readonly version: string;
}

/** A key to certify, as WebCrypto imports it. */
export type PublicKeyJwk =
  | { readonly kty: 'RSA'; readonly n: string; readonly e: string }
  | { readonly kty: 'EC'; readonly crv: 'P-256' | 'P-384'; readonly x: string; readonly y: string };

/** Endorsement certificate over a key, DER. `subject` is its common name; without one the subject is empty. */
export function ekCertificate(
  authority: CertificateAuthority,
  key: PublicKeyJwk,
  tpm: TpmIdentity,
  now: Date,
  subject?: string,
): Promise<Uint8Array> {
  return certificate(authority, key, now, {
    purpose: OID.kpEKCertificate,
    usage: keyUsage(key),
    alternative: directoryName(tpmNames(tpm)),
    more: [tpmSpecification(tpm)],
    subject,
  });
}

/** Platform certificate over the same key, DER. */
export function platformCertificate(
  authority: CertificateAuthority,
  key: PublicKeyJwk,
  platform: PlatformIdentity,
  now: Date,
): Promise<Uint8Array> {
  const names: x509.JsonNameParams = [
    utf8(OID.platformManufacturer, platform.manufacturer),
    utf8(OID.platformModel, platform.model),
    utf8(OID.platformVersion, platform.version),
  ];
  return certificate(authority, key, now, {
    purpose: OID.kpPlatformCertificate,
    usage: keyUsage(key),
    alternative: directoryName(names),
  });
}

/**
 * Certificate of a device's identity or attestation key, DER: TPM 2.0 Keys for Device Identity and Attestation, section
 * 8. Both name the device by its hardware module (RFC 4108), so that a verifier sees that they are of one device.
 */
export function deviceCertificate(
  authority: CertificateAuthority,
  key: PublicKeyJwk,
  serial: string,
  restricted: boolean,
  now: Date,
): Promise<Uint8Array> {
  return certificate(authority, key, now, {
    purpose: restricted ? OID.kpAIKCertificate : undefined,
    usage: x509.KeyUsageFlags.digitalSignature,
    alternative: hardwareModule(serial),
    subject: serial,
  });
}

/** Endorsement keys take secrets: by decryption, or by key agreement. */
const keyUsage = (key: PublicKeyJwk): x509.KeyUsageFlags =>
  key.kty === 'RSA' ? x509.KeyUsageFlags.keyEncipherment : x509.KeyUsageFlags.keyAgreement;

/** What distinguishes the certificates. */
interface Content {
  readonly purpose: string | undefined;
  readonly usage: x509.KeyUsageFlags;
  /** The one GeneralName of the subject's alternative names. */
  readonly alternative: Constructed;
  readonly more?: readonly x509.Extension[];
  /** Common name; undefined: empty, as for a chip, whose names stand in the critical subjectAltName. */
  readonly subject?: string | undefined;
}

/** One name as UTF8String; as a bare string it would be read as RFC 4514 text, quotation marks and all. */
function utf8(oid: string, value: string): x509.JsonAttributeAndObjectValue {
  return { [oid]: [{ utf8String: value }] };
}

function tpmNames(tpm: TpmIdentity): x509.JsonNameParams {
  return [
    utf8(OID.tpmManufacturer, tpm.manufacturer),
    utf8(OID.tpmModel, tpm.model),
    utf8(OID.tpmVersion, tpm.version),
  ];
}

async function certificate(
  { issuer, issuerKey }: CertificateAuthority,
  key: PublicKeyJwk,
  now: Date,
  { purpose, usage, alternative, more = [], subject }: Content,
): Promise<Uint8Array> {
  const made = await x509.X509CertificateGenerator.create({
    subject: subject === undefined ? '' : [{ CN: [subject] }],
    issuer: issuer.subject,
    publicKey: await importKey(key),
    signingKey: issuerKey,
    signingAlgorithm: SIGNATURE,
    serialNumber: serialNumber(),
    notBefore: now,
    notAfter: NO_EXPIRATION,
    extensions: [
      new x509.Extension(OID.subjectAltName, subject === undefined, new Sequence({ value: [alternative] }).toBER()),
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(usage, true),
      ...(purpose === undefined ? [] : [new x509.ExtendedKeyUsageExtension([purpose])]),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      ...more,
    ],
  });
  return new Uint8Array(made.rawData);
}

/** directoryName, [4] (RFC 5280, section 4.2.1.6). */
function directoryName(names: x509.JsonNameParams): Constructed {
  const name = fromBER(new x509.Name(names).toArrayBuffer()).result;
  return new Constructed({ idBlock: { tagClass: 3, tagNumber: 4 }, value: [name] });
}

/** otherName, [0], of a hardware module: its type, and its serial number (RFC 4108, section 5). */
function hardwareModule(serial: string): Constructed {
  const octets = new TextEncoder().encode(serial);
  const name = new Sequence({
    value: [new ObjectIdentifier({ value: OID.tpm20 }), new OctetString({ valueHex: Uint8Array.from(octets).buffer })],
  });
  const value = new Constructed({ idBlock: { tagClass: 3, tagNumber: 0 }, value: [name] });
  const id = new ObjectIdentifier({ value: OID.hardwareModuleName });
  return new Constructed({ idBlock: { tagClass: 3, tagNumber: 0 }, value: [id, value] });
}

/** The specification that the TPM follows, as a subject directory attribute. */
function tpmSpecification({ family, level, revision }: TpmIdentity): x509.Extension {
  const specification = new Sequence({
    value: [new Utf8String({ value: family }), new Integer({ value: level }), new Integer({ value: revision })],
  });
  const attribute = new Sequence({
    value: [new ObjectIdentifier({ value: OID.tpmSpecification }), new Asn1Set({ value: [specification] })],
  });
  return new x509.Extension(OID.subjectDirectoryAttributes, false, new Sequence({ value: [attribute] }).toBER());
}

function importKey(key: PublicKeyJwk): Promise<webcrypto.CryptoKey> {
  return key.kty === 'RSA'
    ? webcrypto.subtle.importKey('jwk', key, { name: 'RSA-OAEP', hash: 'SHA-256' }, true, ['encrypt'])
    : webcrypto.subtle.importKey('jwk', key, { name: 'ECDH', namedCurve: key.crv }, true, []);
}
