import type { Locality } from '../../tpm/device.ts';
import type { TpmBackend } from './tpm-backend.ts';

/** A TPM that records commands and answers when the test says so. */
export class FakeTpm implements TpmBackend {
  readonly commands: { command: Uint8Array; locality: Locality }[] = [];
  cancelled = 0;
  established = false;
  #settle: ((outcome: Uint8Array | Error) => void) | undefined;

  /** A command waits for `answer`. */
  get waiting(): boolean {
    return this.#settle !== undefined;
  }

  execute(command: Uint8Array, locality: Locality = 0): Promise<Uint8Array> {
    this.commands.push({ command, locality });
    return new Promise((resolve, reject) => {
      this.#settle = (outcome) => (outcome instanceof Error ? reject(outcome) : resolve(outcome));
    });
  }

  /** End the waiting command. */
  answer(outcome: Uint8Array | Error): void {
    if (!this.#settle) throw new Error('no command waits');
    this.#settle(outcome);
    this.#settle = undefined;
  }

  cancel(): void {
    this.cancelled++;
  }

  resetEstablished(locality: Locality): boolean {
    if (locality < 3) return false;
    this.established = false;
    return true;
  }
}
