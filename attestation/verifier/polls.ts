/**
 * Machines that the verifier polls: their agents listen (`nexus agent serve`) and are asked for evidence on a schedule.
 * Any replica may ask; it takes a machine for a while by moving its next time, so that no lock is held meanwhile. An
 * agent that does not answer is asked again later: silence is not tampering, and the verdict expires by itself.
 */
import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import type { KeyEncryptionKey } from '../broker/kek.ts';
import type { AskAgent } from './ask-agent.ts';
import type { Attestations } from './attestations.ts';
import { appendAudit } from './audit.ts';
import { delayAfter, jittered } from './backoff.ts';
import type { Database } from './database/open.ts';
import type { PollTable } from './database/schema.ts';
import { VerifierError } from './errors.ts';
import { pollNonce } from './nonces.ts';
import type { Caller } from './roles.ts';

export interface PollInput {
  /** Base URL of the agent. */
  readonly url: string;
  /** The token that the agent asks for; without it the agent knows the verifier by its certificate. */
  readonly token?: string;
  /** Default 120. */
  readonly everySeconds?: number;
}

export interface PollInfo {
  readonly platform: string;
  readonly url: string;
  readonly everySeconds: number;
  /** Failed attempts in a row, and why the last one failed. */
  readonly failures: number;
  readonly lastError: string | null;
  readonly nextAt: Date;
}

const NONCE_BYTES = 32;
const DEFAULT_SECONDS = 120;
/** Longer than asking can take: after it another replica may try. */
const TAKEN_MS = 30_000;
const AT_ONCE = 32;
const MAX_ERROR = 300;

const contextOf = (tenant: string, platform: string) => JSON.stringify(['poll', tenant, platform]);

export interface PollsOptions {
  readonly db: Database;
  readonly kek: KeyEncryptionKey;
  readonly clock: () => Date;
  readonly attestations: Attestations;
  readonly ask: AskAgent;
}

export class Polls {
  readonly #options: PollsOptions;

  constructor(options: PollsOptions) {
    this.#options = options;
  }

  /** Poll an enrolled platform from now on; again replaces how. Throws `request-malformed`, `platform-unknown`. */
  async put(
    caller: Caller,
    platform: string,
    { url, token, everySeconds = DEFAULT_SECONDS }: PollInput,
  ): Promise<void> {
    const { db, kek, clock } = this.#options;
    if (!/^https?:$/.test(URL.canParse(url) ? new URL(url).protocol : '')) {
      throw new VerifierError('request-malformed', 'An agent is polled at an http or https URL.');
    }
    const { tenant, actor } = caller;
    const now = clock();
    const how = {
      url,
      wrapped_token: token === undefined ? null : kek.seal(Buffer.from(token), contextOf(tenant, platform)),
      every_seconds: everySeconds,
      failures: 0,
      last_error: null,
      next_at: now,
    };
    await db.transaction().execute(async (tx) => {
      const detail = { url, everySeconds };
      await appendAudit(tx, now, [{ tenant, actor, action: 'platform.poll', subject: platform, detail }]);
      const known = await tx
        .selectFrom('platform')
        .select('id')
        .where('tenant', '=', tenant)
        .where('id', '=', platform)
        .executeTakeFirst();
      if (known === undefined) {
        throw new VerifierError('platform-unknown', `No platform ${platform} is enrolled.`, {
          remedy: 'Enrol it first: nexus agent enrol.',
        });
      }
      await tx
        .insertInto('poll')
        .values({ tenant, platform, ...how })
        .onConflict((conflict) => conflict.columns(['tenant', 'platform']).doUpdateSet(how))
        .execute();
    });
  }

  async list(tenant: string): Promise<PollInfo[]> {
    const rows = await this.#options.db
      .selectFrom('poll')
      .selectAll()
      .where('tenant', '=', tenant)
      .orderBy('platform')
      .execute();
    return rows.map((row) => ({
      platform: row.platform,
      url: row.url,
      everySeconds: row.every_seconds,
      failures: row.failures,
      lastError: row.last_error,
      nextAt: row.next_at,
    }));
  }

  /** Throws `platform-unknown` for one that is not polled. */
  async remove(caller: Caller, platform: string): Promise<void> {
    const { db, clock } = this.#options;
    await db.transaction().execute(async (tx) => {
      await appendAudit(tx, clock(), [
        { tenant: caller.tenant, actor: caller.actor, action: 'platform.unpoll', subject: platform },
      ]);
      const result = await tx
        .deleteFrom('poll')
        .where('tenant', '=', caller.tenant)
        .where('platform', '=', platform)
        .executeTakeFirst();
      if (result.numDeletedRows === 0n) {
        throw new VerifierError('platform-unknown', `${platform} is not polled.`, { remedy: 'GET /v1/polls.' });
      }
    });
  }

  /** Ask the machines that are due, once each; a job calls it. Returns how many were appraised. */
  async run(): Promise<number> {
    const { db, clock } = this.#options;
    const now = clock();
    const { rows } = await sql<PollRow>`
      update poll set next_at = ${new Date(now.getTime() + TAKEN_MS)} where (tenant, platform) in (
        select tenant, platform from poll where next_at <= ${now} order by next_at limit ${AT_ONCE}
        for update skip locked)
      returning *`.execute(db);
    return (await Promise.all(rows.map((row) => this.#poll(row)))).filter(Boolean).length;
  }

  async #poll(row: PollRow): Promise<boolean> {
    const { db, clock } = this.#options;
    const problem = await this.#attest(row);
    const failures = problem === undefined ? 0 : row.failures + 1;
    const wait = failures === 0 ? jittered(row.every_seconds) : delayAfter(failures);
    await db
      .updateTable('poll')
      .set({ failures, last_error: problem ?? null, next_at: new Date(clock().getTime() + wait) })
      .where('tenant', '=', row.tenant)
      .where('platform', '=', row.platform)
      // Not over what an operator said meanwhile.
      .where('url', '=', row.url)
      .execute();
    return problem === undefined;
  }

  /** Undefined when there is a verdict, whatever it is; else why there is none. */
  async #attest({ tenant, platform, url, wrapped_token }: PollRow): Promise<string | undefined> {
    const { kek, attestations, ask } = this.#options;
    const nonce = new Uint8Array(randomBytes(NONCE_BYTES));
    try {
      const token =
        wrapped_token === null ? undefined : kek.open(wrapped_token, contextOf(tenant, platform)).toString();
      const evidence = await ask({ url, token, nonce });
      const caller: Caller = { tenant, actor: 'poll', roles: new Set() };
      const verdict = await attestations.appraise(caller, { nonce: pollNonce(nonce) }, evidence);
      return verdict.platform === platform ? undefined : `${verdict.platform} answers at this URL`;
    } catch (error) {
      // Whatever an agent sends, the next one is asked; the operator reads why.
      return (error instanceof Error ? error.message : String(error)).slice(0, MAX_ERROR);
    }
  }
}

type PollRow = { [Column in keyof PollTable]: Column extends 'next_at' ? Date : PollTable[Column] };
