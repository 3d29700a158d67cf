/**
 * A store that tells when an older copy of it was put back. Each change carries a version, against which a counter of
 * the platform is held: the change is written first, then the counter follows, then the change is acknowledged.
 *
 * One change at a time is ahead of the counter; whatever waits meanwhile goes with the next one. Every opening begins
 * with a change of its own: otherwise who stops the host between write and counter would hold a copy that becomes as
 * new as one that was acknowledged after it.
 */
import type { RecordChange, RecordStore } from '../../tpm/index.ts';
import type { FreshnessCounter } from '../../vmm/index.ts';
import { HostError } from './errors.ts';

const VERSION = 'nexus/version';

interface Waiting {
  readonly batch: readonly RecordChange[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class FreshStore implements RecordStore {
  readonly #store: RecordStore;
  readonly #counter: FreshnessCounter;
  /** What the store holds with all that waits to be written. */
  readonly #records: Map<string, Uint8Array>;
  #version: bigint;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;
  #failure: unknown;

  /** Takes the store over, and closes it when it throws: HostError E_STATE_ROLLED_BACK, naming `what`. */
  static async over(store: RecordStore, counter: FreshnessCounter, what: string): Promise<FreshStore> {
    try {
      const [known, version] = [await counter.read(), versionOf(store)];
      if (version !== known && version !== known + 1n) {
        throw new HostError(
          'E_STATE_ROLLED_BACK',
          `${what} is of version ${version}, the platform TPM has seen ${known}`,
          'restore the state directory as a whole from where it was intact; nothing is reset silently',
        );
      }
      if (version !== known) await counter.increment();
      const fresh = new FreshStore(store, counter, version);
      await fresh.commit([]);
      return fresh;
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  private constructor(store: RecordStore, counter: FreshnessCounter, version: bigint) {
    this.#store = store;
    this.#counter = counter;
    this.#version = version;
    const keys = [...store.keys('')].filter((key) => key !== VERSION);
    this.#records = new Map(keys.map((key) => [key, store.get(key) ?? new Uint8Array()]));
  }

  get(key: string): Uint8Array | undefined {
    return this.#records.get(key);
  }

  *keys(prefix: string): Iterable<string> {
    for (const key of this.#records.keys()) if (key.startsWith(prefix)) yield key;
  }

  commit(batch: readonly RecordChange[]): Promise<void> {
    for (const { key, value } of batch) {
      if (value === undefined) this.#records.delete(key);
      else this.#records.set(key, value);
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ batch, resolve, reject });
      this.#writing ??= this.#write();
    });
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.#store.close();
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const round = this.#waiting.splice(0);
      try {
        // After a failure it is not known which version the disk has: no second one may get its number.
        if (this.#failure !== undefined) throw this.#failure;
        const value = new Uint8Array(8);
        new DataView(value.buffer).setBigUint64(0, this.#version + 1n);
        await this.#store.commit([...round.flatMap(({ batch }) => batch), { key: VERSION, value }]);
        await this.#counter.increment();
        this.#version += 1n;
        for (const { resolve } of round) resolve();
      } catch (error) {
        this.#failure = error;
        for (const { reject } of round) reject(error);
      }
    }
    this.#writing = undefined;
  }
}

function versionOf(store: RecordStore): bigint {
  const value = store.get(VERSION);
  return value === undefined ? 0n : new DataView(value.buffer, value.byteOffset).getBigUint64(0);
}
