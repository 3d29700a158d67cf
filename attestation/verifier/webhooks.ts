/**
 * Webhooks: each change of state is posted to the tenant's URLs, signed, in order, at least once. Signature and headers
 * follow the Standard Webhooks specification 1.0 (webhook-id, webhook-timestamp, webhook-signature). Any replica may
 * deliver: it takes a hook for a while by moving its next attempt, so that no lock is held during the request.
 */
import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import type { KeyEncryptionKey } from '../broker/kek.ts';
import { appendAudit } from './audit.ts';
import { delayAfter } from './backoff.ts';
import { type ChangeEvent, changesAfter, latestChange } from './changes.ts';
import type { Database } from './database/open.ts';
import { VerifierError } from './errors.ts';
import type { Caller } from './roles.ts';

const SECRET_BYTES = 32;
const TIMEOUT_MS = 10_000;
/** Longer than a delivery can take: after it another replica may try. */
const TAKEN_MS = 30_000;
const BATCH = 50;

export interface WebhookInfo {
  readonly id: string;
  readonly url: string;
  readonly attempts: number;
  readonly createdAt: Date;
}

/** `v1,` and the base64 HMAC-SHA256 over `id.timestamp.body`. */
export function webhookSignature(secret: Uint8Array, id: string, timestamp: number, body: string): string {
  return `v1,${createHmac('sha256', secret).update(`${id}.${timestamp}.${body}`).digest('base64')}`;
}

function bodyOf(event: ChangeEvent): string {
  return JSON.stringify({
    type: 'platform.state',
    timestamp: event.at.toISOString(),
    data: { platform: event.platform, before: event.before, state: event.state, failed: event.failed },
  });
}

export class Webhooks {
  readonly #db: Database;
  readonly #kek: KeyEncryptionKey;
  readonly #clock: () => Date;
  readonly #fetch: typeof fetch;

  constructor(db: Database, kek: KeyEncryptionKey, clock: () => Date, send: typeof fetch = fetch) {
    this.#db = db;
    this.#kek = kek;
    this.#clock = clock;
    this.#fetch = send;
  }

  /** Register a URL for changes from now on; returns its id and the only copy of its secret (`whsec_...`). */
  async create(caller: Caller, url: string): Promise<{ readonly id: string; readonly secret: string }> {
    if (!/^https?:$/.test(URL.canParse(url) ? new URL(url).protocol : '')) {
      throw new VerifierError('request-malformed', 'A webhook needs an http or https URL.');
    }
    const now = this.#clock();
    const id = randomUUID();
    const secret = randomBytes(SECRET_BYTES);
    const delivered = await latestChange(this.#db, caller.tenant);
    await this.#db.transaction().execute(async (tx) => {
      await appendAudit(tx, now, [
        { tenant: caller.tenant, actor: caller.actor, action: 'webhook.create', subject: id, detail: { url } },
      ]);
      await tx
        .insertInto('webhook')
        .values({
          id,
          tenant: caller.tenant,
          url,
          wrapped_secret: this.#kek.seal(secret, `webhook ${id}`),
          delivered,
          attempts: 0,
          next_attempt_at: now,
          created_at: now,
        })
        .execute();
    });
    return { id, secret: `whsec_${secret.toString('base64')}` };
  }

  async list(tenant: string): Promise<WebhookInfo[]> {
    const rows = await this.#db.selectFrom('webhook').selectAll().where('tenant', '=', tenant).orderBy('id').execute();
    return rows.map(({ id, url, attempts, created_at }) => ({ id, url, attempts, createdAt: created_at }));
  }

  async remove(caller: Caller, id: string): Promise<void> {
    await this.#db.transaction().execute(async (tx) => {
      const result = await tx
        .deleteFrom('webhook')
        .where('id', '=', id)
        .where('tenant', '=', caller.tenant)
        .executeTakeFirst();
      if (result.numDeletedRows === 0n) throw new VerifierError('not-found', `There is no webhook ${id}.`);
      await appendAudit(tx, this.#clock(), [
        { tenant: caller.tenant, actor: caller.actor, action: 'webhook.remove', subject: id },
      ]);
    });
  }

  /** Deliver what is due, once; a job calls it. Returns how many events were delivered. */
  async deliver(): Promise<number> {
    const now = this.#clock();
    const due = await this.#db
      .updateTable('webhook')
      .set({ next_attempt_at: new Date(now.getTime() + TAKEN_MS) })
      .where('next_attempt_at', '<=', now)
      .where((eb) =>
        eb.exists(
          eb
            .selectFrom('event')
            .select('event.id')
            .whereRef('event.tenant', '=', 'webhook.tenant')
            .whereRef('event.id', '>', 'webhook.delivered'),
        ),
      )
      .returningAll()
      .execute();
    let count = 0;
    for (const hook of due) {
      const secret = this.#kek.open(hook.wrapped_secret, `webhook ${hook.id}`);
      let { delivered, attempts } = hook;
      for (const event of await changesAfter(this.#db, hook.tenant, delivered, BATCH)) {
        if (!(await this.#post(hook.url, secret, `${hook.id}-${event.id}`, bodyOf(event)))) {
          attempts += 1;
          break;
        }
        delivered = event.id;
        attempts = 0;
        count += 1;
      }
      secret.fill(0);
      const wait = attempts === 0 ? 0 : delayAfter(attempts);
      await this.#db
        .updateTable('webhook')
        .set({ delivered, attempts, next_attempt_at: new Date(this.#clock().getTime() + wait) })
        .where('id', '=', hook.id)
        .execute();
    }
    return count;
  }

  async #post(url: string, secret: Uint8Array, id: string, body: string): Promise<boolean> {
    const timestamp = Math.floor(this.#clock().getTime() / 1000);
    try {
      const response = await this.#fetch(url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'webhook-id': id,
          'webhook-timestamp': String(timestamp),
          'webhook-signature': webhookSignature(secret, id, timestamp, body),
        },
        body,
        redirect: 'error',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      await response.body?.cancel();
      return response.ok;
    } catch {
      // A receiver that is down is tried again; its state is what `attempts` shows.
      return false;
    }
  }
}
