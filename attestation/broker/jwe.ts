/** JWE to the key of a TEE (RFC 7516, flattened JSON), as Trustee's clients expect a resource. */
import { createPublicKey } from 'node:crypto';
import { FlattenedEncrypt, type FlattenedJWE, type JWK } from 'jose';
import { VerifierError } from '../verifier/errors.ts';

/** RSA keys below this are refused. */
const MIN_RSA_BITS = 2048;
const ALGORITHMS = { RSA: 'RSA-OAEP-256', EC: 'ECDH-ES+A256KW' } as const;
const CURVES = new Set(['P-256', 'P-384', 'P-521']);

function malformed(cause?: unknown): VerifierError {
  return new VerifierError('key-malformed', 'The TEE key is not an RSA (2048 bits and more) or NIST-curve JWK.', {
    remedy: 'Send tee-pubkey with kty RSA and n, e, or with kty EC and crv, x, y.',
    cause,
  });
}

/** The public members only, so that nothing else reaches the key or the result. Throws `key-malformed`. */
export function teeKey(jwk: Readonly<Record<string, unknown>>): JWK & { kty: 'RSA' | 'EC' } {
  const text = (name: string): string => {
    const value = jwk[name];
    if (typeof value !== 'string') throw malformed();
    return value;
  };
  if (jwk.kty === 'RSA') return { kty: 'RSA', n: text('n'), e: text('e') };
  if (jwk.kty === 'EC' && CURVES.has(text('crv'))) return { kty: 'EC', crv: text('crv'), x: text('x'), y: text('y') };
  throw malformed();
}

/** Encrypt to the TEE's key, content under AES-256-GCM. Throws `key-malformed`. */
export async function jweTo(jwk: JWK & { kty: 'RSA' | 'EC' }, content: Uint8Array): Promise<FlattenedJWE> {
  try {
    const key = createPublicKey({ key: jwk, format: 'jwk' });
    if (jwk.kty === 'RSA' && (key.asymmetricKeyDetails?.modulusLength ?? 0) < MIN_RSA_BITS) throw malformed();
    return await new FlattenedEncrypt(content)
      .setProtectedHeader({ alg: ALGORITHMS[jwk.kty], enc: 'A256GCM' })
      .encrypt(key);
  } catch (cause) {
    throw cause instanceof VerifierError ? cause : malformed(cause);
  }
}
