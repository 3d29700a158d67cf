/**
 * Endorsement-key certificates: path validation against the manufacturers that the operator trusts, and what the
 * certificate says of the key. TCG EK Credential Profile 2.5, section 3.2; RFC 5280 through pkijs.
 */
import { X509Certificate } from 'node:crypto';
import * as asn1js from 'asn1js';
import { type Certificate, CertificateChainValidationEngine, CertificateRevocationList, RSAPublicKey } from 'pkijs';
import { sameBytes } from '../bytes.ts';
import type { PublicKey } from '../crypto/port.ts';
import { publicKeyOf, readCertificate } from '../x509/certificate.ts';
import { purposesOf, Trust, validateChain } from '../x509/chain.ts';
import { VerifierError } from './errors.ts';

/** tcg-kp-EKCertificate. */
const OID_EK_CERTIFICATE = '2.23.133.8.1';
/** tcg-kp-AIKCertificate. */
const OID_AK_CERTIFICATE = '2.23.133.8.3';
const OID_EXTENDED_KEY_USAGE = '2.5.29.37';
const OID_BASIC_CONSTRAINTS = '2.5.29.19';
const OID_EC_PUBLIC_KEY = '1.2.840.10045.2.1';
/** rsaEncryption, and id-RSAES-OAEP that some manufacturers put in its place. */
const OID_RSA = new Set(['1.2.840.113549.1.1.1', '1.2.840.113549.1.1.7']);
const CURVES: Readonly<Record<string, CertifiedCurve>> = {
  '1.2.840.10045.3.1.7': 'P-256',
  '1.3.132.0.34': 'P-384',
  '1.3.132.0.35': 'P-521',
};

/** A chain longer than this is no manufacturer's. */
const MAX_CHAIN = 8;

export type CertifiedCurve = 'P-256' | 'P-384' | 'P-521';

/** The public key that a certificate is about; integers are big-endian without leading zeros. */
export type CertifiedKey =
  | { readonly type: 'rsa'; readonly modulus: Uint8Array; readonly exponent: number }
  | { readonly type: 'ec'; readonly curve: CertifiedCurve; readonly x: Uint8Array; readonly y: Uint8Array };

function malformed(message: string, cause?: unknown): VerifierError {
  return new VerifierError('ek-malformed', message, {
    remedy: 'Send the EK certificate and its intermediates as DER, leaf first.',
    cause,
  });
}

function untrusted(message: string, remedy: string): VerifierError {
  return new VerifierError('ek-untrusted', message, { failed: ['ek-certificate'], remedy });
}

function parse(der: Uint8Array): Certificate {
  try {
    return readCertificate(der);
  } catch (cause) {
    throw malformed('A certificate does not parse, or is larger than 16 KiB.', cause);
  }
}

function unsigned(bytes: Uint8Array): Uint8Array {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1;
  return bytes.subarray(start);
}

/** The key that a certificate is about. Throws `VerifierError` `ek-malformed`. */
export function certifiedKey(certificate: Certificate): CertifiedKey {
  const { algorithm, subjectPublicKey } = certificate.subjectPublicKeyInfo;
  const bits = subjectPublicKey.valueBlock.valueHexView;
  if (OID_RSA.has(algorithm.algorithmId)) {
    const key = RSAPublicKey.fromBER(Uint8Array.from(bits));
    const exponent = unsigned(key.publicExponent.valueBlock.valueHexView);
    if (exponent.length > 4) throw malformed('The RSA exponent is larger than 32 bits.');
    return {
      type: 'rsa',
      modulus: unsigned(key.modulus.valueBlock.valueHexView),
      exponent: exponent.reduce((value, byte) => value * 256 + byte, 0),
    };
  }
  if (algorithm.algorithmId === OID_EC_PUBLIC_KEY && algorithm.algorithmParams instanceof asn1js.ObjectIdentifier) {
    const curve = CURVES[algorithm.algorithmParams.valueBlock.toString()];
    const size = (bits.length - 1) / 2;
    if (curve !== undefined && bits[0] === 4 && Number.isInteger(size)) {
      return { type: 'ec', curve, x: unsigned(bits.subarray(1, 1 + size)), y: unsigned(bits.subarray(1 + size)) };
    }
  }
  throw malformed('The certificate is for neither an RSA nor a NIST-curve key.');
}

/** Whether two keys are one. */
export function sameKey(a: CertifiedKey, b: CertifiedKey): boolean {
  if (a.type === 'rsa' && b.type === 'rsa') return a.exponent === b.exponent && sameBytes(a.modulus, b.modulus);
  if (a.type === 'ec' && b.type === 'ec') return a.curve === b.curve && sameBytes(a.x, b.x) && sameBytes(a.y, b.y);
  return false;
}

/** Certificates of a PEM bundle, or one DER certificate. Throws `VerifierError` `ek-malformed`. */
export function readCertificates(bundle: string | Uint8Array): Uint8Array[] {
  if (typeof bundle !== 'string') return [bundle];
  const blocks = bundle.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw malformed('The bundle has no PEM certificate.');
  return blocks.map((block) => {
    try {
      return new X509Certificate(block).raw;
    } catch (cause) {
      throw malformed('A PEM certificate does not parse.', cause);
    }
  });
}

/** The operator's trust: manufacturer CAs (roots or pinned intermediates) and revocation lists. */
export class Manufacturers {
  readonly #trusted: Certificate[];
  readonly #revocations: CertificateRevocationList[];
  /** For device keys; made when the first one comes. */
  readonly #trust: () => Trust;

  constructor(certificates: readonly (string | Uint8Array)[], revocationLists: readonly Uint8Array[] = []) {
    const anchors = certificates.flatMap(readCertificates);
    this.#trusted = anchors.map(parse);
    let trust: Trust | undefined;
    this.#trust = () => {
      trust ??= new Trust(anchors, revocationLists);
      return trust;
    };
    this.#revocations = revocationLists.map((der) => CertificateRevocationList.fromBER(Uint8Array.from(der)));
  }

  /**
   * Validate an EK certificate chain (DER, leaf first, intermediates in any order) at `now`.
   * Returns the certified key. Throws `ek-malformed` or `ek-untrusted`.
   */
  async validate(chain: readonly Uint8Array[], now: Date): Promise<CertifiedKey> {
    if (chain.length === 0) {
      throw untrusted('No EK certificate was sent.', 'Send the EK certificate from NV index 0x01C00002 or 0x01C0000A.');
    }
    if (chain.length > MAX_CHAIN) throw malformed(`The chain has more than ${MAX_CHAIN} certificates.`);
    const [leaf, ...intermediates] = chain.map(parse);
    if (leaf === undefined) throw malformed('The chain is empty.');
    this.#checkPurpose(leaf);
    const engine = new CertificateChainValidationEngine({
      trustedCerts: this.#trusted,
      certs: [...intermediates, leaf],
      crls: this.#revocations,
      checkDate: now,
    });
    const verdict = await engine.verify({ passedWhenNotRevValues: true }).catch((cause: unknown) => {
      throw malformed('The chain could not be validated.', cause);
    });
    if (!verdict.result) {
      throw untrusted(
        `The EK certificate chain is not trusted: ${verdict.resultMessage}`,
        'Add the manufacturer CA to the verifier: nexus verifier serve --manufacturer-ca FILE.',
      );
    }
    return certifiedKey(leaf);
  }

  /**
   * Validate the certificates of an initial attestation key (DER, leaf first) at `now`. Returns the certified key.
   * Throws `iak-untrusted`.
   */
  validateDeviceKey(chain: readonly Uint8Array[], now: Date): PublicKey {
    try {
      const leaf = validateChain(chain, this.#trust(), now);
      // Nothing else says that the key is restricted: its public area comes from the caller.
      if (purposesOf(leaf)?.includes(OID_AK_CERTIFICATE) === true) return publicKeyOf(leaf);
      throw new Error(`it is not for an attestation key (extended key usage ${OID_AK_CERTIFICATE} is missing)`);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : 'it does not parse';
      throw new VerifierError('iak-untrusted', `The IAK certificate is not accepted: ${why}.`, {
        failed: ['iak-certificate'],
        remedy: 'Send the chain of NV index 0x01C90001, and give its CA to the verifier: --manufacturer-ca FILE.',
        cause,
      });
    }
  }

  #checkPurpose(leaf: Certificate): void {
    const extension = (oid: string) => leaf.extensions?.find((candidate) => candidate.extnID === oid)?.parsedValue;
    // pkijs types parsed extensions as a union without discriminator.
    const usage = extension(OID_EXTENDED_KEY_USAGE) as { keyPurposes?: string[] } | undefined;
    if (!usage?.keyPurposes?.includes(OID_EK_CERTIFICATE)) {
      throw untrusted(
        'The certificate is not an EK certificate (extended key usage 2.23.133.8.1 is missing).',
        'Send the certificate that the manufacturer issued for the endorsement key.',
      );
    }
    const constraints = extension(OID_BASIC_CONSTRAINTS) as { cA?: boolean } | undefined;
    if (constraints?.cA === true) {
      throw untrusted('The certificate is a CA certificate.', 'Send the EK certificate first, then its issuers.');
    }
  }
}
