/**
 * The audit trail in the database: one chain for all replicas. The database chains (`append_audit`), which locks the
 * head row, in the caller's transaction: an effect and its entry are committed together or not at all.
 */
import { sql, type Transaction } from 'kysely';
import { type AuditDetail, type AuditEntry, type AuditEvent, auditEntries } from './audit-chain.ts';
import type { Database } from './database/open.ts';
import type { Schema } from './database/schema.ts';

/** Append to the chain inside a transaction. */
export async function appendAudit(tx: Transaction<Schema>, now: Date, events: readonly AuditEvent[]): Promise<void> {
  if (events.length === 0) return;
  await sql`select append_audit(${now}, ${auditEntries(now, events)}::jsonb)`.execute(tx);
}

const PAGE = 1_000;

/** Read the chain in order, in pages; `tenant` narrows what is returned, not what is chained. */
export async function* readAudit(db: Database, from = 1, tenant?: string): AsyncGenerator<AuditEntry> {
  let next = from;
  for (;;) {
    let query = db.selectFrom('audit').selectAll().where('seq', '>=', next).orderBy('seq').limit(PAGE);
    if (tenant !== undefined) query = query.where('tenant', '=', tenant);
    const rows = await query.execute();
    for (const row of rows) {
      yield {
        seq: row.seq,
        at: row.at.toISOString(),
        tenant: row.tenant,
        actor: row.actor,
        action: row.action,
        subject: row.subject,
        detail: row.detail as AuditDetail,
        previous: Buffer.from(row.previous).toString('hex'),
        hash: Buffer.from(row.hash).toString('hex'),
      };
    }
    const last = rows.at(-1);
    if (rows.length < PAGE || last === undefined) return;
    next = last.seq + 1;
  }
}
