/** Asymmetric primitives. Part 3, section 14. */
import { fromBigInt } from '../crypto/bytes.ts';
import { CURVES } from '../crypto/curves.ts';
import { deriveScalar } from '../crypto/primes.ts';
import type { EcPoint } from '../crypto/provider.ts';
import { oaepBlock, oaepMessage, pkcs1EncryptionBlock, pkcs1Message } from '../crypto/rsa-padding.ts';
import { has, type TpmObject } from '../state/objects.ts';
import {
  DIGEST_SIZE,
  type Infer,
  TPM_ALG,
  TPM_CC,
  TPM_ECC,
  TPM_RC,
  TPM2B_DATA,
  TPM2B_ECC_POINT,
  TPM2B_PUBLIC_KEY_RSA,
  TPMA_OBJECT,
  TPMI_ECC_CURVE,
  TPMI_ECC_KEY_EXCHANGE,
  TPMS_ALGORITHM_DETAIL_ECC,
  TPMT_RSA_DECRYPT,
  TpmError,
  u16,
} from '../structures/index.ts';
import { auth, command } from './command.ts';
import { takeCommit } from './commits.ts';
import type { Context } from './context.ts';
import { TPMI_DH_OBJECT } from './handles.ts';
import { belowModulus, eccFieldBytes, eccOrder, loadedRsaKey, rsaExponent } from './keys.ts';
import { about } from './refusal.ts';

type RsaScheme = Infer<typeof TPMT_RSA_DECRYPT>;

/** The key's scheme, or the caller's where the key leaves it open. TPM_RC_SCHEME. */
function selectRsaScheme(key: TpmObject, inScheme: RsaScheme): RsaScheme {
  const own = (key.publicArea as RsaPublic).parameters.scheme;
  if (own.scheme === TPM_ALG.NULL) return inScheme;
  if (own.scheme !== TPM_ALG.OAEP && own.scheme !== TPM_ALG.RSAES) throw new TpmError(TPM_RC.SCHEME, 'inScheme');
  if (inScheme.scheme === TPM_ALG.NULL) return own;
  const hashesAgree =
    own.scheme !== TPM_ALG.OAEP ||
    (inScheme.scheme === TPM_ALG.OAEP && inScheme.details.hashAlg === own.details.hashAlg);
  if (inScheme.scheme !== own.scheme || !hashesAgree) throw new TpmError(TPM_RC.SCHEME, 'inScheme');
  return own;
}

type RsaPublic = Extract<TpmObject['publicArea'], { type: typeof TPM_ALG.RSA }>;

/** TPM_RC_KEY for a key that is not RSA; TPM_RC_ATTRIBUTES for one not for decryption; TPM_RC_VALUE for the label. */
function checkRsaUse(key: TpmObject, label: Uint8Array, forbidden: number): RsaPublic {
  if (key.publicArea.type !== TPM_ALG.RSA) throw new TpmError(TPM_RC.KEY, 'keyHandle');
  if (!has(key, TPMA_OBJECT.decrypt) || (forbidden !== 0 && has(key, forbidden)))
    throw new TpmError(TPM_RC.ATTRIBUTES, 'keyHandle');
  if (label.length > 0 && label[label.length - 1] !== 0) throw new TpmError(TPM_RC.VALUE, 'label');
  return key.publicArea;
}

/** TPM2_RSA_Encrypt. Section 14.2. */
export const RSA_Encrypt = command(
  TPM_CC.RSA_Encrypt,
  {
    handles: { keyHandle: TPMI_DH_OBJECT },
    params: { message: TPM2B_PUBLIC_KEY_RSA, inScheme: TPMT_RSA_DECRYPT, label: TPM2B_DATA },
    response: { outData: TPM2B_PUBLIC_KEY_RSA },
  },
  (tpm, { keyHandle, message, inScheme, label }) => {
    const area = checkRsaUse(keyHandle, label, 0);
    const scheme = selectRsaScheme(keyHandle, inScheme);
    const n = area.unique;
    const block = about('message', () => padded(tpm, scheme, n, message, label));
    return { outData: tpm.crypto.rsaPublic(n, rsaExponent(area), block) };
  },
);

function padded(tpm: Context, scheme: RsaScheme, n: Uint8Array, message: Uint8Array, label: Uint8Array): Uint8Array {
  const { crypto } = tpm;
  switch (scheme.scheme) {
    case TPM_ALG.OAEP: {
      const { hashAlg } = scheme.details;
      const seed = crypto.random(DIGEST_SIZE[hashAlg]!); // the schema admits hash algorithms only
      return oaepBlock(crypto, n.length, hashAlg, label, message, seed);
    }
    case TPM_ALG.RSAES:
      return pkcs1EncryptionBlock(crypto, n.length, message);
    case TPM_ALG.NULL:
      if (message.length > n.length) throw new TpmError(TPM_RC.SIZE);
      return belowModulus(message, n);
  }
}

/** TPM2_RSA_Decrypt: TPM_RC_SIZE and TPM_RC_VALUE for the cipher text, one answer for every bad padding. Section 14.3. */
export const RSA_Decrypt = command(
  TPM_CC.RSA_Decrypt,
  {
    handles: { keyHandle: auth(TPMI_DH_OBJECT, 'user') },
    params: { cipherText: TPM2B_PUBLIC_KEY_RSA, inScheme: TPMT_RSA_DECRYPT, label: TPM2B_DATA },
    response: { message: TPM2B_PUBLIC_KEY_RSA },
  },
  (tpm, { keyHandle, cipherText, inScheme, label }) => {
    const { unique: n } = checkRsaUse(keyHandle, label, TPMA_OBJECT.restricted);
    const scheme = selectRsaScheme(keyHandle, inScheme);
    if (cipherText.length !== n.length) throw new TpmError(TPM_RC.SIZE, 'cipherText');
    const cipher = about('cipherText', () => belowModulus(cipherText, n));
    const block = tpm.crypto.rsaPrivate(loadedRsaKey(keyHandle), cipher);
    const message =
      scheme.scheme === TPM_ALG.NULL
        ? block
        : scheme.scheme === TPM_ALG.RSAES
          ? pkcs1Message(block)
          : oaepMessage(tpm.crypto, block, scheme.details.hashAlg, label);
    if (message === undefined) throw new TpmError(TPM_RC.VALUE, 'cipherText');
    return { message };
  },
);

type EccPublic = Extract<TpmObject['publicArea'], { type: typeof TPM_ALG.ECC }>;

function eccArea(key: TpmObject, name: string): EccPublic {
  if (key.publicArea.type !== TPM_ALG.ECC) throw new TpmError(TPM_RC.KEY, name);
  return key.publicArea;
}

/** A whole, unrestricted ECC decryption key. TPM_RC_KEY, TPM_RC_ATTRIBUTES. Its curve and scalar. */
function eccDecryptionKey(key: TpmObject, name: string): { area: EccPublic; scalar: Uint8Array } {
  const area = eccArea(key, name);
  if (has(key, TPMA_OBJECT.restricted) || !has(key, TPMA_OBJECT.decrypt)) throw new TpmError(TPM_RC.ATTRIBUTES, name);
  if (key.sensitive === undefined) throw new TpmError(TPM_RC.KEY, name);
  return { area, scalar: key.sensitive.sensitive };
}

/** scalar · point: TPM_RC_ECC_POINT off the curve, TPM_RC_NO_RESULT at infinity. */
function multiply(tpm: Context, curve: number, point: EcPoint, scalar: Uint8Array, name: string): EcPoint {
  if (!tpm.crypto.ecOnCurve(curve, point)) throw new TpmError(TPM_RC.ECC_POINT, name);
  const product = tpm.crypto.ecMultiply(curve, point, scalar);
  if (product === undefined) throw new TpmError(TPM_RC.NO_RESULT);
  return product;
}

/** TPM2_ECDH_KeyGen: an ephemeral key, and what it shares with this one. Section 14.4. */
export const ECDH_KeyGen = command(
  TPM_CC.ECDH_KeyGen,
  { handles: { keyHandle: TPMI_DH_OBJECT }, response: { zPoint: TPM2B_ECC_POINT, pubPoint: TPM2B_ECC_POINT } },
  (tpm, { keyHandle }) => {
    const { unique, parameters } = eccArea(keyHandle, 'keyHandle');
    const { curveID } = parameters;
    const scalar = deriveScalar(tpm.random, eccOrder(curveID));
    const zPoint = multiply(tpm, curveID, unique, scalar, 'keyHandle');
    return { zPoint, pubPoint: tpm.crypto.ecPublic(curveID, scalar) };
  },
);

/** TPM2_ECDH_ZGen: TPM_RC_SCHEME for a key whose scheme is not ECDH. Section 14.5. */
export const ECDH_ZGen = command(
  TPM_CC.ECDH_ZGen,
  {
    handles: { keyHandle: auth(TPMI_DH_OBJECT, 'user') },
    params: { inPoint: TPM2B_ECC_POINT },
    response: { outPoint: TPM2B_ECC_POINT },
  },
  (tpm, { keyHandle, inPoint }) => {
    const { area, scalar } = eccDecryptionKey(keyHandle, 'keyHandle');
    const { scheme, curveID } = area.parameters;
    if (scheme.scheme !== TPM_ALG.ECDH && scheme.scheme !== TPM_ALG.NULL)
      throw new TpmError(TPM_RC.SCHEME, 'keyHandle');
    return { outPoint: multiply(tpm, curveID, inPoint, scalar, 'inPoint') };
  },
);

/** The hash of a curve's customary key derivation. TCG Algorithm Registry, section 5. */
const CURVE_KDF_HASH: Readonly<Record<number, typeof TPM_ALG.SHA256 | typeof TPM_ALG.SHA384 | typeof TPM_ALG.SHA512>> =
  {
    [TPM_ECC.NIST_P256]: TPM_ALG.SHA256,
    [TPM_ECC.NIST_P384]: TPM_ALG.SHA384,
    [TPM_ECC.NIST_P521]: TPM_ALG.SHA512,
  };

/** TPM2_ECC_Parameters: TPM_RC_VALUE for a curve that the profile has not. Section 14.6. */
export const ECC_Parameters = command(
  TPM_CC.ECC_Parameters,
  { params: { curveID: TPMI_ECC_CURVE }, response: { parameters: TPMS_ALGORITHM_DETAIL_ECC } },
  (tpm, { curveID }) => {
    if (!tpm.profile.eccCurves.includes(curveID)) throw new TpmError(TPM_RC.VALUE, 'curveID');
    const { p, a, b, gx, gy, n, bits } = CURVES[curveID]!; // a curve of TPMI_ECC_CURVE
    const size = eccFieldBytes(curveID);
    const octets = (value: bigint): Uint8Array => fromBigInt(value, size);
    const hashAlg = CURVE_KDF_HASH[curveID];
    return {
      parameters: {
        curveID,
        keySize: bits,
        kdf:
          hashAlg === undefined ? { scheme: TPM_ALG.NULL } : { scheme: TPM_ALG.KDF1_SP800_56A, details: { hashAlg } },
        sign: { scheme: TPM_ALG.NULL },
        p: octets(p),
        a: octets(a),
        b: octets(b),
        gX: octets(gx),
        gY: octets(gy),
        n: octets(n),
        h: Uint8Array.of(1),
      },
    };
  },
);

/**
 * TPM2_ZGen_2Phase: static and ephemeral key (of EC_Ephemeral, once) with those of another. TPM_RC_SCHEME;
 * TPM_RC_ECC_POINT; TPM_RC_VALUE for a counter that is not outstanding. Section 14.7.
 */
export const ZGen_2Phase = command(
  TPM_CC.ZGen_2Phase,
  {
    handles: { keyA: auth(TPMI_DH_OBJECT, 'user') },
    params: { inQsB: TPM2B_ECC_POINT, inQeB: TPM2B_ECC_POINT, inScheme: TPMI_ECC_KEY_EXCHANGE, counter: u16 },
    response: { outZ1: TPM2B_ECC_POINT, outZ2: TPM2B_ECC_POINT },
  },
  (tpm, { keyA, inQsB, inQeB, inScheme, counter }) => {
    const { area, scalar } = eccDecryptionKey(keyA, 'keyA');
    const { scheme, curveID } = area.parameters;
    if (scheme.scheme !== TPM_ALG.NULL && scheme.scheme !== inScheme) throw new TpmError(TPM_RC.SCHEME, 'inScheme');
    const outZ1 = multiply(tpm, curveID, inQsB, scalar, 'inQsB');
    if (!tpm.crypto.ecOnCurve(curveID, inQeB)) throw new TpmError(TPM_RC.ECC_POINT, 'inQeB');
    const ephemeral = about('counter', () => takeCommit(tpm, NO_NAME, curveID, counter));
    const outZ2 = multiply(tpm, curveID, inQeB, fromBigInt(ephemeral, eccFieldBytes(curveID)), 'inQeB');
    return { outZ1, outZ2 };
  },
);

/** An ephemeral key belongs to no object. */
const NO_NAME = new Uint8Array(0);

export const asymmetricCommands = [
  RSA_Encrypt,
  RSA_Decrypt,
  ECDH_KeyGen,
  ECDH_ZGen,
  ECC_Parameters,
  ZGen_2Phase,
] as const;
