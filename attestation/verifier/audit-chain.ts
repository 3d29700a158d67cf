/**
 * The audit trail's form: one hash chain, each entry's hash covering the one before it, so that a change, removal or
 * insertion anywhere is found by `verifyAudit`.
 */
import { createHash } from 'node:crypto';

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

const GENESIS = '00'.repeat(32);

function sorted(detail: AuditDetail): AuditDetail {
  return Object.fromEntries(Object.entries(detail).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** What an entry's hash covers, but for its place in the chain: members of a JSON array. */
function canonicalText({ at, tenant, actor, action, subject, detail }: Omit<AuditEntry, 'seq' | 'previous' | 'hash'>) {
  return JSON.stringify([at, tenant, actor, action, subject, sorted(detail)]).slice(1, -1);
}

function entryHash(entry: Omit<AuditEntry, 'hash'>): string {
  const covered = `[${entry.seq},${canonicalText(entry)},${JSON.stringify(entry.previous)}]`;
  return createHash('sha256').update(covered).digest('hex');
}

/** Entries as `append_audit` takes them: JSON. */
export function auditEntries(now: Date, events: readonly AuditEvent[]): string {
  const at = now.toISOString();
  return JSON.stringify(
    events.map(({ tenant, actor, action, subject, detail = {} }) => ({
      tenant,
      actor,
      action,
      subject,
      detail,
      canonical: canonicalText({ at, tenant, actor, action, subject, detail }),
    })),
  );
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
    if (entryHash(entry) !== entry.hash) return { seq, reason: 'altered' };
    previous = entry.hash;
  }
  return null;
}
