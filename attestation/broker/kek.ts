/**
 * The key-encryption key: the one secret that the database does not hold. Everything secret in the database is under
 * it (AES-256-GCM, RFC 5116), each with its own associated data, so that a row cannot be moved to another's place.
 */
import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes, scrypt } from 'node:crypto';
import fs from 'node:fs';
import { dirname } from 'node:path';
import { VerifierError } from '../verifier/errors.ts';

/** Where the key comes from. `unseal` is for a TPM: it returns 32 bytes, and is called once at start. */
export type KekSource =
  | { readonly file: string }
  | { readonly passphrase: string }
  | { readonly unseal: () => Promise<Uint8Array> };

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** scrypt at about 100 ms and 64 MiB: RFC 7914's interactive cost, four times over. */
const SCRYPT = { N: 2 ** 16, r: 8, p: 1, maxmem: 2 ** 27 };

/** Encrypts and decrypts small secrets. The key does not leave the object. */
export interface KeyEncryptionKey {
  /** Non-secret fingerprint, to notice that a database belongs to another key. */
  readonly fingerprint: string;
  /** `nonce || ciphertext || tag`. */
  seal(plaintext: Uint8Array, context: string): Uint8Array;
  /** Throws `VerifierError` `kek-wrong` when the bytes are not ours, were changed, or belong to another context. */
  open(sealed: Uint8Array, context: string): Buffer;
}

/** AES-256-GCM under `key` with `context` as associated data. */
export function sealBytes(key: Uint8Array, plaintext: Uint8Array, context: string): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context));
  return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

/** Inverse of `sealBytes`; throws when key, context or a byte differs. */
export function openBytes(key: Uint8Array, sealed: Uint8Array, context: string): Buffer {
  if (sealed.length < NONCE_BYTES + TAG_BYTES) throw new RangeError('sealed bytes are too short');
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES))
    .setAAD(Buffer.from(context))
    .setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
  return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, sealed.length - TAG_BYTES)), decipher.final()]);
}

function wrong(cause?: unknown): VerifierError {
  return new VerifierError('kek-wrong', 'The key-encryption key does not open this database.', {
    remedy: 'Start with the key file, passphrase or TPM that the database was created with.',
    cause,
  });
}

function fromKey(key: Uint8Array): KeyEncryptionKey {
  return {
    fingerprint: createHmac('sha256', key).update('nexus-tcb kek fingerprint').digest('hex').slice(0, 32),
    seal: (plaintext, context) => sealBytes(key, plaintext, context),
    open(sealed, context) {
      try {
        return openBytes(key, sealed, context);
      } catch (cause) {
        throw wrong(cause);
      }
    },
  };
}

/** Read the key file; create it (mode 0600, synced) where there is none. */
function fileKey(path: string): Buffer {
  try {
    const key = fs.readFileSync(path);
    if (key.length !== KEY_BYTES) throw wrong();
    return key;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  return writeOnce(path, randomBytes(KEY_BYTES));
}

/** Write a file of mode 0600, synced, unless there is one; returns what the file then holds. */
export function writeOnce(path: string, bytes: Uint8Array): Buffer {
  fs.mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  // Written whole beside it, then linked into place: of two replicas that start at once, one's key becomes the key.
  const draft = `${path}.${process.pid}`;
  const descriptor = fs.openSync(draft, 'wx', 0o600);
  try {
    fs.writeSync(descriptor, bytes);
    fs.fsyncSync(descriptor);
    fs.linkSync(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    fs.closeSync(descriptor);
    fs.rmSync(draft, { force: true });
  }
  return fs.readFileSync(path);
}

function passphraseKey(passphrase: string, salt: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(passphrase.normalize('NFKC'), salt, KEY_BYTES, SCRYPT, (error, key) =>
      error ? reject(error) : resolve(key),
    );
  });
}

/** Obtain the key. `salt` (kept in the database) is used for a passphrase only. */
export async function loadKek(source: KekSource, salt: Uint8Array): Promise<KeyEncryptionKey> {
  if ('file' in source) return fromKey(fileKey(source.file));
  if ('passphrase' in source) return fromKey(await passphraseKey(source.passphrase, salt));
  const key = await source.unseal();
  if (key.length !== KEY_BYTES) throw wrong();
  return fromKey(key);
}

/** SHA-256, where the broker names things by digest. */
export function sha256(...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}
