import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Challenges } from './challenges.ts';
import { type Database, openDatabase } from './database/open.ts';

describe('challenges', () => {
  let db: Database;
  let now = new Date('2026-01-01T00:00:00Z');
  let challenges: Challenges;
  beforeAll(async () => {
    db = await openDatabase({ memory: true });
    challenges = new Challenges(db, () => now, 60);
  });
  afterAll(() => db.destroy());

  it('are spent once, even by many at the same moment', async () => {
    const { id, nonce } = await challenges.issue('t', 'v1');
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => challenges.spend('t', 'v1', id)));
    const won = results.filter((result) => result.status === 'fulfilled');
    expect(won).toHaveLength(1);
    expect(Buffer.from(won[0]?.value.nonce ?? [])).toEqual(Buffer.from(nonce));
    const lost = results.filter((result) => result.status === 'rejected');
    expect(new Set(lost.map((result) => result.reason.code))).toEqual(new Set(['challenge-spent']));
  });

  it('are spent once by two replicas on one database', async () => {
    const other = new Challenges(db, () => now, 60);
    const { id } = await challenges.issue('t', 'v1');
    const results = await Promise.allSettled([challenges.spend('t', 'v1', id), other.spend('t', 'v1', id)]);
    expect(results.map((result) => result.status).sort()).toEqual(['fulfilled', 'rejected']);
  });

  it('are refused when expired, for another purpose or for another tenant', async () => {
    const [expired, purpose, tenant] = await Promise.all([1, 2, 3].map(() => challenges.issue('t', 'v1')));
    await expect(challenges.spend('t', 'kbs', purpose?.id ?? '')).rejects.toMatchObject({ code: 'challenge-spent' });
    await expect(challenges.spend('u', 'v1', tenant?.id ?? '')).rejects.toMatchObject({ failed: ['freshness'] });
    now = new Date(now.getTime() + 60_000);
    await expect(challenges.spend('t', 'v1', expired?.id ?? '')).rejects.toMatchObject({ code: 'challenge-spent' });
  });

  it('are purged when expired', async () => {
    await challenges.issue('t', 'v1');
    expect(await challenges.purge()).toBe(0);
    now = new Date(now.getTime() + 60_000);
    expect(await challenges.purge()).toBe(1);
  });
});
