import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { appendAudit, readAudit } from './audit.ts';
import { type AuditEntry, verifyAudit } from './audit-chain.ts';
import { type Database, openDatabase } from './database/open.ts';

const NOW = new Date('2026-01-02T03:04:05.678Z');

async function all(db: Database): Promise<AuditEntry[]> {
  const entries = [];
  for await (const entry of readAudit(db)) entries.push(entry);
  return entries;
}

describe('audit trail', () => {
  let db: Database;
  beforeAll(async () => {
    db = await openDatabase({ memory: true });
    for (let index = 0; index < 5; index += 1) {
      await db.transaction().execute((tx) =>
        appendAudit(tx, NOW, [
          { tenant: 'a', actor: 'token:1', action: 'x', subject: `s${index}`, detail: { z: 1, a: ['b'], n: true } },
          { tenant: 'b', actor: 'anonymous', action: 'y', subject: 'ü' },
        ]),
      );
    }
  });
  afterAll(() => db.destroy());

  it('chains what was appended and reads it back in order', async () => {
    const entries = await all(db);
    expect(entries.map((entry) => entry.seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(await verifyAudit(entries)).toBeNull();
  });

  it('names the first entry that was changed, removed, inserted or reordered', async () => {
    const entries = await all(db);
    const altered = entries.map((entry) => (entry.seq === 4 ? { ...entry, subject: 'other' } : entry));
    expect(await verifyAudit(altered)).toEqual({ seq: 4, reason: 'altered' });
    expect(await verifyAudit(entries.toSpliced(5, 1))).toEqual({ seq: 6, reason: 'gap' });
    const renumbered = entries.toSpliced(5, 1).map((entry, index) => ({ ...entry, seq: index + 1 }));
    expect(await verifyAudit(renumbered)).toEqual({ seq: 6, reason: 'unchained' });
  });

  it('leaves no entry of a transaction that failed', async () => {
    const failing = db.transaction().execute(async (tx) => {
      await appendAudit(tx, NOW, [{ tenant: 'a', actor: 'anonymous', action: 'x', subject: 'lost' }]);
      throw new Error('rolled back');
    });
    await expect(failing).rejects.toThrow('rolled back');
    expect(await all(db)).toHaveLength(10);
  });
});
