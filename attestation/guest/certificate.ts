/** The certificate of an endorsement key that a nexus made and signed: an EK certificate as chips have, by its own key. */
import type { Certificate } from 'pkijs';
import { decodeCoseKey } from '../cose/key.ts';
import { plainSignature } from '../crypto/ecdsa.ts';
import { CURVE_SIZES, verification } from '../crypto/port.ts';
import { type CertifiedKey, certifiedKey } from '../verifier/ek-certificates.ts';
import { readCertificate } from '../x509/certificate.ts';

/** tcg-kp-EKCertificate. */
const EK_CERTIFICATE_PURPOSE = '2.23.133.8.1';
const OID = { commonName: '2.5.4.3', extendedKeyUsage: '2.5.29.37', basicConstraints: '2.5.29.19' } as const;
const ECDSA_WITH_SHA384 = '1.2.840.10045.4.3.3';
/** Names of partitions in host.yaml. */
const NAME = /^[a-z][a-z0-9-]{0,30}$/;

export interface NexusCertificate {
  /** The partition that the key's TPM belongs to. */
  readonly name: string;
  readonly key: CertifiedKey;
}

/** Read a certificate and verify it under a nexus key (COSE_Key). Throws for every other certificate. */
export function readNexusCertificate(der: Uint8Array, nexusKey: Uint8Array): NexusCertificate {
  const certificate = readCertificate(der);
  requireEndorsement(certificate);
  if (!signedBy(certificate, nexusKey)) throw new Error('not signed by the nexus of this host');
  return { name: nameOf(certificate), key: certifiedKey(certificate) };
}

function requireEndorsement(certificate: Certificate): void {
  const extension = (oid: string) => certificate.extensions?.find(({ extnID }) => extnID === oid)?.parsedValue;
  // pkijs types parsed extensions as a union without discriminator.
  const usage = extension(OID.extendedKeyUsage) as { keyPurposes?: string[] } | undefined;
  const constraints = extension(OID.basicConstraints) as { cA?: boolean } | undefined;
  if (usage?.keyPurposes?.includes(EK_CERTIFICATE_PURPOSE) === true && constraints?.cA !== true) return;
  throw new Error('not a certificate of an endorsement key');
}

function signedBy({ signatureAlgorithm, signatureValue, tbsView }: Certificate, nexusKey: Uint8Array): boolean {
  if (signatureAlgorithm.algorithmId !== ECDSA_WITH_SHA384) return false;
  const plain = plainSignature(signatureValue.valueBlock.valueHexView, CURVE_SIZES['P-256']);
  const scheme = { type: 'ecdsa', hash: 'sha384' } as const;
  return plain !== undefined && verification().verify(scheme, tbsView, plain, decodeCoseKey(nexusKey));
}

/** The subject is one common name. */
function nameOf({ subject: { typesAndValues } }: Certificate): string {
  const [only, ...more] = typesAndValues;
  const name: unknown = only?.value.valueBlock.value;
  if (more.length === 0 && only?.type === OID.commonName && typeof name === 'string' && NAME.test(name)) return name;
  throw new Error('the subject is not the name of a partition');
}
