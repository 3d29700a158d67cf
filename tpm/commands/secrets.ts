/** Secrets exchanged under an asymmetric key: session salts, duplication seeds, credentials. Part 1, annexes B.10, C.6. */
import { label, padLeft } from '../crypto/bytes.ts';
import { KDFe } from '../crypto/kdf.ts';
import { deriveScalar } from '../crypto/primes.ts';
import type { CryptoProvider } from '../crypto/provider.ts';
import { oaepBlock, oaepMessage } from '../crypto/rsa-padding.ts';
import { has, type TpmObject } from '../state/objects.ts';
import {
  DIGEST_SIZE,
  decode,
  encode,
  TPM_ALG,
  TPM_RC,
  TPMA_OBJECT,
  TPMS_ECC_POINT,
  type TPMT_PUBLIC_OR_NULL,
  TpmError,
} from '../structures/index.ts';
import { belowModulus, eccFieldBytes, eccOrder, loadedRsaKey, rsaExponent } from './keys.ts';

export type SecretUse = 'SECRET' | 'DUPLICATE' | 'IDENTITY';

/**
 * A fresh seed of the name algorithm's size, and its protected form for the holder of the key. TPM_RC_HASH for an RSA key
 * that is too small for its digests.
 */
export function protectSecret(
  crypto: CryptoProvider,
  key: TPMT_PUBLIC_OR_NULL,
  use: SecretUse,
): { seed: Uint8Array; encrypted: Uint8Array } {
  const size = DIGEST_SIZE[key.nameAlg] ?? 0;
  if (key.type === TPM_ALG.RSA) {
    const hashAlg = key.parameters.scheme.scheme === TPM_ALG.OAEP ? key.parameters.scheme.details.hashAlg : key.nameAlg;
    // EME-OAEP adds two digests and two octets. RFC 8017, section 7.1.1.
    if (size + 2 * DIGEST_SIZE[hashAlg]! + 2 > key.unique.length) throw new TpmError(TPM_RC.HASH);
    const seed = crypto.random(size);
    const block = oaepBlock(
      crypto,
      key.unique.length,
      hashAlg,
      label(use),
      seed,
      crypto.random(DIGEST_SIZE[hashAlg] ?? 0),
    );
    return { seed, encrypted: crypto.rsaPublic(key.unique, rsaExponent(key), block) };
  }
  if (key.type !== TPM_ALG.ECC) throw new TpmError(TPM_RC.KEY);
  const { curveID } = key.parameters;
  const field = eccFieldBytes(curveID);
  const scalar = deriveScalar({ bytes: (n) => crypto.random(n) }, eccOrder(curveID));
  const ephemeral = crypto.ecPublic(curveID, scalar);
  if (!crypto.ecOnCurve(curveID, key.unique)) throw new TpmError(TPM_RC.ECC_POINT);
  const shared = crypto.ecSharedX(curveID, key.unique, scalar)!; // prime order: never at infinity
  const seed = KDFe(crypto, key.nameAlg, shared, use, ephemeral.x, padLeft(key.unique.x, field), size * 8);
  return { seed, encrypted: encode(TPMS_ECC_POINT, ephemeral) };
}

/** The seed that someone protected for this key. Refuses with TPM_RC_KEY, TPM_RC_ATTRIBUTES, TPM_RC_VALUE and others. */
export function recoverSecret(
  crypto: CryptoProvider,
  key: TpmObject,
  use: SecretUse,
  encrypted: Uint8Array,
): Uint8Array {
  const { publicArea } = key;
  if (!has(key, TPMA_OBJECT.decrypt)) throw new TpmError(TPM_RC.ATTRIBUTES);
  if (publicArea.type === TPM_ALG.RSA) {
    const { scheme } = publicArea.parameters;
    const hashAlg = scheme.scheme === TPM_ALG.OAEP ? scheme.details.hashAlg : publicArea.nameAlg;
    if (encrypted.length !== publicArea.unique.length) throw new TpmError(TPM_RC.SIZE);
    const block = crypto.rsaPrivate(loadedRsaKey(key), belowModulus(encrypted, publicArea.unique));
    const seed = oaepMessage(crypto, block, hashAlg, label(use));
    if (seed === undefined || seed.length > DIGEST_SIZE[publicArea.nameAlg]!) throw new TpmError(TPM_RC.VALUE);
    return seed;
  }
  if (publicArea.type !== TPM_ALG.ECC || key.sensitive === undefined) throw new TpmError(TPM_RC.KEY);
  const { curveID } = publicArea.parameters;
  const field = eccFieldBytes(curveID);
  const point = decode(TPMS_ECC_POINT, encrypted);
  if (!crypto.ecOnCurve(curveID, point)) throw new TpmError(TPM_RC.ECC_POINT);
  const shared = crypto.ecSharedX(curveID, point, key.sensitive.sensitive);
  if (shared === undefined) throw new TpmError(TPM_RC.ECC_POINT);
  const bits = DIGEST_SIZE[publicArea.nameAlg]! * 8; // a loaded decryption key has a name
  return KDFe(
    crypto,
    publicArea.nameAlg,
    shared,
    use,
    padLeft(point.x, field),
    padLeft(publicArea.unique.x, field),
    bits,
  );
}
