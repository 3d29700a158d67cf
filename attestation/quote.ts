/** TPM quotes: the signature over a TPMS_ATTEST by a TPM's public key, and the registers it selects. */
import { decode, TPM_ALG, TPM_ST, TPMS_ATTEST, TPMT_PUBLIC, TPMT_SIGNATURE_PRESENT } from '../tpm/structures/index.ts';
import { concatBytes, toBase64Url } from './bytes.ts';
import { CURVE_SIZES, type Curve, curveOf, type HashName, type PublicKey, verification } from './crypto/port.ts';
import { remembered } from './key-cache.ts';

export interface Quote {
  readonly extraData: Uint8Array;
  readonly pcrDigest: Uint8Array;
  /** Bank (TPM_ALG_ID) and ascending PCR indices, per selection, in order. */
  readonly selection: readonly { readonly hash: number; readonly pcrs: readonly number[] }[];
  readonly clock: {
    readonly resetCount: number;
    readonly restartCount: number;
    readonly clock: bigint;
    readonly safe: boolean;
  };
  readonly firmwareVersion: bigint;
}

export class QuoteError extends Error {
  readonly code = 'E_QUOTE';
  readonly remedy = 'send a quote as TPM2_Quote returned it';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'QuoteError';
  }
}

/** Decode a TPMS_ATTEST that is a quote. The magic value and exact length are checked. Throws QuoteError. */
export function decodeQuote(bytes: Uint8Array): Quote {
  const attest = attempt('the structure is not a TPMS_ATTEST', () => decode(TPMS_ATTEST, bytes));
  if (attest.type !== TPM_ST.ATTEST_QUOTE) throw new QuoteError(`an attestation of type 0x${attest.type.toString(16)}`);
  const { pcrSelect, pcrDigest } = attest.attested;
  const { clock, resetCount, restartCount, safe } = attest.clockInfo;
  return {
    extraData: attest.extraData,
    pcrDigest,
    selection: pcrSelect.map(({ hash, pcrSelect: pcrs }) => ({ hash, pcrs })),
    clock: { clock, resetCount, restartCount, safe },
    firmwareVersion: attest.firmwareVersion,
  };
}

const HASH_NAMES: Readonly<Record<number, HashName>> = {
  [TPM_ALG.SHA256]: 'sha256',
  [TPM_ALG.SHA384]: 'sha384',
  [TPM_ALG.SHA512]: 'sha512',
};

export interface SignatureOptions {
  /** Accept SHA-1 in a signature, as TPMs of before 2016 make them. Default false. */
  readonly allowSha1?: boolean;
}

/** Name of a hash; undefined for those that no signature or quote may use (SHA-1 among them). */
export const hashName = (algorithm: number): HashName | undefined => HASH_NAMES[algorithm];

/**
 * Whether `signature` (TPMT_SIGNATURE) over `message` is by the key of `publicArea` (TPMT_PUBLIC): RSASSA, RSAPSS and
 * ECDSA with SHA-256, SHA-384 or SHA-512. Throws QuoteError for malformed structures and other schemes.
 */
export function verifyTpmSignature(
  publicArea: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
  options: SignatureOptions = {},
): boolean {
  return verifySignatureBy(publicKey(publicArea), message, signature, options);
}

/** The same by a key that is known from elsewhere: its certificate. Throws QuoteError. */
export function verifySignatureBy(
  key: PublicKey,
  message: Uint8Array,
  signature: Uint8Array,
  { allowSha1 = false }: SignatureOptions = {},
): boolean {
  const requireHash = (algorithm: number): HashName => {
    const name = algorithm === TPM_ALG.SHA1 && allowSha1 ? 'sha1' : hashName(algorithm);
    if (name === undefined) throw new QuoteError(`hash 0x${algorithm.toString(16)} is not accepted in a signature`);
    return name;
  };
  const parsed = attempt('not a TPMT_SIGNATURE', () => decode(TPMT_SIGNATURE_PRESENT, signature));
  switch (parsed.sigAlg) {
    case TPM_ALG.ECDSA: {
      if (key.asymmetricKeyType !== 'ec') throw new QuoteError('an ECDSA signature under a key that is not ECC');
      const { hash, signatureR, signatureS } = parsed.signature;
      const size = CURVE_SIZES[curveOf(key) ?? 'P-256'];
      const plain = concatBytes(leftPad(signatureR, size), leftPad(signatureS, size));
      return verification().verify({ type: 'ecdsa', hash: requireHash(hash) }, message, plain, key);
    }
    case TPM_ALG.RSASSA:
    case TPM_ALG.RSAPSS: {
      if (key.asymmetricKeyType !== 'rsa') throw new QuoteError('an RSA signature under a key that is not RSA');
      const { hash, sig } = parsed.signature;
      const type = parsed.sigAlg === TPM_ALG.RSASSA ? 'rsassa' : 'rsapss';
      return verification().verify({ type, hash: requireHash(hash) }, message, sig, key);
    }
    default:
      throw new QuoteError(`a signature scheme (0x${parsed.sigAlg.toString(16)}) that is not accepted`);
  }
}

/** The hash (TPM_ALG_ID) of a TPMT_SIGNATURE, with which its signer hashed the quoted registers. Throws QuoteError. */
export function signatureHash(signature: Uint8Array): number {
  const parsed = attempt('not a TPMT_SIGNATURE', () => decode(TPMT_SIGNATURE_PRESENT, signature));
  if (parsed.sigAlg === TPM_ALG.HMAC) throw new QuoteError('an HMAC is not a signature');
  return parsed.signature.hash;
}

const CURVES: Readonly<Record<number, Curve>> = { 3: 'P-256', 4: 'P-384', 5: 'P-521' };

/** The key of a TPMT_PUBLIC. Throws QuoteError. */
export const publicKey = remembered((publicArea): PublicKey => {
  const area = attempt('not a TPMT_PUBLIC', () => decode(TPMT_PUBLIC, publicArea));
  const url = toBase64Url;
  if (area.type === TPM_ALG.RSA) {
    const exponent = new Uint8Array(4);
    new DataView(exponent.buffer).setUint32(0, area.parameters.exponent || 65537);
    return attempt('not numbers of an RSA key', () =>
      verification().importJwk({ kty: 'RSA', n: url(area.unique), e: url(exponent) }),
    );
  }
  if (area.type === TPM_ALG.ECC) {
    const crv = CURVES[area.parameters.curveID];
    if (crv === undefined) throw new QuoteError('a curve that is not P-256, P-384 or P-521');
    const x = url(leftPad(area.unique.x, CURVE_SIZES[crv]));
    const y = url(leftPad(area.unique.y, CURVE_SIZES[crv]));
    return attempt('the point is not on the curve', () => verification().importJwk({ kty: 'EC', crv, x, y }));
  }
  throw new QuoteError('the key is neither RSA nor ECC');
});

function leftPad(bytes: Uint8Array, size: number): Uint8Array {
  if (bytes.length > size) throw new QuoteError(`a number of ${bytes.length} bytes where ${size} are the most`);
  const padded = new Uint8Array(size);
  padded.set(bytes, size - bytes.length);
  return padded;
}

function attempt<T>(what: string, body: () => T): T {
  try {
    return body();
  } catch (cause) {
    if (cause instanceof QuoteError) throw cause;
    throw new QuoteError(what, { cause });
  }
}
