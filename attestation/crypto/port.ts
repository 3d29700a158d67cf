/**
 * What verification asks of cryptography: public keys, and signatures over messages and digests. Two providers stand
 * behind it: OpenSSL where there is a Node (found at run time, so that a bundle for browsers imports none), and the
 * portable one, which `nexus-tcb/attestation` brings along in a browser. All calls are synchronous.
 */
import { nodeVerification } from './node.ts';

export type HashName = 'sha1' | 'sha256' | 'sha384' | 'sha512';

/** A public key as its provider has it; a KeyObject of node:crypto is one. */
export interface PublicKey {
  readonly asymmetricKeyType?: string | undefined;
  readonly asymmetricKeyDetails?: { readonly namedCurve?: string | undefined } | undefined;
}

/** A public key in the members of its JWK (RFC 7518, section 6; RFC 8037), base64url. */
export type PublicJwk =
  | { readonly kty: 'EC'; readonly crv: Curve; readonly x: string; readonly y: string }
  | { readonly kty: 'RSA'; readonly n: string; readonly e: string }
  | { readonly kty: 'OKP'; readonly crv: 'Ed25519'; readonly x: string };

export type Curve = 'P-256' | 'P-384' | 'P-521';

/** ECDSA signatures are r || s, each as long as the field; a PSS salt may have any length where none is given. */
export type SignatureScheme =
  | DigestScheme
  | { readonly type: 'rsapss'; readonly hash: HashName; readonly saltLength?: number }
  | { readonly type: 'ed25519' };

/** Schemes whose signatures are over a digest of the message and nothing else. */
export interface DigestScheme {
  readonly type: 'ecdsa' | 'rsassa';
  readonly hash: HashName;
}

export interface Verification {
  /** Throws for a key that is none: a point off its curve among them. */
  importJwk(jwk: PublicJwk): PublicKey;
  /** A SubjectPublicKeyInfo in DER. Throws for what is none, or of another kind than RSA, NIST curves and Ed25519. */
  importSpki(der: Uint8Array): PublicKey;
  /** What `importJwk` takes; of equal keys the same. */
  exportJwk(key: PublicKey): PublicJwk;
  /** Whether the signature is by the key. Throws for a key of another kind than the scheme's. */
  verify(scheme: SignatureScheme, message: Uint8Array, signature: Uint8Array, key: PublicKey): boolean;
  /** The same for ECDSA and RSASSA over a digest that is at hand where the message is not. */
  verifyDigest(scheme: DigestScheme, digest: Uint8Array, signature: Uint8Array, key: PublicKey): boolean;
}

let current: Verification | undefined = nodeVerification();

/** Verify by this provider from now on. The entry for browsers calls it; Node has its own from the start. */
export function useVerification(provider: Verification): void {
  current = provider;
}

/** The provider. Throws where there is neither a Node nor one that was given. */
export function verification(): Verification {
  if (current !== undefined) return current;
  throw new Error('no cryptography: import nexus-tcb/attestation by its `browser` condition, or call useVerification');
}

/** OpenSSL's names of the curves that are used here. */
export const CURVE_NAMES: Readonly<Record<Curve, string>> = {
  'P-256': 'prime256v1',
  'P-384': 'secp384r1',
  'P-521': 'secp521r1',
};
export const CURVE_SIZES: Readonly<Record<Curve, number>> = { 'P-256': 32, 'P-384': 48, 'P-521': 66 };

/** The curve of an EC key; undefined for other keys and curves. */
export function curveOf(key: PublicKey): Curve | undefined {
  const name = key.asymmetricKeyDetails?.namedCurve;
  return (Object.keys(CURVE_NAMES) as Curve[]).find((curve) => CURVE_NAMES[curve] === name);
}

/** Whether two keys are the same. */
export function sameKey(a: PublicKey, b: PublicKey): boolean {
  const [one, other] = [a, b].map((key) => Object.entries(verification().exportJwk(key)).sort().join());
  return one === other;
}
