/** RSA paddings on raw RSA: PKCS#1 v1.5 signatures and encryption, PSS, OAEP. RFC 8017; TPM 2.0 Part 1, annex B. */
import { DIGEST_SIZE, TPM_ALG, TPM_RC } from '../structures/constants.ts';
import { TpmError } from '../structures/errors.ts';
import { concat, equalSecret } from './bytes.ts';
import { MGF1 } from './kdf.ts';
import type { CryptoProvider } from './provider.ts';

/** DER prefixes of DigestInfo. RFC 8017, section 9.2, and NIST's OIDs for SHA-3. */
const DIGEST_INFO: Readonly<Record<number, string>> = {
  [TPM_ALG.SHA1]: '3021300906052b0e03021a05000414',
  [TPM_ALG.SHA256]: '3031300d060960864801650304020105000420',
  [TPM_ALG.SHA384]: '3041300d060960864801650304020205000430',
  [TPM_ALG.SHA512]: '3051300d060960864801650304020305000440',
  [TPM_ALG.SHA3_256]: '3031300d060960864801650304020805000420',
  [TPM_ALG.SHA3_384]: '3041300d060960864801650304020905000430',
  [TPM_ALG.SHA3_512]: '3051300d060960864801650304020a05000440',
};

function hexBytes(hex: string): Uint8Array {
  const bytes = new Uint8Array(hex.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(hex.slice(i * 2, i * 2 + 2), 16);
  return bytes;
}

/** EMSA-PKCS1-v1_5 over a digest; TPM_RC_SIZE if the key is too small. */
export function pkcs1SignatureBlock(size: number, hashAlg: number, digest: Uint8Array): Uint8Array {
  const info = concat(hexBytes(DIGEST_INFO[hashAlg] ?? ''), digest);
  const padding = size - info.length - 3;
  if (padding < 8) throw new TpmError(TPM_RC.SIZE);
  return concat(Uint8Array.of(0, 1), new Uint8Array(padding).fill(0xff), Uint8Array.of(0), info);
}

/** Octets of EMSA-PSS salt for a modulus of `size` octets: as many as fit, up to the digest's length (FIPS 186-4). */
export const pssSaltSize = (size: number, hashAlg: number): number =>
  Math.min(DIGEST_SIZE[hashAlg]!, size - DIGEST_SIZE[hashAlg]! - 2);

/** EMSA-PSS. TPM_RC_SIZE if the key is too small. */
export function pssBlock(crypto: CryptoProvider, size: number, hashAlg: number, digest: Uint8Array): Uint8Array {
  const hashSize = digest.length;
  const saltSize = pssSaltSize(size, hashAlg);
  if (saltSize < 0) throw new TpmError(TPM_RC.SIZE);
  const salt = crypto.random(saltSize);
  const h = crypto.hash(hashAlg, new Uint8Array(8), digest, salt);
  const db = new Uint8Array(size - hashSize - 1);
  db[db.length - saltSize - 1] = 1;
  db.set(salt, db.length - saltSize);
  xorInto(db, MGF1(crypto, hashAlg, h, db.length));
  db[0] = db[0]! & 0x7f;
  return concat(db, h, Uint8Array.of(0xbc));
}

/** Whether an EMSA-PSS block is over this digest, with any salt length. */
export function pssMatches(crypto: CryptoProvider, block: Uint8Array, hashAlg: number, digest: Uint8Array): boolean {
  const hashSize = digest.length;
  if (block.length < hashSize + 2 || block[block.length - 1] !== 0xbc || (block[0]! & 0x80) !== 0) return false;
  const db = block.slice(0, block.length - hashSize - 1);
  const h = block.subarray(block.length - hashSize - 1, block.length - 1);
  xorInto(db, MGF1(crypto, hashAlg, h, db.length));
  db[0] = db[0]! & 0x7f;
  let at = 0;
  while (at < db.length && db[at] === 0) at++;
  if (db[at] !== 1) return false;
  return equalSecret(h, crypto.hash(hashAlg, new Uint8Array(8), digest, db.subarray(at + 1)));
}

/** EME-OAEP. The label includes its terminating zero. TPM_RC_VALUE if the message is too long. */
export function oaepBlock(
  crypto: CryptoProvider,
  size: number,
  hashAlg: number,
  label: Uint8Array,
  message: Uint8Array,
  seed: Uint8Array,
): Uint8Array {
  const hashSize = DIGEST_SIZE[hashAlg]!;
  const db = new Uint8Array(size - hashSize - 1);
  if (message.length > db.length - hashSize - 1) throw new TpmError(TPM_RC.VALUE);
  db.set(crypto.hash(hashAlg, label));
  db[db.length - message.length - 1] = 1;
  db.set(message, db.length - message.length);
  xorInto(db, MGF1(crypto, hashAlg, seed, db.length));
  const maskedSeed = new Uint8Array(seed);
  xorInto(maskedSeed, MGF1(crypto, hashAlg, db, hashSize));
  return concat(Uint8Array.of(0), maskedSeed, db);
}

/** The message of an EME-OAEP block; undefined if it is none. What is wrong with it changes neither answer nor path. */
export function oaepMessage(
  crypto: CryptoProvider,
  block: Uint8Array,
  hashAlg: number,
  label: Uint8Array,
): Uint8Array | undefined {
  const hashSize = DIGEST_SIZE[hashAlg]!;
  if (block.length < 2 * hashSize + 2) return undefined;
  const seed = block.slice(1, 1 + hashSize);
  const db = block.slice(1 + hashSize);
  xorInto(seed, MGF1(crypto, hashAlg, db, hashSize));
  xorInto(db, MGF1(crypto, hashAlg, seed, db.length));
  const right = equalSecret(db.subarray(0, hashSize), crypto.hash(hashAlg, label));
  // 1 as soon as the separator was seen; where; and whether anything but zeros came before.
  let seen = 0;
  let separator = 0;
  let bad = block[0]! | Number(!right);
  for (let i = hashSize; i < db.length; i++) {
    const one = isEqual(db[i]!, 1);
    separator |= i & -(one & ~seen);
    bad |= ~(seen | one | isEqual(db[i]!, 0)) & 1;
    seen |= one;
  }
  return (bad | (seen ^ 1)) === 0 ? db.slice(separator + 1) : undefined;
}

/** 1 where two octets are the same, else 0, without a branch. */
const isEqual = (a: number, b: number): number => ((a ^ b) - 1) >>> 31;

/** EME-PKCS1-v1_5. TPM_RC_VALUE if the message is too long. */
export function pkcs1EncryptionBlock(crypto: CryptoProvider, size: number, message: Uint8Array): Uint8Array {
  const padding = size - message.length - 3;
  if (padding < 8) throw new TpmError(TPM_RC.VALUE);
  const filler = crypto.random(padding).map((byte) => (byte === 0 ? 0x5a : byte));
  return concat(Uint8Array.of(0, 2), filler, Uint8Array.of(0), message);
}

/** The message of an EME-PKCS1-v1_5 block; undefined if it is none. The path is the same for every block. */
export function pkcs1Message(block: Uint8Array): Uint8Array | undefined {
  let seen = 0;
  let zero = 0;
  for (let i = 2; i < block.length; i++) {
    const end = isEqual(block[i]!, 0);
    zero |= i & -(end & ~seen);
    seen |= end;
  }
  // Eight octets of padding at least: the zero stands at 10 or later.
  const bad = block[0]! | (block[1]! ^ 2) | (seen ^ 1) | ((zero - 10) >>> 31);
  return bad === 0 ? block.slice(zero + 1) : undefined;
}

function xorInto(target: Uint8Array, mask: Uint8Array): void {
  for (let i = 0; i < target.length; i++) target[i] = target[i]! ^ mask[i]!;
}
