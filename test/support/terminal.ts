/** A command at a terminal: `script` of util-linux gives it one. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';

export const hasTerminal = spawnSync('script', ['--version']).error === undefined;

export class Terminal {
  /** All that appeared. */
  screen = '';
  readonly #child: ChildProcess;
  readonly #exit: Promise<number | null>;

  /** Run a shell's command line. */
  constructor(command: string) {
    this.#child = spawn('script', ['--quiet', '--return', '--flush', '--command', command, '/dev/null']);
    this.#child.stdout?.on('data', (bytes: Buffer) => {
      this.screen += bytes.toString('latin1');
    });
    this.#exit = new Promise((resolve) => this.#child.once('close', (code) => resolve(code)));
  }

  type(keys: string): void {
    this.#child.stdin?.write(keys);
  }

  /** Resolves when the screen matches. Throws when the command ends first. */
  async shows(pattern: RegExp): Promise<void> {
    let ended = false;
    const end = this.#exit.then(() => {
      ended = true;
    });
    while (!pattern.test(this.screen)) {
      if (ended) throw new Error(`the command ended before ${pattern}:\n${this.screen}`);
      await Promise.race([new Promise((resolve) => this.#child.stdout?.once('data', resolve)), end]);
    }
  }

  /** The command's exit code. */
  exit(): Promise<number | null> {
    return this.#exit;
  }

  close(): void {
    this.#child.kill();
  }
}
