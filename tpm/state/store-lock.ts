/**
 * One process a state directory. The lock is a file with the holder's pid and start time, made whole by `link`, so that
 * no one reads half of it. The lock of a dead process is moved aside before it is replaced; when what was moved turns
 * out to be the lock of a live one, it is put back.
 */
import { linkSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { StoreError } from './store-error.ts';
import { errnoOf } from './store-files.ts';

const NAME = 'lock';
const ATTEMPTS = 10;

export interface DirectoryLock {
  release(): void;
}

/** Take the lock. Throws LOCKED with the holder's pid. */
export function lockDirectory(directory: string): DirectoryLock {
  const path = join(directory, NAME);
  const own = join(directory, `${NAME}.${process.pid}.${process.hrtime.bigint()}`);
  const content = `${process.pid} ${processStat(process.pid).startTime ?? ''} ${process.hrtime.bigint()}\n`;
  writeFileSync(own, content, { mode: 0o600, flag: 'wx' });
  try {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      if (tryLink(own, path)) return { release: () => release(path, content) };
      clearDead(path, `${own}.stale`);
    }
    throw new StoreError('LOCKED', path, 'several processes are taking over this lock: try again');
  } finally {
    unlinkSync(own);
  }
}

function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Remove a dead holder's lock. Throws LOCKED when the holder lives. */
function clearDead(path: string, aside: string): void {
  const holder = read(path);
  if (holder === undefined) return;
  if (isAlive(holder)) throw held(path, holder);
  try {
    renameSync(path, aside);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return; // another process was quicker
    throw error;
  }
  const moved = read(aside) ?? '';
  if (moved !== holder) tryLink(aside, path);
  unlinkSync(aside);
  if (moved !== holder) throw held(path, moved);
}

const held = (path: string, holder: string) =>
  new StoreError('LOCKED', path, `the state is in use by process ${pidOf(holder)}: stop it, or use another directory`);

const pidOf = (content: string): number => Number.parseInt(content, 10);

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** The process lives, and is the one that wrote the lock: a reused pid has another start time. */
function isAlive(content: string): boolean {
  const [pid, start] = content.split(' ');
  const number = Number(pid);
  if (!Number.isInteger(number) || number <= 0) return false;
  try {
    process.kill(number, 0);
  } catch (error) {
    if (errnoOf(error) === 'ESRCH') return false;
  }
  const { state, startTime: now } = processStat(number);
  if (state === 'Z' || state === 'X') return false; // ended, and only waits for its parent to notice
  return now === undefined || start === '' || start === now;
}

/** Fields 3 and 22 of /proc/PID/stat, where there is one. */
function processStat(pid: number): { readonly state?: string | undefined; readonly startTime?: string | undefined } {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0], startTime: fields[19] };
  } catch {
    return {}; // no procfs, or the process ended
  }
}

function release(path: string, content: string): void {
  if (read(path) === content) unlinkSync(path);
}
