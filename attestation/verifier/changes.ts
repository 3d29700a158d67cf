/**
 * Changes of a platform's state: recorded with the verdict that made them, and acted upon in the same transaction. A
 * platform that turns contraindicated or revoked loses its leases; one whose result merely expired does not, since silence is not
 * tampering.
 */
import type { Transaction } from 'kysely';
import { appendAudit } from './audit.ts';
import type { Database } from './database/open.ts';
import type { Schema } from './database/schema.ts';

export interface State {
  readonly tenant: string;
  readonly platform: string;
  readonly state: string;
  readonly failed: readonly string[];
}

/** State of a platform that has never attested. */
const UNVERIFIED = 'unverified';
const EXPIRED = 'expired';
const AGAINST = new Set(['contraindicated', 'revoked']);

const keyOf = (state: { tenant: string; platform: string }) => `${state.tenant}\0${state.platform}`;

/**
 * Compare new states, in order, with those on record, and record the changes. The caller's transaction holds the lock
 * of the audit trail, so that no other writer comes between.
 */
export async function recordChanges(tx: Transaction<Schema>, now: Date, states: readonly State[]): Promise<void> {
  const rows = await tx
    .selectFrom('verdict')
    .select(['tenant', 'platform', 'state'])
    .where('platform', 'in', [...new Set(states.map(({ platform }) => platform))])
    .execute();
  const current = new Map(rows.map((row) => [keyOf(row), row.state]));
  const changes = states.flatMap((state) => {
    const before = current.get(keyOf(state)) ?? UNVERIFIED;
    current.set(keyOf(state), state.state);
    return before === state.state ? [] : [{ ...state, before }];
  });
  if (changes.length > 0) await insertChanges(tx, now, changes);
}

async function insertChanges(
  tx: Transaction<Schema>,
  now: Date,
  changes: readonly (State & { readonly before: string })[],
): Promise<void> {
  await tx
    .insertInto('event')
    .values(
      // Member by member: a state may come with more than its declared ones.
      changes.map(({ tenant, platform, before, state, failed }) => ({
        tenant,
        platform,
        before,
        state,
        failed: JSON.stringify(failed),
        at: now,
      })),
    )
    .execute();
  for (const { tenant, platform, state } of changes) {
    if (!AGAINST.has(state)) continue;
    const revoked = await tx
      .updateTable('lease')
      .set({ revoked_at: now })
      .where('tenant', '=', tenant)
      .where('platform', '=', platform)
      .where('revoked_at', 'is', null)
      .where('expires_at', '>', now)
      .returning('id')
      .execute();
    if (revoked.length === 0) continue;
    const leases = revoked.map(({ id }) => id);
    await appendAudit(tx, now, [
      { tenant, actor: 'verifier', action: 'lease.revoke', subject: platform, detail: { leases } },
    ]);
  }
}

/** Mark the verdicts whose time has passed; a job calls it. Returns how many. */
export async function expireVerdicts(db: Database, now: Date): Promise<number> {
  return db.transaction().execute(async (tx) => {
    const expired = await tx
      .selectFrom('verdict')
      .select(['tenant', 'platform', 'state'])
      .where('expires_at', '<=', now)
      .where('state', '!=', EXPIRED)
      .forUpdate()
      .skipLocked()
      .execute();
    if (expired.length === 0) return 0;
    await insertChanges(
      tx,
      now,
      expired.map(({ tenant, platform, state }) => ({ tenant, platform, before: state, state: EXPIRED, failed: [] })),
    );
    for (const { tenant, platform } of expired) {
      await tx
        .updateTable('verdict')
        .set({ state: EXPIRED, changed_at: now })
        .where('tenant', '=', tenant)
        .where('platform', '=', platform)
        .execute();
    }
    return expired.length;
  });
}

export interface ChangeEvent extends State {
  readonly id: number;
  readonly before: string;
  readonly at: Date;
}

/** Changes of a tenant after the one with id `after`, at most `limit`. */
export async function changesAfter(
  db: Database,
  tenant: string,
  after: number,
  limit: number,
): Promise<readonly ChangeEvent[]> {
  return db
    .selectFrom('event')
    .selectAll()
    .where('tenant', '=', tenant)
    .where('id', '>', after)
    .orderBy('id')
    .limit(limit)
    .execute();
}

/** Id of a tenant's latest change; 0 without any. */
export async function latestChange(db: Database, tenant: string): Promise<number> {
  const row = await db
    .selectFrom('event')
    .select((eb) => eb.fn.max<number | null>('id').as('id'))
    .where('tenant', '=', tenant)
    .executeTakeFirst();
  return Number(row?.id ?? 0);
}
