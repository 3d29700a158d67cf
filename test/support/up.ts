/** `nexus up` as a process of its own, driven as a user drives it. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GuestShell } from './guest-shell.ts';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** Run a command to its end. */
export function nexus(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' });
  return { status, stdout, stderr };
}

export class RunningHost {
  readonly child: ChildProcess;
  readonly #ended: Promise<number | null>;
  readonly #sockets: Socket[] = [];
  output = '';

  /** Start a host; its output is kept. */
  constructor(file: string, ...args: string[]) {
    this.child = spawn(process.execPath, [MAIN, 'up', file, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    const hear = (bytes: Buffer) => {
      this.output += bytes.toString();
    };
    this.child.stdout?.on('data', hear);
    this.child.stderr?.on('data', hear);
    this.#ended = new Promise((resolve) => this.child.once('exit', (code) => resolve(code)));
  }

  /** Resolves when the output matches. Throws when the host ends first. */
  async says(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.output)) {
      const heard = new Promise((resolve) => this.child.stdout?.once('data', resolve));
      const code = await Promise.race([heard, this.#ended.then((ended) => ({ ended }))]);
      if (typeof code === 'object' && code !== null && 'ended' in code) {
        throw new Error(`nexus up ended with ${code.ended} before ${pattern}:\n${this.output.slice(-2000)}`);
      }
    }
  }

  /** The console of a partition, as `nexus console` has it. */
  async console(stateDirectory: string, name: string): Promise<GuestShell> {
    const socket = connect(join(stateDirectory, `${name}.console`));
    this.#sockets.push(socket);
    const shell = new GuestShell();
    shell.attach({ input: (bytes) => void socket.write(bytes) });
    socket.on('data', (bytes: Buffer) => shell.hear(bytes));
    socket.on('error', () => {}); // its close is told
    socket.on('close', () => shell.end('the console closed'));
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return shell;
  }

  /** End it; resolves with its exit code, null after a signal that cannot be caught. */
  end(signal: NodeJS.Signals = 'SIGINT'): Promise<number | null> {
    for (const socket of this.#sockets) socket.destroy();
    this.child.kill(signal);
    return this.#ended;
  }
}
