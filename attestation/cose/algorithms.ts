/**
 * Signature algorithms of COSE: ECDSA, EdDSA (RFC 9053, section 2), the same fully specified (RFC 9864), and RSASSA-PSS
 * (RFC 8230). Each is for keys of one kind, on one curve.
 */
import { type Curve, curveOf, type PublicKey, type SignatureScheme } from '../crypto/port.ts';
import { CoseError } from './object.ts';

/** Numbers of the IANA registry, by its names. */
export const ALGORITHM = {
  ES256: -7,
  EdDSA: -8,
  ESP256: -9,
  Ed25519: -19,
  ES384: -35,
  ES512: -36,
  PS256: -37,
  PS384: -38,
  PS512: -39,
  ESP384: -51,
  ESP512: -52,
} as const;
export type AlgorithmName = keyof typeof ALGORITHM;

interface Algorithm {
  readonly scheme: SignatureScheme;
  /** Type of the key, as node:crypto names it. */
  readonly keyType: 'ec' | 'rsa' | 'ed25519';
  readonly curve?: Curve;
}

const ecdsa = (hash: 'sha256' | 'sha384' | 'sha512', curve: Curve): Algorithm => ({
  scheme: { type: 'ecdsa', hash },
  keyType: 'ec',
  curve,
});
/** The salt is as long as the hash. RFC 8230, section 2. */
const pss = (hash: 'sha256' | 'sha384' | 'sha512', saltLength: number): Algorithm => ({
  scheme: { type: 'rsapss', hash, saltLength },
  keyType: 'rsa',
});
const ed25519: Algorithm = { scheme: { type: 'ed25519' }, keyType: 'ed25519' };

const ALGORITHMS: ReadonlyMap<unknown, Algorithm> = new Map([
  [ALGORITHM.ES256, ecdsa('sha256', 'P-256')],
  [ALGORITHM.ESP256, ecdsa('sha256', 'P-256')],
  [ALGORITHM.ES384, ecdsa('sha384', 'P-384')],
  [ALGORITHM.ESP384, ecdsa('sha384', 'P-384')],
  [ALGORITHM.ES512, ecdsa('sha512', 'P-521')],
  [ALGORITHM.ESP512, ecdsa('sha512', 'P-521')],
  [ALGORITHM.EdDSA, ed25519],
  [ALGORITHM.Ed25519, ed25519],
  [ALGORITHM.PS256, pss('sha256', 32)],
  [ALGORITHM.PS384, pss('sha384', 48)],
  [ALGORITHM.PS512, pss('sha512', 64)],
]);

/**
 * How a header's algorithm signs with this key. Throws CoseError for an algorithm that is not accepted here, or is not
 * the key's: the key decides, never the header alone.
 */
export function schemeFor(algorithm: unknown, key: PublicKey): SignatureScheme {
  const known = ALGORITHMS.get(algorithm);
  if (known === undefined) throw new CoseError(`algorithm ${String(algorithm)} is not accepted`);
  if (key.asymmetricKeyType !== known.keyType || (known.curve !== undefined && curveOf(key) !== known.curve)) {
    throw new CoseError('the algorithm is not one of this key');
  }
  return known.scheme;
}

const OF_CURVE: Readonly<Record<Curve, number>> = {
  'P-256': ALGORITHM.ES256,
  'P-384': ALGORITHM.ES384,
  'P-521': ALGORITHM.ES512,
};

/** The algorithm that a key signs with where none is named. Throws CoseError for a key without one. */
export function algorithmOf(key: PublicKey): number {
  const curve = curveOf(key);
  if (curve !== undefined) return OF_CURVE[curve];
  if (key.asymmetricKeyType === 'ed25519') return ALGORITHM.EdDSA;
  if (key.asymmetricKeyType === 'rsa') return ALGORITHM.PS256;
  throw new CoseError('the key is neither of a NIST curve, nor Ed25519, nor RSA');
}
