/** Small certificate authorities for tests: roots, intermediates, EK certificates, revocation lists. */
import { webcrypto } from 'node:crypto';
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

/** An end-entity certificate with one extended key usage. */
export function issue(
  issuer: Authority,
  publicKey: webcrypto.CryptoKey,
  usage: string = EK_USAGE,
  validity: Validity = VALIDITY,
): Promise<Certificate> {
  const extensions = [
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
