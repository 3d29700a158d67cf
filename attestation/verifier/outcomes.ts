/** Outcomes of appraisals on record: audit entries and the latest verdict of each platform, a batch at a time. */
import { sql } from 'kysely';
import { appendAudit } from './audit.ts';
import { type AuditEvent, auditEntries } from './audit-chain.ts';
import { recordChanges } from './changes.ts';
import type { Database } from './database/open.ts';
import { PREPARED } from './database/prepared.ts';
import type { Result } from './results.ts';
import type { Caller } from './roles.ts';

export interface Outcome {
  readonly caller: Caller;
  readonly result: Result;
  /** The quote's clock, as the format keeps it; undefined when it is not believed. */
  readonly clock: object | undefined;
  readonly now: Date;
  /** Life of the verdict. */
  readonly seconds: number;
}

/** Record a batch in one transaction. When it returns, everything is on disk. */
export async function recordOutcomes(db: Database, now: Date, outcomes: readonly Outcome[]): Promise<undefined[]> {
  const latest = new Map(outcomes.map((outcome) => [keyOf(outcome), outcome]));
  const steady = outcomes.every((outcome) => latest.get(keyOf(outcome))?.result.state === outcome.result.state);
  const entries = outcomes.map(auditEvent);
  // Continuous attestation finds almost every platform as it was.
  if (!steady || !(await recordUnchanged(db, now, entries, [...latest.values()]))) {
    await recordChanged(db, now, entries, outcomes, [...latest.values()]);
  }
  return outcomes.map(() => undefined);
}

const keyOf = ({ result }: Outcome) => `${result.tenant}\0${result.platform}`;

const auditEvent = ({ caller, result }: Outcome): AuditEvent => ({
  tenant: result.tenant,
  actor: caller.actor,
  action: 'attestation.appraise',
  subject: result.platform,
  detail: {
    state: result.state,
    failed: result.failed,
    ...(result.device && { device: Object.entries(result.device).map(([kind, name]) => `${kind}=${name}`) }),
  },
});

const expiry = ({ now, seconds }: Outcome) => new Date(now.getTime() + seconds * 1000);

/** One statement; false, with nothing recorded, when a platform's state would change. */
async function recordUnchanged(
  db: Database,
  now: Date,
  entries: readonly AuditEvent[],
  latest: readonly Outcome[],
): Promise<boolean> {
  const verdicts = latest.map((outcome) => ({
    tenant: outcome.result.tenant,
    platform: outcome.result.platform,
    state: outcome.result.state,
    failed: outcome.result.failed,
    clock: outcome.clock ?? null,
    at: outcome.now,
    expires_at: expiry(outcome),
  }));
  const { rows } = await sql<{ recorded: boolean }>`
    select record_unchanged(${now}, ${auditEntries(now, entries)}::jsonb, ${JSON.stringify(verdicts)}::jsonb) as recorded ${PREPARED}
  `.execute(db);
  return rows[0]?.recorded === true;
}

async function recordChanged(
  db: Database,
  now: Date,
  entries: readonly AuditEvent[],
  outcomes: readonly Outcome[],
  latest: readonly Outcome[],
): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await appendAudit(tx, now, entries);
    await recordChanges(
      tx,
      now,
      outcomes.map(({ result }) => result),
    );
    await tx
      .insertInto('verdict')
      .values(
        latest.map((outcome) => ({
          tenant: outcome.result.tenant,
          platform: outcome.result.platform,
          state: outcome.result.state,
          failed: JSON.stringify(outcome.result.failed),
          clock: outcome.clock === undefined ? null : JSON.stringify(outcome.clock),
          at: outcome.now,
          expires_at: expiry(outcome),
          changed_at: outcome.now,
        })),
      )
      .onConflict((conflict) =>
        conflict.columns(['tenant', 'platform']).doUpdateSet((eb) => ({
          state: eb.ref('excluded.state'),
          failed: eb.ref('excluded.failed'),
          // A refused quote's clock is not believed.
          clock: eb.fn.coalesce('excluded.clock', 'verdict.clock'),
          at: eb.ref('excluded.at'),
          expires_at: eb.ref('excluded.expires_at'),
          changed_at: eb
            .case()
            .when('verdict.state', '=', eb.ref('excluded.state'))
            .then(eb.ref('verdict.changed_at'))
            .else(eb.ref('excluded.changed_at'))
            .end(),
        })),
      )
      .execute();
  });
}
