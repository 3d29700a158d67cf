/**
 * Path validation (RFC 5280, section 6) for appraisal: synchronous, bounded, and told apart by what is wrong, since a
 * certificate that ran out or was revoked is another verdict than one that nobody trusted. What is not understood is
 * refused: critical extensions beyond those below, name constraints and policy constraints among them. Enrolment goes
 * through pkijs (`verifier/ek-certificates.ts`).
 */
import type { Certificate, Extension } from 'pkijs';
import { CertificateRevocationList } from 'pkijs';
import { sameBytes, toHex } from '../bytes.ts';
import { Failing } from '../checks.ts';
import { CertificateError, integerHex, publicKeyOf, readCertificate, readSigned } from './certificate.ts';
import { isSignedBy } from './signature.ts';

/** A chain longer than this is no manufacturer's. */
const MAX_CHAIN = 8;
const OID = {
  keyUsage: '2.5.29.15',
  alternativeName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  policies: '2.5.29.32',
  extendedKeyUsage: '2.5.29.37',
} as const;
const UNDERSTOOD = new Set<string>(Object.values(OID));
/** Bits of KeyUsage, in its first octet. */
const KEY_CERT_SIGN = 0x04;
const CRL_SIGN = 0x02;

/** Whom the operator trusts, and what was taken back. */
export class Trust {
  readonly anchors: readonly Certificate[];
  readonly #lists: readonly CertificateRevocationList[];

  /** DER. Throws CertificateError for what does not parse, and for lists of a kind that is not understood. */
  constructor(anchors: readonly Uint8Array[], revocationLists: readonly Uint8Array[] = []) {
    this.anchors = anchors.map(readCertificate);
    this.#lists = revocationLists.map(readRevocationList);
  }

  /** Throws Failing `revoked` when a list of this issuer names the serial number, `expired` when the list is out of date. */
  checkRevocation(serial: string, issuer: Certificate, now: Date): void {
    for (const list of this.#lists) {
      if (!sameName(list.issuer, issuer.subject)) continue;
      const signed = mayIssue(issuer, CRL_SIGN) && signedBy(list, issuer);
      if (!signed) throw new Failing('contraindicated', 'a revocation list that its issuer did not sign');
      if (list.revokedCertificates?.some(({ userCertificate }) => integerHex(userCertificate) === serial)) {
        throw new Failing('revoked', `certificate ${serial} of ${nameText(issuer)} is revoked`);
      }
      if (list.nextUpdate !== undefined && list.nextUpdate.value < now) {
        throw new Failing('expired', `the revocation list of ${nameText(issuer)} is out of date`);
      }
    }
  }
}

function readRevocationList(der: Uint8Array): CertificateRevocationList {
  // Lists are longer than certificates.
  const list = readSigned(der, 'revocation list', (bytes) => CertificateRevocationList.fromBER(bytes), MAX_LIST_BYTES);
  const extensions = list.crlExtensions?.extensions ?? [];
  if (extensions.some(({ critical }) => critical))
    throw new CertificateError('a revocation list of a part, or a delta');
  return list;
}
const MAX_LIST_BYTES = 4 * 2 ** 20;

/**
 * Validate a chain (leaf first, then intermediates in any order) at `now`. Returns the leaf. Throws CertificateError for
 * what does not parse, Failing `expired`, `revoked` or `contraindicated` for what does not lead to an anchor.
 */
export function validateChain(chain: readonly Uint8Array[], trust: Trust, now: Date): Certificate {
  if (chain.length > MAX_CHAIN) throw new CertificateError(`a chain of ${chain.length} certificates`);
  const [leaf, ...intermediates] = chain.map(readCertificate);
  if (leaf === undefined) throw new CertificateError('no certificate');
  validatePath(leaf, intermediates, trust, now);
  return leaf;
}

/** The same for certificates that are parsed. */
export function validatePath(leaf: Certificate, intermediates: readonly Certificate[], trust: Trust, now: Date): void {
  let current = leaf;
  // What is untrusted is that first, however old it is.
  const late: Certificate[] = [];
  const path: (readonly [Certificate, Certificate])[] = [];
  while (!trust.anchors.some((anchor) => sameCertificate(anchor, current))) {
    if (path.length >= MAX_CHAIN) throw untrusted(leaf);
    checkExtensions(current);
    if (!isInDate(current, now)) late.push(current);
    const issuer = issuerOf(current, [...trust.anchors, ...intermediates], path.length);
    if (issuer === undefined) throw untrusted(current);
    path.push([current, issuer]);
    current = issuer;
  }
  if (!isInDate(current, now)) late.push(current);
  for (const [certificate, issuer] of path) {
    trust.checkRevocation(integerHex(certificate.serialNumber), issuer, now);
  }
  const [first] = late;
  if (first !== undefined) throw new Failing('expired', `the certificate of ${nameText(first)} is out of its dates`);
}

const untrusted = (certificate: Certificate) =>
  new Failing('contraindicated', `the issuer of ${nameText(certificate)} is not trusted`);

/** Who signed a certificate, among those who may; `below` certificates stand between it and the leaf. */
function issuerOf(
  certificate: Certificate,
  candidates: readonly Certificate[],
  below: number,
): Certificate | undefined {
  return candidates.find(
    (candidate) =>
      sameName(candidate.subject, certificate.issuer) &&
      mayIssue(candidate, KEY_CERT_SIGN, below) &&
      certificate.signature.algorithmId === certificate.signatureAlgorithm.algorithmId &&
      signedBy(certificate, candidate),
  );
}

/** Whether a certificate is a CA's with that usage, and its path length allows `below` intermediates. */
export function mayIssue(certificate: Certificate, usage: number, below = 0): boolean {
  // pkijs types parsed extensions as a union without discriminator.
  const constraints = extensionOf(certificate, OID.basicConstraints)?.parsedValue as
    | { cA?: boolean; pathLenConstraint?: number }
    | undefined;
  if (constraints?.cA !== true) return false;
  if (constraints.pathLenConstraint !== undefined && below > Number(constraints.pathLenConstraint)) return false;
  const bits: unknown = extensionOf(certificate, OID.keyUsage)?.parsedValue?.valueBlock?.valueHexView;
  return bits === undefined || (bits instanceof Uint8Array && ((bits[0] ?? 0) & usage) !== 0);
}

/** Purposes of extendedKeyUsage; undefined where the certificate does not limit them. */
export function purposesOf(certificate: Certificate): readonly string[] | undefined {
  const usage = extensionOf(certificate, OID.extendedKeyUsage)?.parsedValue as { keyPurposes?: string[] } | undefined;
  return usage?.keyPurposes;
}

const extensionOf = (certificate: Certificate, oid: string): Extension | undefined =>
  certificate.extensions?.find(({ extnID }) => extnID === oid);

function checkExtensions(certificate: Certificate): void {
  const strange = certificate.extensions?.find(({ critical, extnID }) => critical && !UNDERSTOOD.has(extnID));
  if (strange !== undefined) throw new CertificateError(`a critical extension ${strange.extnID}`);
}

const isInDate = ({ notBefore, notAfter }: Certificate, now: Date): boolean =>
  now >= notBefore.value && now <= notAfter.value;

function signedBy(object: Certificate | CertificateRevocationList, issuer: Certificate): boolean {
  const signature = object.signatureValue.valueBlock.valueHexView;
  return isSignedBy(object.tbsView, object.signatureAlgorithm, signature, publicKeyOf(issuer));
}

const sameCertificate = (a: Certificate, b: Certificate): boolean =>
  sameBytes(a.tbsView, b.tbsView) &&
  sameBytes(a.signatureValue.valueBlock.valueHexView, b.signatureValue.valueBlock.valueHexView);

type Name = Certificate['subject'];

/** A name as it is encoded. */
export const nameBytes = (name: Name): Uint8Array => new Uint8Array(name.valueBeforeDecode);
const sameName = (a: Name, b: Name): boolean => sameBytes(nameBytes(a), nameBytes(b));

const COMMON_NAME = '2.5.4.3';
/** The common name of a subject, for messages. */
export function nameText({ subject }: Certificate): string {
  const common = subject.typesAndValues.find(({ type }) => type === COMMON_NAME)?.value.valueBlock.value;
  return typeof common === 'string' ? `"${common.slice(0, 64)}"` : toHex(nameBytes(subject)).slice(0, 64);
}
