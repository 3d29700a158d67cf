import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Postgres, postgresPrograms } from '../../../test/support/postgres.ts';
import { readAudit } from '../audit.ts';
import { verifyAudit } from '../audit-chain.ts';
import { Challenges } from '../challenges.ts';
import { createToken } from '../tokens.ts';
import { type Database, openDatabase } from './open.ts';

const programs = postgresPrograms();
const NOW = new Date('2026-01-01T00:00:00Z');

describe.skipIf(programs === undefined)('the same schema on PostgreSQL (skipped where it is not installed)', () => {
  let server: Postgres;
  let replicas: Database[];
  beforeAll(async () => {
    server = await Postgres.start(programs ?? '');
    // Two at once: the migrator's lock lets one migrate.
    replicas = await Promise.all([1, 2].map(() => openDatabase({ url: server.url })));
  });
  afterAll(async () => {
    await Promise.all(replicas.map((db) => db.destroy()));
    await server.stop();
  });

  it('a nonce used on both replicas at once is accepted once', async () => {
    const doors = replicas.map((db) => new Challenges(db, () => NOW, 60));
    for (let round = 0; round < 20; round += 1) {
      const { id } = await (doors[round % 2] as Challenges).issue('t', 'v1');
      const results = await Promise.allSettled(
        doors.flatMap((door) => [door.spend('t', 'v1', id), door.spend('t', 'v1', id)]),
      );
      expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(1);
    }
  });

  it('replicas that write at once make one chain', async () => {
    const writes = Array.from({ length: 40 }, (_, index) =>
      createToken(replicas[index % 2] as Database, NOW, 'test', {
        tenant: 't',
        name: randomUUID(),
        roles: ['auditor'],
      }),
    );
    await Promise.all(writes);
    const entries = [];
    for await (const entry of readAudit(replicas[0] as Database)) entries.push(entry);
    expect(entries).toHaveLength(40);
    expect(await verifyAudit(entries)).toBeNull();
  });
});
