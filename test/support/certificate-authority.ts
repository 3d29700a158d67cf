/** Small certificate authorities for tests: roots, intermediates, EK certificates, revocation lists. */
import { KeyObject, sign, webcrypto } from 'node:crypto';
import * as asn1js from 'asn1js';
import {
  AttributeTypeAndValue,
  BasicConstraints,
  Certificate,
  CertificateRevocationList,
  Extension,
  ExtKeyUsage,
  RevokedCertificate,
  Time,
} from 'pkijs';

export type KeyPair = webcrypto.CryptoKeyPair;

export interface Authority {
  readonly name: string;
  readonly certificate: Certificate;
  readonly keys: KeyPair;
}

export interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

export const EK_USAGE = '2.23.133.8.1';
export const VALIDITY: Validity = { notBefore: new Date('2020-01-01'), notAfter: new Date('2049-01-01') };

const EC = { name: 'ECDSA', namedCurve: 'P-256' };
const RSA = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', publicExponent: Uint8Array.of(1, 0, 1), modulusLength: 2048 };
const COMMON_NAME = '2.5.4.3';
const BASIC_CONSTRAINTS = '2.5.29.19';
const KEY_USAGE = '2.5.29.15';
const EXTENDED_KEY_USAGE = '2.5.29.37';
/** keyCertSign and cRLSign, as a BIT STRING of seven bits. */
const SIGNS_CERTIFICATES = new asn1js.BitString({ valueHex: Uint8Array.of(0x06).buffer, unusedBits: 1 });

let serial = 0;

export function newKeys(type: 'ec' | 'rsa' = 'ec'): Promise<KeyPair> {
  const usages = ['sign', 'verify'] as const;
  return webcrypto.subtle.generateKey(type === 'ec' ? EC : RSA, true, usages) as Promise<KeyPair>;
}

function named(certificate: Certificate, subject: string, issuer: string): void {
  const name = (value: string) =>
    new AttributeTypeAndValue({ type: COMMON_NAME, value: new asn1js.Utf8String({ value }) });
  certificate.subject.typesAndValues.push(name(subject));
  certificate.issuer.typesAndValues.push(name(issuer));
}

function extension(extnID: string, value: { toBER(): ArrayBuffer }, critical = false): Extension {
  return new Extension({ extnID, critical, extnValue: value.toBER() });
}

async function certificateOf(
  subject: string,
  issuer: string,
  publicKey: webcrypto.CryptoKey,
  signer: webcrypto.CryptoKey,
  extensions: Extension[],
  validity: Validity,
): Promise<Certificate> {
  serial += 1;
  const certificate = new Certificate({ version: 2, serialNumber: new asn1js.Integer({ value: serial }), extensions });
  named(certificate, subject, issuer);
  certificate.notBefore = new Time({ type: 0, value: validity.notBefore });
  certificate.notAfter = new Time({ type: 0, value: validity.notAfter });
  await certificate.subjectPublicKeyInfo.importKey(publicKey);
  await certificate.sign(signer, 'SHA-256');
  return Certificate.fromBER(certificate.toSchema(true).toBER());
}

/** A root, or an intermediate under `issuer`. */
export async function authority(name: string, issuer?: Authority): Promise<Authority> {
  const keys = await newKeys();
  const extensions = [
    extension(BASIC_CONSTRAINTS, new BasicConstraints({ cA: true }).toSchema(), true),
    extension(KEY_USAGE, SIGNS_CERTIFICATES, true),
  ];
  const signer = (issuer?.keys ?? keys).privateKey;
  const certificate = await certificateOf(name, issuer?.name ?? name, keys.publicKey, signer, extensions, VALIDITY);
  return { name, certificate, keys };
}

/** An end-entity certificate with one extended key usage, and more extensions. */
export function issue(
  issuer: Authority,
  publicKey: webcrypto.CryptoKey,
  usage: string = EK_USAGE,
  validity: Validity = VALIDITY,
  more: readonly Extension[] = [],
): Promise<Certificate> {
  const extensions = [
    ...more,
    extension(BASIC_CONSTRAINTS, new BasicConstraints({ cA: false }).toSchema(), true),
    extension(EXTENDED_KEY_USAGE, new ExtKeyUsage({ keyPurposes: [usage] }).toSchema()),
  ];
  return certificateOf('EK', issuer.name, publicKey, issuer.keys.privateKey, extensions, validity);
}

/** A revocation list, DER. */
export async function revocationList(issuer: Authority, revoked: readonly Certificate[]): Promise<Uint8Array> {
  const list = new CertificateRevocationList({
    version: 1,
    issuer: issuer.certificate.subject,
    thisUpdate: new Time({ type: 0, value: VALIDITY.notBefore }),
    nextUpdate: new Time({ type: 0, value: VALIDITY.notAfter }),
    revokedCertificates: revoked.map(
      (certificate) =>
        new RevokedCertificate({
          userCertificate: certificate.serialNumber,
          revocationDate: new Time({ type: 0, value: VALIDITY.notBefore }),
        }),
    ),
  });
  await list.sign(issuer.keys.privateKey, 'SHA-256');
  return new Uint8Array(list.toSchema(true).toBER());
}

export function der(certificate: Certificate): Uint8Array {
  return new Uint8Array(certificate.toSchema(true).toBER());
}

export function pem(bytes: Uint8Array, label = 'CERTIFICATE'): string {
  const lines = Buffer.from(bytes).toString('base64').replace(/.{64}/g, '$&\n').trimEnd();
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}

export async function privatePem(keys: KeyPair): Promise<string> {
  return pem(new Uint8Array(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)), 'PRIVATE KEY');
}

const OID_HARDWARE_MODULE_NAME = '1.3.6.1.5.5.7.8.4';
/** tcg-on-ekPermIdSha256, as a type of hardware module. */
const HARDWARE_TYPE = '2.23.133.12.1';

/** Subject alternative name of a device: HardwareModuleName (RFC 4108, section 5). */
export function deviceName(number: string): Extension {
  const module = new asn1js.Sequence({
    value: [
      new asn1js.ObjectIdentifier({ value: HARDWARE_TYPE }),
      new asn1js.OctetString({ valueHex: new TextEncoder().encode(number).slice().buffer }),
    ],
  });
  const other = [new asn1js.ObjectIdentifier({ value: OID_HARDWARE_MODULE_NAME }), tag(0, [module])];
  return extension('2.5.29.17', new asn1js.Sequence({ value: [tag(0, other)] }));
}

const tag = (tagNumber: number, value: asn1js.AsnType[]) =>
  new asn1js.Constructed({ idBlock: { tagClass: 3, tagNumber }, value });
const ECDSA_SHA256 = '1.2.840.10045.4.3.2';
const PLATFORM_MODEL = '2.23.133.5.1.4';

/** A platform certificate of a TPM with this EK certificate: an attribute certificate (RFC 5755), DER. */
export function platformCertificate(issuer: Authority, ek: Certificate, validity: Validity = VALIDITY): Uint8Array {
  const names = (name: Certificate['subject']) => [tag(4, [name.toSchema()])];
  const algorithm = () => new asn1js.Sequence({ value: [new asn1js.ObjectIdentifier({ value: ECDSA_SHA256 })] });
  const time = (valueDate: Date) => new asn1js.GeneralizedTime({ valueDate });
  const model = new asn1js.Sequence({
    value: [new asn1js.ObjectIdentifier({ value: PLATFORM_MODEL }), new asn1js.Utf8String({ value: 'Model 1' })],
  });
  const alternative = new asn1js.Sequence({
    value: [tag(4, [new asn1js.Sequence({ value: [new asn1js.Set({ value: [model] })] })])],
  });
  serial += 1;
  const info = new asn1js.Sequence({
    value: [
      new asn1js.Integer({ value: 1 }),
      new asn1js.Sequence({ value: [tag(0, [new asn1js.Sequence({ value: names(ek.issuer) }), ek.serialNumber])] }),
      tag(0, [new asn1js.Sequence({ value: names(issuer.certificate.subject) })]),
      algorithm(),
      new asn1js.Integer({ value: serial }),
      new asn1js.Sequence({ value: [time(validity.notBefore), time(validity.notAfter)] }),
      new asn1js.Sequence({ value: [] }),
      new asn1js.Sequence({ value: [extension('2.5.29.17', alternative).toSchema()] }),
    ],
  });
  const signature = sign('sha256', new Uint8Array(info.toBER()), KeyObject.from(issuer.keys.privateKey));
  const bits = new asn1js.BitString({ valueHex: Uint8Array.from(signature).buffer });
  return new Uint8Array(new asn1js.Sequence({ value: [info, algorithm(), bits] }).toBER());
}
