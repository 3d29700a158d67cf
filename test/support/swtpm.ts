/** The distribution's swtpm as a peer in tests: started on free ports over a fresh state directory. */
import { spawn, spawnSync } from 'node:child_process';
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
  await answering(port + 1);
  return {
    port,
    pid: child.pid ?? 0,
    stop() {
      child.kill('SIGKILL');
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** A port that is free, and the next one too. */
export async function freePortPair(): Promise<number> {
  for (;;) {
    const first = await listening(0);
    const second = await listening(first.port + 1).catch(() => undefined);
    first.close();
    second?.close();
    if (second) return first.port;
  }
}

function listening(port: number): Promise<{ port: number; close(): void }> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      if (typeof address === 'object' && address) resolve({ port: address.port, close: () => server.close() });
    });
  });
}

/** Wait until something accepts connections at a port. */
export async function answering(port: number): Promise<void> {
  for (;;) {
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
}
