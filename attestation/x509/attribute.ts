/**
 * Platform certificates: X.509 attribute certificates (RFC 5755) that say which platform a TPM was put into. TCG Platform
 * Certificate Profile 1.1. Read: holder, issuer, dates, signature, and the platform's names; attributes are kept as they
 * stand.
 */
import * as asn1js from 'asn1js';
import type { Certificate } from 'pkijs';
import { sameBytes, toHex } from '../bytes.ts';
import { Failing } from '../checks.ts';
import { identifier, members, raw, tagged, tagOf } from './asn1.ts';
import { integerHex, publicKeyOf, readCertificate, readSigned } from './certificate.ts';
import { nameBytes, nameText, type Trust, validatePath } from './chain.ts';
import { isSignedBy } from './signature.ts';

/** The EK certificate that a platform certificate is about. */
export interface Holder {
  /** Name in DER. */
  readonly issuer: Uint8Array;
  /** Hexadecimal, as encoded. */
  readonly serial: string;
}

export interface AttributeCertificate {
  readonly holder: Holder;
  /** Name of who signed it, in DER. */
  readonly issuer: Uint8Array;
  readonly serial: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** Object identifiers of its attributes. */
  readonly attributes: readonly string[];
  /** Of the subject alternative name; what the certificate does not say is undefined. */
  readonly platform: {
    readonly manufacturer?: string;
    readonly model?: string;
    readonly version?: string;
    readonly serial?: string;
  };
  /** AttributeCertificateInfo as it was signed. */
  readonly signedBytes: Uint8Array;
  readonly algorithm: { readonly algorithmId: string; readonly algorithmParams?: unknown };
  readonly signature: Uint8Array;
}

const OID_ALTERNATIVE_NAME = '2.5.29.17';
/** Names of the platform. Section 3.1.2 of the profile; the first form is of version 1.0. */
const PLATFORM = {
  '2.23.133.2.4': 'manufacturer',
  '2.23.133.2.5': 'model',
  '2.23.133.2.6': 'version',
  '2.23.133.2.23': 'serial',
  '2.23.133.5.1.1': 'manufacturer',
  '2.23.133.5.1.4': 'model',
  '2.23.133.5.1.5': 'version',
  '2.23.133.5.1.6': 'serial',
} as const;
const MAX_DEPTH = 8;

/** Throws CertificateError for what is no attribute certificate of version 2 with a holder named by its certificate. */
export function readAttributeCertificate(der: Uint8Array): AttributeCertificate {
  return readSigned(der, 'attribute certificate', (bytes) => read(asn1js.fromBER(bytes).result));
}

function read(root: asn1js.AsnType): AttributeCertificate {
  const [info, , signature] = members(root);
  const [version, holder, issuer, inner, serial, validity, attributes, ...rest] = members(info);
  if (!(signature instanceof asn1js.BitString) || !(serial instanceof asn1js.Integer)) throw new Error('its shape');
  if (!(version instanceof asn1js.Integer) || integerHex(version) !== '01') throw new Error('its version');
  const [notBefore, notAfter] = members(validity).map(time);
  if (notBefore === undefined || notAfter === undefined) throw new Error('its dates');
  const extensions = rest.find((one) => one instanceof asn1js.Sequence);
  return {
    holder: readHolder(holder),
    issuer: readIssuer(issuer),
    serial: integerHex(serial),
    notBefore,
    notAfter,
    attributes: members(attributes).map((attribute) => identifier(members(attribute)[0])),
    platform: extensions === undefined ? {} : platformOf(extensions),
    signedBytes: raw(info),
    algorithm: { algorithmId: identifier(members(inner)[0]), algorithmParams: members(inner)[1] },
    signature: signature.valueBlock.valueHexView,
  };
}

function time(block: unknown): Date {
  if (block instanceof asn1js.GeneralizedTime) return block.toDate();
  throw new Error('a time that is none');
}

/** baseCertificateID: the issuer and serial number of the EK's certificate. */
function readHolder(holder: unknown): Holder {
  const [names, serial] = members(tagged(members(holder), 0));
  if (!(serial instanceof asn1js.Integer)) throw new Error('a holder that is not named by its certificate');
  return { issuer: directoryName(members(names)), serial: integerHex(serial) };
}

/** AttCertIssuer: v2Form with a directory name, or the names alone. */
function readIssuer(issuer: unknown): Uint8Array {
  const isV2 = issuer instanceof asn1js.BaseBlock && tagOf(issuer) === 0;
  return directoryName(isV2 ? members(members(issuer)[0]) : members(issuer));
}

/** The Name inside of a GeneralName of kind 4. */
function directoryName(names: readonly asn1js.BaseBlock[]): Uint8Array {
  const [name] = members(tagged(names, 4));
  if (name === undefined) throw new Error('no directory name');
  return raw(name);
}

function platformOf(extensions: asn1js.BaseBlock): AttributeCertificate['platform'] {
  const names: Record<string, string> = {};
  for (const extension of members(extensions)) {
    const [oid, ...rest] = members(extension);
    const value = rest.at(-1);
    if (identifier(oid) !== OID_ALTERNATIVE_NAME || !(value instanceof asn1js.OctetString)) continue;
    const { result } = asn1js.fromBER(Uint8Array.from(value.valueBlock.valueHexView));
    for (const [type, text] of attributesIn(result, 0)) {
      const name = Object.hasOwn(PLATFORM, type) ? PLATFORM[type as keyof typeof PLATFORM] : undefined;
      if (name !== undefined) names[name] = text;
    }
  }
  return names;
}

/** Pairs of an identifier and a text, wherever they stand: issuers nest the names of RDNs in more ways than one. */
function* attributesIn(block: asn1js.BaseBlock, depth: number): Generator<readonly [string, string]> {
  const [oid, text] = members(block);
  if (oid instanceof asn1js.ObjectIdentifier && text instanceof asn1js.BaseStringBlock) {
    yield [oid.valueBlock.toString(), text.getValue()];
  } else if (depth < MAX_DEPTH) {
    for (const member of members(block)) yield* attributesIn(member, depth + 1);
  }
}

/** Whether the holder is this EK certificate. */
export function isHolder({ holder }: AttributeCertificate, ek: Certificate): boolean {
  return sameBytes(holder.issuer, nameBytes(ek.issuer)) && holder.serial === integerHex(ek.serialNumber);
}

/**
 * Validate at `now`: signed by a certificate that leads to an anchor, in its dates, not revoked. `issuers` are certificates
 * in DER that came along. Throws Failing `expired`, `revoked` or `contraindicated`.
 */
export function validateAttributeCertificate(
  certificate: AttributeCertificate,
  issuers: readonly Uint8Array[],
  trust: Trust,
  now: Date,
): void {
  const others = issuers.map(readCertificate);
  const { signedBytes, algorithm, signature } = certificate;
  const signer = [...trust.anchors, ...others].find(
    (candidate) =>
      sameBytes(nameBytes(candidate.subject), certificate.issuer) &&
      isSignedBy(signedBytes, algorithm, signature, publicKeyOf(candidate)),
  );
  if (signer === undefined) {
    throw new Failing(
      'contraindicated',
      `nobody known signed the platform certificate (${toHex(certificate.issuer).slice(0, 32)}...)`,
    );
  }
  validatePath(signer, others, trust, now);
  trust.checkRevocation(certificate.serial, signer, now);
  if (now < certificate.notBefore || now > certificate.notAfter) {
    throw new Failing('expired', `the platform certificate of ${nameText(signer)} is out of its dates`);
  }
}
