/**
 * Certificates of a machine, and what they prove of the keys behind its evidence: its endorsement key's, asked again at
 * every appraisal for dates and revocation; an initial attestation key that its manufacturer certified, and the device's
 * identity beside it (TCG, TPM 2.0 Keys for Device Identity and Attestation 1.0; IEEE 802.1AR); and the platform that the
 * TPM was put into.
 */
import { type Static, Type } from 'typebox';
import { fromBase64, sameBytes } from '../bytes.ts';
import { type CborValue, encodeCbor } from '../cbor.ts';
import { type Checks, Failing, required } from '../checks.ts';
import { sameKey } from '../crypto/port.ts';
import { decodeMap, EvidenceError } from '../evidence.ts';
import { publicKey } from '../quote.ts';
import type { AppraisalContext } from '../verifier/evidence-format.ts';
import { isHolder, readAttributeCertificate, validateAttributeCertificate } from '../x509/attribute.ts';
import { publicKeyOf, readCertificate } from '../x509/certificate.ts';
import { purposesOf, Trust, validateChain } from '../x509/chain.ts';
import { withoutPadding } from '../x509/der.ts';
import { type Certified, checkDeviceIdentity, type DeviceEvidence } from './device-identity.ts';

/** What certificates are about. */
const SUBJECTS = ['ek', 'iak', 'idevid', 'platform'] as const;
type Subject = (typeof SUBJECTS)[number];

/** DER, the subject's own certificate first, its issuers after it. */
type Chain = readonly Uint8Array[];

export interface MachineCertificates extends DeviceEvidence {
  readonly ek?: Chain;
  /** Of the key that quotes. */
  readonly iak?: Chain;
  /** An attribute certificate, then who issued it. */
  readonly platform?: Chain;
}

const MAX_CHAIN = 8;

export const CertificatesSchema = Type.Object(
  {
    anchors: Type.Array(Type.String(), {
      minItems: 1,
      maxItems: 256,
      description: 'X.509 in DER, base64: authorities that are trusted, roots or intermediates',
    }),
    revocationLists: Type.Optional(
      Type.Array(Type.String(), { maxItems: 256, description: 'CRLs in DER, base64, each signed by its issuer' }),
    ),
    require: Type.Array(Type.Union(SUBJECTS.map((subject) => Type.Literal(subject))), {
      uniqueItems: true,
      description: 'what the machine must have a certificate for',
    }),
  },
  { additionalProperties: false },
);

/** The operator's trust, ready for use. */
export interface CertificateRules {
  readonly trust: Trust;
  readonly required: ReadonlySet<Subject>;
}

/** Throws CertificateError for what does not parse. */
export function compileCertificateRules(document: Static<typeof CertificatesSchema>): CertificateRules {
  const { anchors, revocationLists = [], require } = document;
  return {
    trust: new Trust(anchors.map(fromBase64), revocationLists.map(fromBase64)),
    required: new Set(require),
  };
}

/** The message of the evidence; undefined members are left out. */
export function encodeCertificates({ certified, signed, ...chains }: MachineCertificates): Uint8Array {
  const map = new Map<string, CborValue>(Object.entries(chains).filter(([, chain]) => chain !== undefined));
  if (certified !== undefined) map.set('certified', { ...certified });
  if (signed !== undefined) map.set('signed', signed);
  return encodeCbor(map);
}

/** Throws EvidenceError. */
export function decodeCertificates(bytes: Uint8Array): MachineCertificates {
  const map = decodeMap(bytes, 'the certificates');
  const result: { -readonly [K in keyof MachineCertificates]: MachineCertificates[K] } = {};
  for (const [name, value] of map) {
    if (name === 'certified') result.certified = readCertified(value);
    else if (name === 'signed') result.signed = bytesOf(value, '"signed" is not bytes');
    else if (!isSubject(name)) throw new EvidenceError('certificates of a kind that is not known here');
    else result[name] = readChain(name, value);
  }
  return result;
}

const isSubject = (name: unknown): name is Subject => SUBJECTS.includes(name as Subject);

function readChain(name: string, value: unknown): Chain {
  const isChain = Array.isArray(value) && value.length > 0 && value.length <= MAX_CHAIN;
  if (isChain && value.every((one) => one instanceof Uint8Array)) return value;
  throw new EvidenceError(`the certificates of "${name}" are not 1 to ${MAX_CHAIN} byte strings`);
}

function bytesOf(value: unknown, otherwise: string): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new EvidenceError(otherwise);
}

function readCertified(value: unknown): Certified {
  const part = (name: string): Uint8Array =>
    bytesOf(value instanceof Map && value.size === 3 ? value.get(name) : undefined, `"certified" has no "${name}"`);
  return { public: part('public'), attest: part('attest'), signature: part('signature') };
}

/** tcg-kp-EKCertificate. TCG EK Credential Profile. */
const EK_PURPOSE = '2.23.133.8.1';

/**
 * Check what is there, and that what is required is. Nothing is asked of certificates where the reference asks nothing.
 * Returns the names of the device, where it is known.
 */
export function checkCertificates(
  certificates: MachineCertificates,
  rules: CertificateRules | undefined,
  context: AppraisalContext,
  checks: Checks,
): Readonly<Record<string, string>> | undefined {
  if (rules === undefined) return undefined;
  const wanted = (subject: Subject) => rules.required.has(subject) || certificates[subject] !== undefined;
  if (wanted('ek')) checks.value('ek-certificate', () => checkEk(certificates, rules, context));
  if (wanted('iak')) {
    checks.value('iak-certificate', () => chainOf('iak', certificates, rules, context));
    checks.holds(
      'iak-key',
      () => sameKey(certifiedKey(certificates.iak), publicKey(context.akPublic)),
      'the certificate is of another key than the one that quotes',
    );
  }
  let device: Readonly<Record<string, string>> | undefined;
  if (wanted('idevid')) {
    const chain = checks.value('idevid-certificate', () => chainOf('idevid', certificates, rules, context));
    const isRequired = rules.required.has('idevid');
    const named = checkDeviceIdentity(certificates, { isRequired }, context, checks);
    device = chain && named;
  }
  if (wanted('platform')) checks.value('platform-certificate', () => checkPlatform(certificates, rules, context));
  return device;
}

function chainOf(
  subject: Subject,
  certificates: MachineCertificates,
  { trust }: CertificateRules,
  { now }: AppraisalContext,
) {
  const chain = certificates[subject];
  if (chain === undefined)
    throw new Failing('contraindicated', `no certificate of the ${subject.toUpperCase()} was sent`);
  return validateChain(chain, trust, now);
}

const certifiedKey = (chain: Chain | undefined) => publicKeyOf(readCertificate(required(chain?.[0])));

/** The endorsement key's certificate is the one that was enrolled; the machine may send its issuers. */
function ekChain({ ek = [] }: MachineCertificates, { ekCertificate }: AppraisalContext): Chain {
  if (ekCertificate === undefined) throw new Failing('contraindicated', 'no EK certificate was enrolled');
  if (ek[0] !== undefined && !sameBytes(withoutPadding(ek[0]), withoutPadding(ekCertificate))) {
    throw new Failing('contraindicated', 'another EK certificate than the one that was enrolled');
  }
  return [ekCertificate, ...ek.slice(1)];
}

function checkEk(certificates: MachineCertificates, { trust }: CertificateRules, context: AppraisalContext): void {
  const leaf = validateChain(ekChain(certificates, context), trust, context.now);
  if (purposesOf(leaf)?.includes(EK_PURPOSE) === true) return;
  throw new Failing('contraindicated', 'the certificate is not for an endorsement key');
}

function checkPlatform(
  certificates: MachineCertificates,
  { trust }: CertificateRules,
  context: AppraisalContext,
): void {
  const [der, ...issuers] = certificates.platform ?? [];
  if (der === undefined) throw new Failing('contraindicated', 'no platform certificate was sent');
  const certificate = readAttributeCertificate(der);
  validateAttributeCertificate(certificate, issuers, trust, context.now);
  const [ek] = ekChain(certificates, context);
  if (!isHolder(certificate, readCertificate(required(ek)))) {
    throw new Failing('contraindicated', 'the platform certificate is of another endorsement key');
  }
}
