/**
 * Keys that a machine loaded into its keyrings, as IMA measured them (policy rule `measure func=KEY_CHECK`): the buffer is
 * the certificate, the name the keyring. What is loaded there may sign what runs, so the appraiser says what may be.
 */
import { sameBytes, toHex } from '../bytes.ts';
import { hashByName, SHA256 } from '../hash.ts';
import { ImaError, type ImaFields } from './list.ts';

/** Keyrings of the kernel's own begin so; other buffers are command lines and state. */
const KEYRING = '.';

export interface LoadedKey {
  /** `.ima`, `.builtin_trusted_keys`, ... */
  readonly keyring: string;
  /** SHA-256 of the certificate as it was loaded, hexadecimal. */
  readonly digest: string;
}

/** The key that an entry says was loaded; undefined for other entries. Throws ImaError for a digest not of its buffer. */
export function loadedKey({ name, buffer, algorithm, digest }: ImaFields): LoadedKey | undefined {
  if (buffer === undefined || !name.startsWith(KEYRING)) return undefined;
  const hash = hashByName(algorithm);
  if (hash === undefined || !sameBytes(hash.digest(buffer), digest)) {
    throw new ImaError('ima-template', `a key for ${name} whose digest is not of it`);
  }
  return { keyring: name, digest: toHex(SHA256.digest(buffer)) };
}

/** Certificates that may be in a keyring: SHA-256 in hexadecimal, by keyring. */
export type KeyringRules = ReadonlyMap<string, ReadonlySet<string>>;

/** The first key that its keyring's rule does not list; keyrings without a rule hold what they like. */
export function strangeKey(keys: readonly LoadedKey[], rules: KeyringRules): LoadedKey | undefined {
  return keys.find(({ keyring, digest }) => rules.get(keyring)?.has(digest) === false);
}
