/** `--daemon`: the same command once more, detached; this process ends when that one listens. */
import { spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Outcome } from '../output.ts';

/** Set for the detached process, so that it serves instead of detaching again. */
const DETACHED = 'NEXUS_TPM_DETACHED';

export function isDetached(): boolean {
  return process.env[DETACHED] !== undefined;
}

/** Tell the process that waits in `detach` that every channel stands; it ends then. No effect elsewhere. */
export function reportListening(places: unknown): void {
  if (!isDetached() || !process.send) return;
  process.send(places);
  process.disconnect();
}

/**
 * Start this command line again in a session of its own. Resolves when that process listens; when it ends instead, with
 * its exit code, after its messages were printed.
 *
 * @param logFile takes the detached process's messages (default: nobody's)
 */
export async function detach(logFile: string | undefined): Promise<Outcome> {
  const scratch = mkdtempSync(join(tmpdir(), 'nexus-tpm-'));
  const messages = join(scratch, 'messages');
  // Until it listens its messages are kept for this terminal; a pipe would break under it when this process ends.
  const log = openSync(logFile ?? messages, 'a', 0o600);
  try {
    const child = spawn(process.execPath, process.argv.slice(1), {
      detached: true,
      stdio: ['ignore', 'ignore', log, 'ipc'],
      env: { ...process.env, [DETACHED]: '1' },
    });
    const told = await new Promise<{ readonly places: unknown } | { readonly code: number | null }>(
      (resolve, reject) => {
        child.once('message', (places) => resolve({ places }));
        child.once('exit', (code) => resolve({ code }));
        child.once('error', reject);
      },
    );
    if ('code' in told) {
      process.stderr.write(readFileSync(logFile ?? messages, 'utf8'));
      // The child has the exit codes of this command; a signal has none.
      return { json: { ended: told.code }, text: '', exitCode: (told.code ?? 70) as Outcome['exitCode'] & number };
    }
    child.unref();
    return { json: { pid: child.pid, listening: told.places }, text: '' };
  } finally {
    closeSync(log);
    rmSync(scratch, { recursive: true });
  }
}
