/** tpm2-tools on a swtpm of its own, for conformance tests: the other side's tools, not ours. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const NEEDED = ['swtpm', 'tpm2_quote', 'tpm2_activatecredential'];

/** The first tool that is missing, or undefined where all are installed. */
export function missingTool(): string | undefined {
  const path = (process.env.PATH ?? '').split(':');
  return NEEDED.find((tool) => !path.some((directory) => fs.existsSync(join(directory, tool))));
}

/** Two adjacent free ports: swtpm's command channel and, by convention of its TCTI, control channel. */
async function freePorts(): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const first = createServer().listen(0, '127.0.0.1');
    await once(first, 'listening');
    const address = first.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const second = createServer();
    const free = await new Promise<boolean>((resolve) => {
      second.once('error', () => resolve(false)).listen(port + 1, '127.0.0.1', () => resolve(true));
    });
    first.close();
    second.close();
    if (free && port < 65_534) return port;
  }
  throw new Error('no two adjacent ports are free');
}

export class SwtpmTools {
  readonly directory: string;
  readonly port: number;
  readonly #server: ChildProcess;

  private constructor(directory: string, port: number, server: ChildProcess) {
    this.directory = directory;
    this.port = port;
    this.#server = server;
  }

  static async start(): Promise<SwtpmTools> {
    const directory = fs.mkdtempSync(join(tmpdir(), 'nexus-swtpm-'));
    const port = await freePorts();
    const server = spawn(
      'swtpm',
      [
        'socket',
        '--tpm2',
        `--tpmstate=dir=${directory}`,
        `--server=type=tcp,port=${port}`,
        `--ctrl=type=tcp,port=${port + 1}`,
        '--flags=not-need-init,startup-clear',
      ],
      { stdio: 'ignore' },
    );
    const tools = new SwtpmTools(directory, port, server);
    for (let attempt = 0; ; attempt += 1) {
      try {
        tools.run('tpm2_getcap', 'properties-fixed');
        return tools;
      } catch (error) {
        if (attempt === 50) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }

  /** Run one tool in the TPM's directory; its standard output. Throws with its standard error. */
  run(tool: string, ...arguments_: readonly string[]): string {
    return execFileSync(tool, arguments_, {
      cwd: this.directory,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, TPM2TOOLS_TCTI: `swtpm:host=127.0.0.1,port=${this.port}`, TSS2_LOG: 'all+none' },
    });
  }

  read(name: string): Uint8Array {
    return new Uint8Array(fs.readFileSync(join(this.directory, name)));
  }

  write(name: string, bytes: Uint8Array): void {
    fs.writeFileSync(join(this.directory, name), bytes);
  }

  /** Objects and sessions that tools left loaded. */
  flush(): void {
    for (const kind of ['-t', '-l', '-s']) this.run('tpm2_flushcontext', kind);
  }

  async stop(): Promise<void> {
    const gone = once(this.#server, 'exit');
    this.#server.kill();
    await gone;
    fs.rmSync(this.directory, { recursive: true, force: true });
  }
}
