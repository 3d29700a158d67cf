/**
 * The audit trail: one hash chain for all replicas. Each entry's hash covers the one before it, so that a change,
 * removal or insertion anywhere is found by `verifyAudit`. Appending locks the head row, in the caller's transaction:
 * an effect and its entry are committed together or not at all.
 */
import { createHash } from 'node:crypto';
import type { Transaction } from 'kysely';
import type { Database } from './database/open.ts';
import type { Schema } from './database/schema.ts';

/** Values an entry may carry: enough for names, digests and counts, and canonical without ado. */
export type AuditDetail = Readonly<Record<string, string | number | boolean | readonly string[]>>;

export interface AuditEvent {
  readonly tenant: string;
  /** Who: `token:<id>`, `oidc:<subject>`, `mtls:<subject>`, `platform:<id>`, or `anonymous`. */
  readonly actor: string;
  /** What: `platform.enrol`, `attestation.appraise`, `resource.release`, ... */
  readonly action: string;
  /** To what. */
  readonly subject: string;
  readonly detail?: AuditDetail;
}

export interface AuditEntry extends Required<AuditEvent> {
  readonly seq: number;
  /** RFC 3339, milliseconds. */
  readonly at: string;
  /** Lower-case hexadecimal SHA-256. */
  readonly previous: string;
  readonly hash: string;
}

const HEAD = 1;
const GENESIS = '00'.repeat(32);

function sorted(detail: AuditDetail): AuditDetail {
  return Object.fromEntries(Object.entries(detail).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function entryHash(entry: Omit<AuditEntry, 'hash'>): Buffer {
  const { seq, at, tenant, actor, action, subject, detail, previous } = entry;
  const canonical = JSON.stringify([seq, at, tenant, actor, action, subject, sorted(detail), previous]);
  return createHash('sha256').update(canonical).digest();
}

/** Append to the chain inside a transaction. */
export async function appendAudit(tx: Transaction<Schema>, now: Date, events: readonly AuditEvent[]): Promise<void> {
  if (events.length === 0) return;
  const head = await tx
    .selectFrom('audit_head')
    .select(['seq', 'hash'])
    .where('id', '=', HEAD)
    .forUpdate()
    .executeTakeFirstOrThrow();
  const rows = chained(head, now, events);
  await tx
    .with('appended', (db) => db.insertInto('audit').values(rows))
    .updateTable('audit_head')
    .set({ seq: head.seq + rows.length, hash: rows.at(-1)?.hash ?? head.hash })
    .where('id', '=', HEAD)
    .execute();
}

/** The rows of events that follow `head`. */
function chained(head: { seq: number; hash: Uint8Array }, now: Date, events: readonly AuditEvent[]) {
  let { seq } = head;
  let previous: Uint8Array = head.hash;
  const at = now.toISOString();
  return events.map((event) => {
    seq += 1;
    const detail = event.detail ?? {};
    const hash = entryHash({ ...event, detail, seq, at, previous: Buffer.from(previous).toString('hex') });
    const row = { ...event, seq, at: now, detail: JSON.stringify(detail), previous, hash };
    previous = hash;
    return row;
  });
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

/** The first place where a complete export does not chain, or null. Needs no database: it verifies an exported file. */
export async function verifyAudit(
  entries: AsyncIterable<AuditEntry> | Iterable<AuditEntry>,
): Promise<{ readonly seq: number; readonly reason: 'gap' | 'unchained' | 'altered' } | null> {
  let seq = 0;
  let previous = GENESIS;
  for await (const entry of entries) {
    seq += 1;
    if (entry.seq !== seq) return { seq, reason: 'gap' };
    if (entry.previous !== previous) return { seq, reason: 'unchained' };
    if (entryHash(entry).toString('hex') !== entry.hash) return { seq, reason: 'altered' };
    previous = entry.hash;
  }
  return null;
}
