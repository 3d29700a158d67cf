/** Protection of sensitive areas outside the TPM: integrity, then encryption. Part 1, sections 22 to 24. */
import { concat, equalSecret } from '../crypto/bytes.ts';
import { KDFa } from '../crypto/kdf.ts';
import type { TpmObject } from '../state/objects.ts';
import {
  DIGEST_SIZE,
  decode,
  encode,
  Reader,
  TPM_ALG,
  TPM_RC,
  TPM2B_DIGEST,
  TPM2B_IV,
  TPM2B_SENSITIVE,
  type TPMT_SENSITIVE,
  type TPMT_SYM_DEF_OBJECT,
  TpmError,
} from '../structures/index.ts';
import type { Context } from './context.ts';

const EMPTY = new Uint8Array(0);

/** What protects: hash, seed and symmetric key size. */
export interface Protector {
  readonly hashAlg: number;
  readonly seed: Uint8Array;
  readonly symmetric: TPMT_SYM_DEF_OBJECT;
}

/** A loaded parent as protector. Symmetric parents derive their protection from their seed too. */
export function protectorOf(parent: TpmObject): Protector {
  const { publicArea, sensitive } = parent;
  if (sensitive === undefined) throw new TpmError(TPM_RC.TYPE);
  const symmetric =
    publicArea.type === TPM_ALG.RSA || publicArea.type === TPM_ALG.ECC
      ? publicArea.parameters.symmetric
      : publicArea.type === TPM_ALG.SYMCIPHER
        ? publicArea.parameters.sym
        : undefined;
  if (symmetric === undefined) throw new TpmError(TPM_RC.TYPE);
  return { hashAlg: publicArea.nameAlg, seed: sensitive.seedValue, symmetric };
}

type Crypto = Pick<Context, 'crypto'>;

function storageKey({ crypto }: Crypto, { hashAlg, seed, symmetric }: Protector, name: Uint8Array): Uint8Array {
  if (symmetric.algorithm === TPM_ALG.NULL) throw new TpmError(TPM_RC.SYMMETRIC);
  return KDFa(crypto, hashAlg, seed, 'STORAGE', name, EMPTY, symmetric.keyBits);
}

function integrity({ crypto }: Crypto, { hashAlg, seed }: Protector, data: Uint8Array, name: Uint8Array): Uint8Array {
  const key = KDFa(crypto, hashAlg, seed, 'INTEGRITY', EMPTY, EMPTY, DIGEST_SIZE[hashAlg]! * 8);
  return crypto.hmac(hashAlg, key, data, name);
}

/** Encrypt and authenticate octets for `name`; with an IV of their own, or a zero one for use once (duplication). */
export function wrap(
  tpm: Crypto,
  protector: Protector,
  name: Uint8Array,
  data: Uint8Array,
  iv?: Uint8Array,
): Uint8Array {
  const key = storageKey(tpm, protector, name);
  const encrypted = tpm.crypto.aes('cfb', true, key, iv ?? new Uint8Array(16), data);
  const protectedPart = iv === undefined ? encrypted : concat(encode(TPM2B_IV, iv), encrypted);
  return concat(encode(TPM2B_DIGEST, integrity(tpm, protector, protectedPart, name)), protectedPart);
}

/** The octets of `wrap`. TPM_RC_INTEGRITY when they were changed or are for another name. */
export function unwrap(
  tpm: Crypto,
  protector: Protector,
  name: Uint8Array,
  blob: Uint8Array,
  hasIv: boolean,
): Uint8Array {
  const r = new Reader(blob);
  const mac = TPM2B_DIGEST.read(r);
  const protectedPart = blob.subarray(r.pos);
  if (!equalSecret(mac, integrity(tpm, protector, protectedPart, name))) throw new TpmError(TPM_RC.INTEGRITY);
  const iv = hasIv ? TPM2B_IV.read(r) : new Uint8Array(16);
  if (iv.length !== 16) throw new TpmError(TPM_RC.VALUE);
  return tpm.crypto.aes('cfb', false, storageKey(tpm, protector, name), iv, blob.subarray(r.pos));
}

/**
 * A TPM2B_SENSITIVE as it leaves the TPM: the authorisation value is filled with zeros to the size of the name's digest, so
 * that the size of what is encrypted does not tell how long it is. The reference fills it likewise.
 */
export function padded(sensitive: TPMT_SENSITIVE, name: Uint8Array): Uint8Array {
  const authValue = new Uint8Array(name.length - 2); // A name is an algorithm's number, then a digest.
  authValue.set(sensitive.authValue);
  return encode(TPM2B_SENSITIVE, { ...sensitive, authValue });
}

/** A TPM2B_PRIVATE for a parent. */
export function sensitiveToPrivate(
  tpm: Context,
  sensitive: TPMT_SENSITIVE,
  name: Uint8Array,
  parent: TpmObject,
): Uint8Array {
  return wrap(tpm, protectorOf(parent), name, padded(sensitive, name), tpm.random.bytes(16));
}

/** The sensitive area in a TPM2B_PRIVATE. TPM_RC_INTEGRITY; TPM_RC_VALUE for its IV; TPM_RC_SENSITIVE for what is in it. */
export function privateToSensitive(
  tpm: Context,
  blob: Uint8Array,
  name: Uint8Array,
  parent: TpmObject,
): TPMT_SENSITIVE {
  const clear = unwrap(tpm, protectorOf(parent), name, blob, true);
  try {
    return decode(TPM2B_SENSITIVE, clear);
  } catch (error) {
    throw error instanceof TpmError ? new TpmError(TPM_RC.SENSITIVE) : error;
  }
}
