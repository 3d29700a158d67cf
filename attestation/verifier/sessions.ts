/**
 * Sessions of the compatible front doors. A session's nonce is used by its one submission: moving it from `waiting` to
 * `processing` is a single conditional UPDATE, so of two replicas one wins.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import type { Selectable } from 'kysely';
import type { Database } from './database/open.ts';
import type { SessionTable } from './database/schema.ts';
import { VerifierError } from './errors.ts';

export type Session = Selectable<SessionTable>;
export type Door = SessionTable['door'];

function unknown(): VerifierError {
  return new VerifierError('session-unknown', 'There is no such session, or it has expired.', {
    remedy: 'Open a new session.',
  });
}

export class Sessions {
  readonly #db: Database;
  readonly #clock: () => Date;
  readonly #seconds: number;

  constructor(db: Database, clock: () => Date, seconds: number) {
    this.#db = db;
    this.#clock = clock;
    this.#seconds = seconds;
  }

  async open(tenant: string, door: Door, nonce: Uint8Array = randomBytes(32), detail: object = {}): Promise<Session> {
    return this.#db
      .insertInto('session')
      .values({
        id: randomUUID(),
        tenant,
        door,
        nonce,
        status: 'waiting',
        result: null,
        detail: JSON.stringify(detail),
        expires_at: new Date(this.#clock().getTime() + this.#seconds * 1000),
      })
      .returningAll()
      .executeTakeFirstOrThrow();
  }

  /** Throws `session-unknown`. */
  async get(tenant: string, door: Door, id: string): Promise<Session> {
    const session = await this.#db
      .selectFrom('session')
      .selectAll()
      .where('id', '=', id)
      .where('tenant', '=', tenant)
      .where('door', '=', door)
      .where('expires_at', '>', this.#clock())
      .executeTakeFirst();
    if (session === undefined) throw unknown();
    return session;
  }

  /** Take the session for its one submission. Throws `session-unknown` or `challenge-spent`. */
  async take(tenant: string, door: Door, id: string): Promise<Session> {
    const session = await this.#db
      .updateTable('session')
      .set({ status: 'processing' })
      .where('id', '=', id)
      .where('tenant', '=', tenant)
      .where('door', '=', door)
      .where('status', '=', 'waiting')
      .where('expires_at', '>', this.#clock())
      .returningAll()
      .executeTakeFirst();
    if (session !== undefined) return session;
    await this.get(tenant, door, id);
    throw new VerifierError('challenge-spent', 'The nonce of this session was used already.', {
      failed: ['freshness'],
      remedy: 'Open a new session.',
    });
  }

  async conclude(
    id: string,
    outcome: { readonly status: 'complete' | 'failed'; readonly result: string | null; readonly detail: object },
  ): Promise<void> {
    await this.#db
      .updateTable('session')
      .set({ status: outcome.status, result: outcome.result, detail: JSON.stringify(outcome.detail) })
      .where('id', '=', id)
      .execute();
  }

  async remove(tenant: string, door: Door, id: string): Promise<void> {
    await this.get(tenant, door, id);
    await this.#db.deleteFrom('session').where('id', '=', id).execute();
  }

  /** Delete what has expired; a job calls it. Returns how many. */
  async purge(): Promise<number> {
    const result = await this.#db.deleteFrom('session').where('expires_at', '<=', this.#clock()).executeTakeFirst();
    return Number(result.numDeletedRows);
  }
}
