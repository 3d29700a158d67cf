/** The key that a state is encrypted under: from a file of 32 octets that only its owner reads, or from a passphrase. */
import { createHmac, randomBytes, scryptSync } from 'node:crypto';
import { closeSync, constants, fsyncSync, writeSync } from 'node:fs';
import { StoreError } from './store-error.ts';
import { openPrivate, readPrivate } from './store-files.ts';

/** `file` is made at first use; `secret` is 32 octets that the caller keeps. A passphrase goes through scrypt (RFC 7914). */
export type KeySource = { readonly file: string } | { readonly secret: Uint8Array } | { readonly passphrase: string };

/** How the key was derived; it stands in the state's header. */
export interface KeyDerivation {
  /** 0: it is the secret itself. Else the binary logarithm of scrypt's N. */
  readonly logN: number;
  readonly salt: Uint8Array;
}

const KEY_SIZE = 32;
/** N = 2^15, r = 8: 32 MiB and some 60 ms, OWASP's figure for interactive use. */
const LOG_N = 15;
/** What a header may ask of us: 1 GiB. */
const MAX_LOG_N = 20;

export const newDerivation = (source: KeySource): KeyDerivation => ({
  logN: 'passphrase' in source ? LOG_N : 0,
  salt: randomBytes(16),
});

/** The master key. `fresh` allows a key file to be made. Throws NO_KEY, PERMISSION, WRONG_KEY. */
export function masterKey(source: KeySource, { logN, salt }: KeyDerivation, fresh: boolean, state: string): Uint8Array {
  if (!('passphrase' in source)) {
    if (logN !== 0) throw new StoreError('WRONG_KEY', state, 'is encrypted under a passphrase, not a key');
    if ('secret' in source) return secretKey(source.secret);
    const key = readPrivate(source.file, true) ?? makeKey(source.file, fresh, state);
    if (key.length !== KEY_SIZE) throw new StoreError('WRONG_KEY', source.file, `is not a key of ${KEY_SIZE} octets`);
    return key;
  }
  if (logN === 0) throw new StoreError('WRONG_KEY', state, 'is encrypted under a key file, not a passphrase');
  if (logN > MAX_LOG_N) throw new StoreError('CORRUPT', state, 'asks for an absurd amount of work to derive its key');
  return scryptSync(source.passphrase, salt, KEY_SIZE, { N: 2 ** logN, r: 8, p: 1, maxmem: 2 ** (logN + 11) });
}

/** A copy, so that the caller may zero its own. */
function secretKey(secret: Uint8Array): Uint8Array {
  if (secret.length !== KEY_SIZE) throw new RangeError(`a key has ${KEY_SIZE} octets, not ${secret.length}`);
  return secret.slice();
}

function makeKey(path: string, fresh: boolean, state: string): Uint8Array {
  if (!fresh) throw new StoreError('NO_KEY', state, `its key file ${path} is missing: restore it from your backup`);
  const key = randomBytes(KEY_SIZE);
  const fd = openPrivate(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL);
  try {
    writeSync(fd, key);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  return key;
}

/** A key for one purpose: HMAC-SHA-256 of the master key (the expansion of RFC 5869 for one block). */
export const subkey = (master: Uint8Array, purpose: string, salt: Uint8Array): Uint8Array =>
  createHmac('sha256', master).update(purpose).update(salt).update(Uint8Array.of(1)).digest();
