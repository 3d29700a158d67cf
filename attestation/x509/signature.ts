/** Signatures of certificates, attribute certificates and revocation lists. RFC 5280, section 4.1.1.2; RFC 5758, 8410. */
import * as asn1js from 'asn1js';
import { plainSignature } from '../crypto/ecdsa.ts';
import { CURVE_SIZES, curveOf, type HashName, type PublicKey, verification } from '../crypto/port.ts';

const ECDSA: Readonly<Record<string, HashName>> = {
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
};
const RSASSA: Readonly<Record<string, HashName>> = {
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
};
const RSAPSS = '1.2.840.113549.1.1.10';
const ED25519 = '1.3.101.112';
const HASHES: Readonly<Record<string, HashName>> = {
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
};

/** AlgorithmIdentifier, as pkijs reads it. */
export interface Algorithm {
  readonly algorithmId: string;
  readonly algorithmParams?: unknown;
}

/** Whether `key` signed the bytes; false for algorithms that are not accepted, SHA-1 and MD5 among them. */
export function isSignedBy(bytes: Uint8Array, algorithm: Algorithm, signature: Uint8Array, key: PublicKey): boolean {
  const { algorithmId } = algorithm;
  const crypto = verification();
  switch (key.asymmetricKeyType) {
    case 'ec': {
      const hash = ECDSA[algorithmId];
      const plain = plainSignature(signature, CURVE_SIZES[curveOf(key) ?? 'P-256']);
      return hash !== undefined && plain !== undefined && crypto.verify({ type: 'ecdsa', hash }, bytes, plain, key);
    }
    case 'rsa': {
      const pss = algorithmId === RSAPSS;
      const hash = pss ? pssHash(algorithm.algorithmParams) : RSASSA[algorithmId];
      return hash !== undefined && crypto.verify({ type: pss ? 'rsapss' : 'rsassa', hash }, bytes, signature, key);
    }
    default:
      return algorithmId === ED25519 && crypto.verify({ type: 'ed25519' }, bytes, signature, key);
  }
}

/** The hash of RSASSA-PSS-params, which must name one: its default is SHA-1. RFC 4055, section 3.1. */
function pssHash(parameters: unknown): HashName | undefined {
  const [first] = parameters instanceof asn1js.Sequence ? parameters.valueBlock.value : [];
  const tagged =
    first instanceof asn1js.Constructed && first.idBlock.tagNumber === 0 ? first.valueBlock.value[0] : first;
  const [oid] = tagged instanceof asn1js.Sequence ? tagged.valueBlock.value : [];
  return oid instanceof asn1js.ObjectIdentifier ? HASHES[oid.valueBlock.toString()] : undefined;
}
