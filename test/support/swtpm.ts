/** The distribution's swtpm as a peer in tests: started on free ports over a fresh state directory. */
import { spawn, spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const hasSwtpm = spawnSync('swtpm', ['--version']).status === 0;

export interface Swtpm {
  readonly port: number;
  readonly pid: number;
  stop(): void;
}

/** Start swtpm, powered on, not started up. */
export async function startSwtpm(...flags: string[]): Promise<Swtpm> {
  for (let attempt = 1; ; attempt++) {
    const started = await tryToStart(flags);
    if (started !== undefined) return started;
    if (attempt === ATTEMPTS) throw new Error('swtpm does not start');
  }
}

const ATTEMPTS = 5;

/** Undefined when it ended at once: somebody took the ports meanwhile. */
async function tryToStart(flags: readonly string[]): Promise<Swtpm | undefined> {
  const directory = mkdtempSync(join(tmpdir(), 'nexus-swtpm-'));
  const port = await freePortPair();
  const child = spawn(
    'swtpm',
    [
      ...['socket', '--tpm2', '--server', `port=${port},disconnect=no`, '--ctrl', `type=tcp,port=${port + 1}`],
      ...['--tpmstate', `dir=${directory}`, '--flags', ['not-need-init', ...flags].join()],
    ],
    { stdio: 'ignore' },
  );
  const stop = () => {
    child.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  };
  const ended = new Promise<'ended'>((resolve) => child.once('exit', () => resolve('ended')));
  const first = await Promise.race([ended, answering(port + 1)]);
  if (first !== 'ended' && child.exitCode === null) return { port, pid: child.pid ?? 0, stop };
  stop();
  return undefined;
}

/** Below those that systems give to whoever asks for any port, so that no other test is given one meanwhile. */
const PORTS = { from: 10_000, to: 32_000 } as const;

/** A port that is free, and the next one too. */
export async function freePortPair(): Promise<number> {
  for (;;) {
    const port = randomInt(PORTS.from, PORTS.to);
    if ((await isFree(port)) && (await isFree(port + 1))) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

const PATIENCE_MS = 30_000;

/** Wait until something accepts connections at a port. */
export async function answering(port: number): Promise<void> {
  for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline; ) {
    const open = await new Promise<boolean>((resolve) => {
      const probe = connect(port, '127.0.0.1');
      probe.once('connect', () => {
        probe.destroy();
        resolve(true);
      });
      probe.once('error', () => resolve(false));
    });
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`nothing answers at port ${port}`);
}
