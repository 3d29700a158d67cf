/**
 * Nonces: 32 random bytes, single-use, expiring, kept in the database so that any replica can answer and none twice.
 * Spending is one DELETE ... RETURNING: of two replicas, PostgreSQL lets one have the row.
 *
 * Neither waits for the disk, as every other commit does. A nonce that a crash loses has to be asked for again, which
 * grants nothing. A spending that a crash loses had no effect: what a nonce was spent on is committed after it and waits
 * for the disk, where the log has the spending first.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { type Selectable, sql } from 'kysely';
import { Batcher } from './database/batcher.ts';
import type { Database } from './database/open.ts';
import { PREPARED } from './database/prepared.ts';
import type { ChallengeTable } from './database/schema.ts';
import { VerifierError } from './errors.ts';

/** In the FROM of a statement: its commit does not wait for the disk. */
const NOT_AWAITED = sql`(select set_config('synchronous_commit', 'off', true)) as not_awaited`;

export interface Challenge {
  readonly id: string;
  readonly tenant: string;
  readonly nonce: Uint8Array;
  /** What it may be spent on; a nonce of one front door is refused by another. */
  readonly purpose: string;
  readonly expiresAt: Date;
}

export class Challenges {
  readonly #db: Database;
  readonly #clock: () => Date;
  readonly #seconds: number;
  readonly #insert: Batcher<Challenge, undefined>;
  readonly #take: Batcher<string, Challenge | undefined>;

  constructor(db: Database, clock: () => Date, seconds: number) {
    this.#db = db;
    this.#clock = clock;
    this.#seconds = seconds;
    this.#insert = new Batcher(async (items) => {
      const rows = items.map(({ id, tenant, nonce, purpose, expiresAt }) => ({
        id,
        tenant,
        nonce: Buffer.from(nonce).toString('hex'),
        purpose,
        expires_at: expiresAt,
      }));
      await sql`
        insert into challenge (id, tenant, nonce, purpose, expires_at)
        select id, tenant, decode(nonce, 'hex'), purpose, expires_at
        from ${NOT_AWAITED} cross join jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
          as issued(id text, tenant text, nonce text, purpose text, expires_at timestamptz) ${PREPARED}`.execute(db);
      return items.map(() => undefined);
    });
    this.#take = new Batcher(async (ids) => {
      const { rows } = await sql<Selectable<ChallengeTable>>`
        delete from challenge using ${NOT_AWAITED} where id = any(${ids}::text[])
        returning id, tenant, nonce, purpose, expires_at ${PREPARED}`.execute(db);
      const found = new Map(rows.map(({ expires_at, ...row }) => [row.id, { ...row, expiresAt: expires_at }]));
      // The same id twice in one batch: the first has it.
      return ids.map((id) => {
        const challenge = found.get(id);
        found.delete(id);
        return challenge;
      });
    });
  }

  async issue(tenant: string, purpose: string, nonce: Uint8Array = randomBytes(32)): Promise<Challenge> {
    const expiresAt = new Date(this.#clock().getTime() + this.#seconds * 1000);
    const challenge = { id: randomUUID(), tenant, nonce, purpose, expiresAt };
    await this.#insert.add(challenge);
    return challenge;
  }

  /** Take the challenge out of the world. Throws `challenge-spent` when it is unknown, used, expired or another's. */
  async spend(tenant: string, purpose: string, id: string): Promise<Challenge> {
    const challenge = await this.#take.add(id);
    if (
      challenge === undefined ||
      challenge.tenant !== tenant ||
      challenge.purpose !== purpose ||
      challenge.expiresAt <= this.#clock()
    ) {
      throw new VerifierError('challenge-spent', 'The challenge is unknown, expired or already used.', {
        failed: ['freshness'],
        remedy: 'Ask for a new challenge and make new evidence over its nonce.',
      });
    }
    return challenge;
  }

  /** Delete what has expired; a job calls it. Returns how many. */
  async purge(): Promise<number> {
    const result = await this.#db.deleteFrom('challenge').where('expires_at', '<=', this.#clock()).executeTakeFirst();
    return Number(result.numDeletedRows);
  }
}
