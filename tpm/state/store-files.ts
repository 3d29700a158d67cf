/** Files of a state directory: private, never through a symbolic link, named in every error. */
import { closeSync, constants, fstatSync, lstatSync, mkdirSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { StoreError } from './store-error.ts';

const { O_NOFOLLOW, O_RDONLY, O_DIRECTORY } = constants;

export const errnoOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException | undefined)?.code;

/** Make the directory where it is absent, 0700. Throws SYMLINK for a link, there or among its entries. */
export function prepareDirectory(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  if (!lstatSync(directory).isDirectory()) throw linkError(directory);
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.isSymbolicLink()) throw linkError(join(directory, entry.name));
  }
}

const linkError = (path: string) =>
  new StoreError(
    'SYMLINK',
    path,
    'is a symbolic link, and state is never read through one: replace it by the real file',
  );

/** Open a file of the directory, 0600 when it is made. Throws SYMLINK, or what the system says. */
export function openPrivate(path: string, flags: number): number {
  try {
    return openSync(path, flags | O_NOFOLLOW, 0o600);
  } catch (error) {
    throw errnoOf(error) === 'ELOOP' ? linkError(path) : error;
  }
}

/** The file's bytes, or undefined where there is none. With `secret`, others must not be able to read it. */
export function readPrivate(path: string, secret = false): Uint8Array | undefined {
  let fd: number;
  try {
    fd = openPrivate(path, O_RDONLY);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const mode = fstatSync(fd).mode & 0o077;
    if (secret && mode !== 0) throw new StoreError('PERMISSION', path, 'others can read this key: chmod 600 it');
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** A descriptor of the directory, to sync what was renamed in it. */
export const openDirectory = (directory: string): number => openSync(directory, O_RDONLY | O_DIRECTORY);
