/** Files of the host: written whole or not at all; its state, with errors that say what to do. */
import { closeSync, fsyncSync, linkSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { StoreError } from '../../tpm/state/store-error.ts';
import { FileStore } from '../../tpm/state/store-file.ts';
import type { KeySource } from '../../tpm/state/store-key.ts';
import { HostError } from './errors.ts';

/**
 * Write a file so that after any crash either the old or the new content is there: temporary file, fsync, rename,
 * fsync of the directory. Mode 0600. With `exclusive`, an existing file is left alone and EEXIST is thrown.
 */
export function writeFileAtomic(
  path: string,
  content: Uint8Array,
  options: { readonly exclusive?: boolean } = {},
): void {
  const temporary = `${path}.${process.pid}.tmp`;
  const file = openSync(temporary, 'w', 0o600);
  try {
    for (let written = 0; written < content.length; ) written += writeSync(file, content, written);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  try {
    if (options.exclusive) linkSync(temporary, path);
    else renameSync(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
  const directory = openSync(dirname(path), 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

/** A process that was just killed needs a moment to end, ms; its lock is not a holder's. */
const DYING_MS = 1500;
const POLL_MS = 50;

async function openWhenFree(directory: string, key: KeySource | undefined): Promise<FileStore> {
  const deadline = Date.now() + DYING_MS;
  for (;;) {
    try {
      return await FileStore.open({ directory, ...(key && { key }) });
    } catch (error) {
      if (!(error instanceof StoreError && error.code === 'LOCKED') || Date.now() > deadline) throw error;
      await setTimeout(POLL_MS);
    }
  }
}

/**
 * Open a durable store, by default under a key file of its own. Throws HostError E_STATE_LOCKED (naming the holder) or
 * E_STATE_CORRUPT; nothing is changed.
 */
export async function openState(directory: string, key?: KeySource): Promise<FileStore> {
  try {
    return await openWhenFree(directory, key);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    const locked = error.code === 'LOCKED';
    throw new HostError(
      locked ? 'E_STATE_LOCKED' : 'E_STATE_CORRUPT',
      error.message,
      locked
        ? 'stop that process, or use another state directory'
        : 'restore the directory from a backup; nothing is made anew silently',
      { cause: error },
    );
  }
}
