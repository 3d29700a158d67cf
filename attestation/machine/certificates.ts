/**
 * Certificates of a machine, and what they prove of the keys behind its evidence: its endorsement key's, asked again at
 * every appraisal for dates and revocation; an initial attestation key that its manufacturer certified, and the device's
 * identity beside it (TCG, TPM 2.0 Keys for Device Identity and Attestation 1.0; IEEE 802.1AR); and the platform that the
 * TPM was put into.
 */
import { type Static, Type } from 'typebox';
import { decode, TPM_ST, TPMS_ATTEST } from '../../tpm/structures/index.ts';
import { fromBase64, sameBytes } from '../bytes.ts';
import { type CborValue, encodeCbor } from '../cbor.ts';
import { type Checks, Failing, required } from '../checks.ts';
import { sameKey } from '../crypto/port.ts';
import { decodeMap, EvidenceError } from '../evidence.ts';
import { publicKey, verifyTpmSignature } from '../quote.ts';
import type { AppraisalContext } from '../verifier/evidence-format.ts';
import { tpmName } from '../verifier/tpm-public.ts';
import { isHolder, readAttributeCertificate, validateAttributeCertificate } from '../x509/attribute.ts';
import { publicKeyOf, readCertificate } from '../x509/certificate.ts';
import { purposesOf, Trust, validateChain } from '../x509/chain.ts';
import { withoutPadding } from '../x509/der.ts';
import { deviceIdentities } from '../x509/device.ts';

/** What certificates are about. */
const SUBJECTS = ['ek', 'iak', 'idevid', 'platform'] as const;
type Subject = (typeof SUBJECTS)[number];

/** DER, the subject's own certificate first, its issuers after it. */
type Chain = readonly Uint8Array[];

export interface MachineCertificates {
  readonly ek?: Chain;
  /** Of the key that quotes. */
  readonly iak?: Chain;
  readonly idevid?: Chain;
  /** An attribute certificate, then who issued it. */
  readonly platform?: Chain;
  /** TPM2_Certify of the IDevID by the quoting key over the verifier's nonce: both are in this TPM. */
  readonly certified?: {
    /** TPMT_PUBLIC of the IDevID. */
    readonly public: Uint8Array;
    /** TPMS_ATTEST of type certify. */
    readonly attest: Uint8Array;
    /** TPMT_SIGNATURE by the quoting key. */
    readonly signature: Uint8Array;
  };
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
export function encodeCertificates({ certified, ...chains }: MachineCertificates): Uint8Array {
  const map = new Map<string, CborValue>(Object.entries(chains).filter(([, chain]) => chain !== undefined));
  if (certified !== undefined) map.set('certified', { ...certified });
  return encodeCbor(map);
}

/** Throws EvidenceError. */
export function decodeCertificates(bytes: Uint8Array): MachineCertificates {
  const map = decodeMap(bytes, 'the certificates');
  const result: { -readonly [K in keyof MachineCertificates]: MachineCertificates[K] } = {};
  for (const [name, value] of map) {
    if (name === 'certified') result.certified = readCertified(value);
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

function readCertified(value: unknown): NonNullable<MachineCertificates['certified']> {
  const part = (name: string): Uint8Array => {
    const bytes: unknown = value instanceof Map && value.size === 3 ? value.get(name) : undefined;
    if (bytes instanceof Uint8Array) return bytes;
    throw new EvidenceError(`"certified" has no "${name}"`);
  };
  return { public: part('public'), attest: part('attest'), signature: part('signature') };
}

/** tcg-kp-EKCertificate. TCG EK Credential Profile. */
const EK_PURPOSE = '2.23.133.8.1';

/** Check what is there, and that what is required is. Nothing is asked of certificates where the reference asks nothing. */
export function checkCertificates(
  certificates: MachineCertificates,
  rules: CertificateRules | undefined,
  context: AppraisalContext,
  checks: Checks,
): void {
  if (rules === undefined) return;
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
  if (wanted('idevid')) {
    checks.value('idevid-certificate', () => chainOf('idevid', certificates, rules, context));
    checks.value('idevid-key', () => checkIdevid(certificates, context));
    checks.holds(
      'device-identity',
      () => sameDevice(required(certificates.idevid?.[0]), required(certificates.iak?.[0])),
      'the certificates of IDevID and IAK do not name one device',
    );
  }
  if (wanted('platform')) checks.value('platform-certificate', () => checkPlatform(certificates, rules, context));
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

/** The key of the IDevID's certificate is in the TPM that quotes. TPM2_Certify, Part 3, section 18.2. */
function checkIdevid({ idevid, certified }: MachineCertificates, { akPublic, nonce }: AppraisalContext): void {
  const proof = required(certified);
  if (!verifyTpmSignature(akPublic, proof.attest, proof.signature))
    throw new Error('the certification does not verify');
  const attest = decode(TPMS_ATTEST, proof.attest);
  if (attest.type !== TPM_ST.ATTEST_CERTIFY) throw new Error('an attestation of another kind than a certification');
  if (!sameBytes(attest.extraData, nonce)) throw new Error('the certification is not over the nonce of this challenge');
  if (!sameBytes(attest.attested.name, tpmName(proof.public))) throw new Error('another key was certified');
  if (!sameKey(publicKey(proof.public), certifiedKey(idevid))) {
    throw new Error('the certificate is of another key than the one that was certified');
  }
}

/** At least one name in common, and no kind of name in which they differ. */
function sameDevice(idevid: Uint8Array, iak: Uint8Array): boolean {
  const [a, b] = [deviceIdentities(readCertificate(idevid)), deviceIdentities(readCertificate(iak))];
  const common = [...a.keys()].filter((kind) => b.has(kind));
  return common.length > 0 && common.every((kind) => a.get(kind) === b.get(kind));
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
