/** Jobs that any replica may run, one of them at a time: pg-boss on the verifier's own database, PGlite included. */
import { CompiledQuery } from 'kysely';
import PgBoss from 'pg-boss';
import type { Database } from './database/open.ts';

export interface Job {
  readonly name: string;
  /** Seconds between runs, at least 1. */
  readonly everySeconds: number;
  run(): Promise<unknown>;
}

const POLL_SECONDS = 1;
const STOP_TIMEOUT_MS = 10_000;

export class Jobs {
  readonly #boss: PgBoss;
  readonly #jobs: readonly Job[];
  readonly #failed: (name: string, error: unknown) => void;

  constructor(db: Database, jobs: readonly Job[], failed: (name: string, error: unknown) => void) {
    this.#jobs = jobs;
    this.#failed = failed;
    this.#boss = new PgBoss({
      db: {
        executeSql: async (text: string, values: unknown[] = []) =>
          db.executeQuery<Record<string, unknown>>(CompiledQuery.raw(text, values)),
      } as PgBoss.Db,
      schema: 'jobs',
      schedule: false,
    });
    this.#boss.on('error', (error) => failed('pg-boss', error));
  }

  async start(): Promise<void> {
    await this.#boss.start();
    for (const job of this.#jobs) {
      await this.#boss.createQueue(job.name, { name: job.name, policy: 'short', expireInSeconds: 60 });
      await this.#boss.work(job.name, { pollingIntervalSeconds: POLL_SECONDS }, async () => {
        try {
          await job.run();
        } catch (error) {
          this.#failed(job.name, error);
        } finally {
          // The policy `short` keeps one in the queue, whichever replicas ask for it.
          await this.#boss.send(job.name, {}, { startAfter: job.everySeconds });
        }
      });
      await this.#boss.send(job.name, {});
    }
  }

  async stop(): Promise<void> {
    await this.#boss.stop({ graceful: true, wait: true, timeout: STOP_TIMEOUT_MS });
  }
}
