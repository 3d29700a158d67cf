/** `nexus verifier serve` as a process of its own, from the built package. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const PACKAGE = fileURLToPath(import.meta.resolve('nexus-tcb/package.json'));
const MAIN = PACKAGE.replace(/package\.json$/, 'dist/cli/main.js');

export class VerifierProcess {
  readonly url: string;
  readonly #child: ChildProcess;

  private constructor(url: string, child: ChildProcess) {
    this.url = url;
    this.#child = child;
  }

  /** Start with more arguments of `nexus verifier serve`; resolves when it listens. */
  static async start(arguments_: readonly string[]): Promise<VerifierProcess> {
    const child = spawn(
      process.execPath,
      [MAIN, 'verifier', 'serve', '--json', '--port', '0', '--rate-limit', '0', '--log-level', 'silent', ...arguments_],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    for await (const line of createInterface({ input: child.stdout })) {
      const { url, error } = JSON.parse(line) as { url?: string; error?: unknown };
      if (url === undefined) throw new Error(`the verifier did not start: ${JSON.stringify(error)}`);
      return new VerifierProcess(url, child);
    }
    throw new Error('the verifier ended before it listened');
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** SIGKILL: nothing is finished, nothing is flushed. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** SIGTERM: open requests are finished. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  async #end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill(signal);
    await gone;
  }
}

/** One `nexus verifier token` run against the same database; returns the token. */
export async function makeToken(arguments_: readonly string[], roles: string): Promise<string> {
  const child = spawn(process.execPath, [MAIN, 'verifier', 'token', 'test', '--roles', roles, ...arguments_], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  for await (const chunk of child.stdout) text += chunk;
  return text.trim();
}
