/** One process per database directory: PGlite has no lock of its own, and two would destroy it. */
import fs from 'node:fs';
import { join } from 'node:path';
import { VerifierError } from '../errors.ts';

export interface DirectoryLock {
  release(): void;
}

/** Start time of a process in clock ticks, from /proc, so that a recycled pid is not taken for the holder. */
function startTime(pid: number): string {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    // Field 22, counted after the command name, which may itself hold spaces.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}

function alive(pid: number, since: string): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  return since === '' || startTime(pid) === since;
}

/** Take the lock; a dead holder's is taken over. Throws `VerifierError` `database-unavailable` naming the holder. */
export function lockDirectory(directory: string): DirectoryLock {
  const path = join(directory, 'lock');
  const mine = `${process.pid} ${startTime(process.pid)}`;
  for (;;) {
    try {
      fs.writeFileSync(path, mine, { flag: 'wx', mode: 0o600 });
      return { release: () => fs.rmSync(path, { force: true }) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = fs.readFileSync(path, 'utf8');
    const [pid = '', since = ''] = holder.split(' ');
    if (Number(pid) > 0 && alive(Number(pid), since)) {
      throw new VerifierError('database-unavailable', `Process ${pid} holds the verifier's state in ${directory}.`, {
        remedy: `Stop process ${pid}, or use another directory; for several verifiers use PostgreSQL.`,
      });
    }
    fs.rmSync(path, { force: true });
  }
}
