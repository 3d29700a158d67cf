/** Signature schemes of keys. Part 1, annexes B and C; Part 2, section 11.2.1. */
import { equalSecret } from '../crypto/bytes.ts';
import { ecdaaSign, ecschnorrSign, ecschnorrVerify } from '../crypto/ecc-signatures.ts';
import { pkcs1SignatureBlock, pssBlock, pssMatches } from '../crypto/rsa-padding.ts';
import { has, type TpmObject } from '../state/objects.ts';
import {
  DIGEST_SIZE,
  TPM_ALG,
  TPM_RC,
  TPMA_OBJECT,
  type TPMT_SIG_SCHEME,
  type TPMT_SIGNATURE,
  TpmError,
} from '../structures/index.ts';
import { takeCommit } from './commits.ts';
import type { Context } from './context.ts';
import { loadedRsaKey, rsaExponent } from './keys.ts';

/** A scheme that signs: with its hash. */
export type SigningScheme = Exclude<TPMT_SIG_SCHEME, { scheme: typeof TPM_ALG.NULL }>;

const RSA_SIGN: ReadonlySet<number> = new Set([TPM_ALG.RSASSA, TPM_ALG.RSAPSS]);
const ECC_SIGN: ReadonlySet<number> = new Set([TPM_ALG.ECDSA, TPM_ALG.ECDAA, TPM_ALG.ECSCHNORR]);
const HMAC_SIGN: ReadonlySet<number> = new Set([TPM_ALG.HMAC]);

/**
 * The scheme to sign with: the key's own, or the caller's where the key leaves it open. Undefined where they do not
 * agree or do not suit the key's type (CVE-2025-2884: a KEYEDHASH key with an asymmetric scheme).
 */
export function selectScheme(key: TpmObject, inScheme: TPMT_SIG_SCHEME): SigningScheme | undefined {
  const { publicArea } = key;
  if (publicArea.type === TPM_ALG.SYMCIPHER) return undefined;
  const own = publicArea.parameters.scheme as TPMT_SIG_SCHEME; // a signing key's scheme is one of these or NULL
  const allowed = publicArea.type === TPM_ALG.RSA ? RSA_SIGN : publicArea.type === TPM_ALG.ECC ? ECC_SIGN : HMAC_SIGN;
  if (own.scheme === TPM_ALG.NULL) {
    if (inScheme.scheme === TPM_ALG.NULL || !allowed.has(inScheme.scheme)) return undefined;
    return inScheme;
  }
  if (!allowed.has(own.scheme)) return undefined;
  if (inScheme.scheme === TPM_ALG.NULL) return own;
  if (inScheme.scheme !== own.scheme || inScheme.details.hashAlg !== own.details.hashAlg) return undefined;
  return inScheme;
}

/** Sign a digest of the scheme's hash. The key is loaded whole and may sign. */
export function sign(tpm: Context, key: TpmObject, scheme: SigningScheme, digest: Uint8Array): TPMT_SIGNATURE {
  const { crypto } = tpm;
  const { hashAlg } = scheme.details;
  const { publicArea, sensitive } = key;
  if (sensitive === undefined) throw new TpmError(TPM_RC.KEY);
  switch (scheme.scheme) {
    case TPM_ALG.RSASSA:
    case TPM_ALG.RSAPSS: {
      const rsa = loadedRsaKey(key);
      const block =
        scheme.scheme === TPM_ALG.RSASSA
          ? pkcs1SignatureBlock(rsa.n.length, hashAlg, digest)
          : pssBlock(crypto, rsa.n.length, hashAlg, digest);
      return { sigAlg: scheme.scheme, signature: { hash: hashAlg, sig: crypto.rsaPrivate(rsa, block) } };
    }
    case TPM_ALG.ECDSA:
    case TPM_ALG.ECSCHNORR: {
      if (publicArea.type !== TPM_ALG.ECC) throw new TpmError(TPM_RC.SCHEME);
      const { curveID } = publicArea.parameters;
      const { r, s } =
        scheme.scheme === TPM_ALG.ECDSA
          ? crypto.ecdsaSign(curveID, sensitive.sensitive, digest)
          : ecschnorrSign(crypto, curveID, sensitive.sensitive, hashAlg, digest);
      return { sigAlg: scheme.scheme, signature: { hash: hashAlg, signatureR: r, signatureS: s } };
    }
    case TPM_ALG.ECDAA: {
      if (publicArea.type !== TPM_ALG.ECC) throw new TpmError(TPM_RC.SCHEME);
      const { curveID } = publicArea.parameters;
      const commit = takeCommit(tpm, key.name, curveID, scheme.details.count);
      const { r, s } = ecdaaSign(crypto, curveID, sensitive.sensitive, hashAlg, digest, commit);
      return { sigAlg: TPM_ALG.ECDAA, signature: { hash: hashAlg, signatureR: r, signatureS: s } };
    }
    case TPM_ALG.HMAC:
      return {
        sigAlg: TPM_ALG.HMAC,
        signature: { hashAlg, digest: crypto.hmac(hashAlg, sensitive.sensitive, digest) },
      };
  }
}

/**
 * Whether a signature of `digest` is the key's. TPM_RC_SCHEME where its kind does not suit the key; TPM_RC_HANDLE for an
 * HMAC key of which only the public area is loaded.
 */
export function verify(tpm: Context, key: TpmObject, digest: Uint8Array, signature: TPMT_SIGNATURE): boolean {
  const { crypto } = tpm;
  const { publicArea } = key;
  switch (signature.sigAlg) {
    case TPM_ALG.RSASSA:
    case TPM_ALG.RSAPSS: {
      if (publicArea.type !== TPM_ALG.RSA) throw new TpmError(TPM_RC.SCHEME);
      const { hash, sig } = signature.signature;
      const n = publicArea.unique;
      if (digest.length !== DIGEST_SIZE[hash]) throw new TpmError(TPM_RC.SIZE);
      if (sig.length !== n.length || isNotBelow(sig, n)) return false;
      const block = crypto.rsaPublic(n, rsaExponent(publicArea), sig);
      return signature.sigAlg === TPM_ALG.RSASSA
        ? equalSecret(block, pkcs1SignatureBlock(n.length, hash, digest))
        : pssMatches(crypto, block, hash, digest);
    }
    case TPM_ALG.ECDSA:
    case TPM_ALG.ECSCHNORR: {
      if (publicArea.type !== TPM_ALG.ECC) throw new TpmError(TPM_RC.SCHEME);
      const { hash, signatureR: r, signatureS: s } = signature.signature;
      const { curveID } = publicArea.parameters;
      return signature.sigAlg === TPM_ALG.ECDSA
        ? crypto.ecdsaVerify(curveID, publicArea.unique, digest, r, s)
        : ecschnorrVerify(crypto, curveID, publicArea.unique, hash, digest, { r, s });
    }
    case TPM_ALG.HMAC: {
      if (publicArea.type !== TPM_ALG.KEYEDHASH) throw new TpmError(TPM_RC.SCHEME);
      if (key.sensitive === undefined) throw new TpmError(TPM_RC.HANDLE);
      const { hashAlg, digest: mac } = signature.signature;
      return equalSecret(mac, crypto.hmac(hashAlg, key.sensitive.sensitive, digest));
    }
    default:
      throw new TpmError(TPM_RC.SCHEME);
  }
}

function isNotBelow(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! > b[i]!;
  return true;
}

/** A key that may sign: TPM_RC_KEY otherwise. */
export function requireSigningKey(key: TpmObject, name: string): void {
  // A cipher key with "sign" encrypts.
  if (!has(key, TPMA_OBJECT.sign) || key.publicArea.type === TPM_ALG.SYMCIPHER) throw new TpmError(TPM_RC.KEY, name);
}
