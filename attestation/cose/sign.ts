/** Signing of COSE_Sign1, by keys of node:crypto. */
import { constants, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { encodeCbor, Tag } from '../cbor.ts';
import type { SignatureScheme } from '../crypto/port.ts';
import { ALGORITHM, type AlgorithmName, algorithmOf, schemeFor } from './algorithms.ts';
import { encodePublicKey, keyDigest } from './key.ts';
import { type Headers, protect, TAG_SIGN1 } from './object.ts';
import { HEADER_KEY, signatureInput } from './sign1.ts';

/** COSE_Key of a public key, or of a private key's public half. Throws CoseError for kinds that do not sign here. */
export function encodeCoseKey(key: KeyObject): Uint8Array {
  return encodePublicKey(key.type === 'private' ? createPublicKey(key) : key);
}

/** SHA-256 of a key's COSE_Key: how signers and nexus keys are named. */
export function coseKeyDigest(key: KeyObject): Uint8Array {
  return keyDigest(encodeCoseKey(key));
}

/**
 * COSE_Sign1 with an attached payload and protected headers only. The algorithm is the key's: ES256, ES384 and ES512 by
 * its curve, EdDSA, and PS256 for RSA unless another is named. Throws CoseError for an algorithm that is not the key's.
 */
export function signSign1(
  payload: Uint8Array,
  key: KeyObject,
  headers: Headers = new Map(),
  name?: AlgorithmName,
): Uint8Array {
  const algorithm = name === undefined ? algorithmOf(key) : ALGORITHM[name];
  const scheme = schemeFor(algorithm, key);
  const protectedHeader = protect(algorithm, headers);
  const signature = signBy(scheme, signatureInput(protectedHeader, payload), key);
  return encodeCbor(new Tag([protectedHeader, new Map(), payload, Uint8Array.from(signature)], TAG_SIGN1));
}

/** Sign with the signer's own public key in the protected header. */
export function signSign1EmbeddingKey(payload: Uint8Array, key: KeyObject): Uint8Array {
  return signSign1(payload, key, new Map([[HEADER_KEY, encodeCoseKey(key)]]));
}

function signBy(scheme: SignatureScheme, input: Uint8Array, key: KeyObject): Uint8Array {
  if (scheme.type === 'ed25519') return sign(null, input, key);
  if (scheme.type === 'ecdsa') return sign(scheme.hash, input, { key, dsaEncoding: 'ieee-p1363' });
  const saltLength = scheme.type === 'rsapss' ? scheme.saltLength : undefined;
  return sign(scheme.hash, input, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });
}
