/** A Linux guest's shell, driven over its serial console. */
import type { Vm } from 'nexus-tcb/vmm';

const utf8 = new TextEncoder();
/** Printed by the guest around a command's output; the typed line itself shows them with quotes inside. */
const BEGIN = 'BEG""IN';
const END = 'E""ND';

export interface Outcome {
  readonly status: number;
  readonly output: string;
}

export class GuestShell {
  /** All that the guest said. */
  transcript = '';
  #vm: Pick<Vm, 'input'> | undefined;
  #read = 0;
  #listeners = new Set<() => void>();

  attach(vm: Pick<Vm, 'input'>): void {
    this.#vm = vm;
  }

  /** Give it the console's bytes. */
  hear = (bytes: Uint8Array): void => {
    this.transcript += Buffer.from(bytes).toString('latin1');
    for (const listener of this.#listeners) listener();
  };

  /** The guest is gone: whoever waits learns it. */
  end(reason: string): void {
    this.transcript += `\n[${reason}]\n`;
    this.#ended = reason;
    for (const listener of this.#listeners) listener();
  }
  #ended: string | undefined;

  /** Wait for text that comes after all that was waited for before. Throws when the guest ends first. */
  async waitFor(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.transcript.slice(this.#read));
      if (match) {
        this.#read += match.index + match[0].length;
        return match;
      }
      if (this.#ended !== undefined) {
        throw new Error(`the guest ended (${this.#ended}) before ${pattern}:\n${this.transcript.slice(-2000)}`);
      }
      await new Promise<void>((resolve) => {
        const listener = () => {
          this.#listeners.delete(listener);
          resolve();
        };
        this.#listeners.add(listener);
      });
    }
  }

  /** Run a command line; its output with plain newlines. */
  async run(command: string): Promise<Outcome> {
    this.type(`echo ${BEGIN}; ${command}\necho ${END}$?\n`);
    await this.waitFor(/BEGIN\r?\n/);
    const match = await this.waitFor(/([\s\S]*?)END(\d+)\r?\n/);
    return { status: Number(match[2]), output: withoutPrompt((match[1] ?? '').replaceAll('\r', '')) };
  }

  /** Run a command that must succeed. */
  async ok(command: string): Promise<string> {
    const { status, output } = await this.run(command);
    if (status !== 0) throw new Error(`${command} ended with ${status}:\n${output}`);
    return output;
  }

  /** Bytes of a file in the guest. */
  async bytes(path: string): Promise<Uint8Array> {
    return Uint8Array.from(Buffer.from(await this.ok(`base64 ${path}`), 'base64'));
  }

  type(text: string): void {
    if (this.#vm === undefined) throw new Error('no guest is attached');
    this.#vm.input(utf8.encode(text));
  }
}

/** BusyBox prints its prompt and the typed line in front of the second marker. */
function withoutPrompt(text: string): string {
  const prompt = text.lastIndexOf('# ');
  return prompt < 0 ? text : text.slice(0, text.lastIndexOf('\n', prompt) + 1);
}
