/** Where a TPM keeps what must survive: named records, changed in atomic batches. */

/** A record's new bytes, or undefined to remove it. */
export interface RecordChange {
  readonly key: string;
  readonly value: Uint8Array | undefined;
}

export interface RecordStore {
  get(key: string): Uint8Array | undefined;
  keys(prefix: string): Iterable<string>;
  /**
   * Apply all of the changes or none. `get` and `keys` see them at once; the promise resolves when they survive power
   * loss. Calls may overlap; order is kept. Rejects when the medium fails, and from then on for ever.
   */
  commit(batch: readonly RecordChange[]): Promise<void>;
  /**
   * As `commit`, but the thread waits for the medium, which is quicker than being told of it: undefined when the changes
   * have survived; throws where `commit` rejects. A promise when they must wait for more than that.
   */
  commitInPlace?(batch: readonly RecordChange[]): Promise<void> | undefined;
  close(): Promise<void>;
}

/** Keeps records in memory: for tests and throw-away TPMs. Pass the same store to a new `Tpm` to "restart" it. */
export class MemoryStore implements RecordStore {
  readonly #records = new Map<string, Uint8Array>();

  get(key: string): Uint8Array | undefined {
    return this.#records.get(key);
  }

  keys(prefix: string): Iterable<string> {
    return [...this.#records.keys()].filter((key) => key.startsWith(prefix));
  }

  async commit(batch: readonly RecordChange[]): Promise<void> {
    this.commitInPlace(batch);
  }

  commitInPlace(batch: readonly RecordChange[]): undefined {
    for (const { key, value } of batch) {
      if (value === undefined) this.#records.delete(key);
      else this.#records.set(key, value);
    }
  }

  async close(): Promise<void> {}
}
