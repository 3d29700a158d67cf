/** The served TPM as a process of its own: the built command, as a user runs it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { freePortPair } from './swtpm.ts';

export interface NexusTpm {
  /** Data channel, both framings; the control channel is at the next port. */
  readonly port: number;
  readonly child: ChildProcess;
  /** End it as a user does; resolves with its exit code. */
  stop(): Promise<number | null>;
  /** End it as a power cut does. */
  kill(): Promise<void>;
}

/** Start `nexus tpm serve` on free ports with more arguments; resolves when it listens. */
export async function startNexusTpm(...more: string[]): Promise<NexusTpm> {
  const port = await freePortPair();
  const child = spawn(process.execPath, ['dist/cli/main.js', 'tpm', 'serve', '--swtpm', `${port}`, '--json', ...more], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  // One JSON document says that it listens.
  await Promise.race([
    new Promise((resolve) => child.stdout?.once('data', resolve)),
    exited.then((code) => {
      throw new Error(`nexus tpm serve ended with ${code}`);
    }),
  ]);
  return {
    port,
    child,
    stop() {
      child.kill('SIGTERM');
      return exited;
    },
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
