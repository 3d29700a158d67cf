/**
 * Many concurrent requests, one statement: whatever arrives while a flush is under way goes into the next one. A lone
 * request does not wait for company. On a busy replica flushes start a few milliseconds apart: a statement costs a tenth
 * of a millisecond of the verifier's one thread whether it carries one request or twenty, and at half of its capacity a
 * replica that flushed as often as PostgreSQL answers would spend most of its time on statements.
 */
const APART_MS = 5;

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

export class Batcher<Item, Result> {
  readonly #flush: (items: readonly Item[]) => Promise<readonly Result[]>;
  readonly #limit: number;
  #waiting: Waiting<Item, Result>[] = [];
  #busy = false;
  #flushedAt = Number.NEGATIVE_INFINITY;

  /** `flush` answers one result per item, in order. A failed flush fails each of its items. */
  constructor(flush: (items: readonly Item[]) => Promise<readonly Result[]>, limit = 200) {
    this.#flush = flush;
    this.#limit = limit;
  }

  add(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      if (!this.#busy) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#busy = true;
    // The requests of one turn of the event loop belong together.
    await new Promise(setImmediate);
    while (this.#waiting.length > 0) {
      const early = this.#flushedAt + APART_MS - performance.now();
      if (early > 0) await new Promise((resolve) => setTimeout(resolve, early));
      this.#flushedAt = performance.now();
      const batch = this.#waiting.splice(0, this.#limit);
      try {
        const results = await this.#flush(batch.map((entry) => entry.item));
        for (const [index, entry] of batch.entries()) entry.resolve(results[index] as Result);
      } catch (error) {
        for (const entry of batch) entry.reject(error);
      }
    }
    this.#busy = false;
  }
}
