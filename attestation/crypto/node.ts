/** Verification by OpenSSL, where there is a Node. */
import type { KeyObject } from 'node:crypto';
import { concatBytes, fromBase64Url, fromHex, sameBytes } from '../bytes.ts';
import { DIGEST_INFO, DigestKey } from './digest-signatures.ts';
import type { Curve, PublicJwk, PublicKey, SignatureScheme, Verification } from './port.ts';

type NodeCrypto = typeof import('node:crypto');

/** The provider; undefined where there is no Node. */
export function nodeVerification(): Verification | undefined {
  const { process } = globalThis as { process?: { getBuiltinModule?: (id: string) => unknown } };
  const crypto = process?.getBuiltinModule?.('node:crypto') as NodeCrypto | undefined;
  return crypto === undefined ? undefined : over(crypto);
}

/** Every key that reaches this provider was made by it or by node:crypto. */
const keyObject = (key: PublicKey) => key as KeyObject;

function over(crypto: NodeCrypto): Verification {
  return {
    importJwk: (jwk) => crypto.createPublicKey({ format: 'jwk', key: { ...jwk } }),
    importSpki: (der) => {
      const key = crypto.createPublicKey({ format: 'der', type: 'spki', key: Buffer.from(der) });
      if (!KINDS.has(key.asymmetricKeyType ?? '')) throw new Error(`a key of type ${key.asymmetricKeyType}`);
      return key;
    },
    exportJwk: (key) => jwkOf(keyObject(key)),
    verify(scheme, message, signature, key) {
      requireKind(scheme, key);
      if (scheme.type === 'ed25519') return crypto.verify(null, message, keyObject(key), signature);
      return crypto.verify(scheme.hash, message, { key: keyObject(key), ...options(crypto, scheme) }, signature);
    },
    verifyDigest(scheme, digest, signature, key) {
      requireKind(scheme, key);
      if (scheme.type === 'ecdsa') return digestKey(keyObject(key)).verify(digest, signature);
      const expected = concatBytes(fromHex(DIGEST_INFO[scheme.hash]), digest);
      const padding = crypto.constants.RSA_PKCS1_PADDING;
      try {
        return sameBytes(crypto.publicDecrypt({ key: keyObject(key), padding }, signature), expected);
      } catch {
        // What does not open with the key is not by it.
        return false;
      }
    },
  };
}

/** Numbers without the leading zeros that encodings may have. */
function jwkOf(key: KeyObject): PublicJwk {
  const { kty, crv, x, y, n, e } = key.export({ format: 'jwk' });
  return Object.fromEntries(
    Object.entries({ kty, crv, x, y, n, e }).filter(([, value]) => value !== undefined),
  ) as unknown as PublicJwk; // OpenSSL has the members that the key's type has
}

function options({ constants }: NodeCrypto, scheme: Exclude<SignatureScheme, { type: 'ed25519' }>) {
  if (scheme.type === 'ecdsa') return { dsaEncoding: 'ieee-p1363' } as const;
  if (scheme.type !== 'rsapss') return { padding: constants.RSA_PKCS1_PADDING };
  const saltLength = scheme.saltLength ?? constants.RSA_PSS_SALTLEN_AUTO;
  return { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength };
}

const KINDS = new Set(['ec', 'rsa', 'ed25519']);
const KIND_OF = { ecdsa: 'ec', rsassa: 'rsa', rsapss: 'rsa', ed25519: 'ed25519' } as const;

function requireKind({ type }: SignatureScheme, key: PublicKey): void {
  if (key.asymmetricKeyType !== KIND_OF[type])
    throw new Error(`a ${type} signature under a key of type ${key.asymmetricKeyType}`);
}

const digestKeys = new WeakMap<KeyObject, DigestKey>();

/** The same key, as it verifies digests. */
function digestKey(key: KeyObject): DigestKey {
  const known = digestKeys.get(key);
  if (known !== undefined) return known;
  const { crv, x = '', y = '' } = key.export({ format: 'jwk' });
  const made = new DigestKey({ curve: crv as Curve, x: fromBase64Url(x), y: fromBase64Url(y) }); // it is an EC key
  digestKeys.set(key, made);
  return made;
}
