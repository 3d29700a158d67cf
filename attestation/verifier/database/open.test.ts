import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openDatabase } from './open.ts';

describe('a database in a directory', () => {
  let directory: string;
  beforeEach(() => {
    directory = fs.mkdtempSync(join(tmpdir(), 'nexus-database-'));
  });
  afterEach(() => fs.rmSync(directory, { recursive: true, force: true }));

  it('syncs every commit to the disk, keeps it, and opens again', async () => {
    const db = await openDatabase({ directory });
    const { rows } = await sql<{ fsync: string }>`show fsync`.execute(db);
    expect(rows).toEqual([{ fsync: 'on' }]);
    await db.insertInto('setting').values({ name: 'a', value: '{"b":1}' }).execute();
    await db.destroy();
    const again = await openDatabase({ directory });
    expect(await again.selectFrom('setting').selectAll().execute()).toEqual([{ name: 'a', value: { b: 1 } }]);
    await again.destroy();
  });

  it('is refused to a second opener, who is told the pid of the first; a dead holder is not waited for', async () => {
    const db = await openDatabase({ directory });
    await expect(openDatabase({ directory })).rejects.toMatchObject({
      code: 'database-unavailable',
      message: expect.stringContaining(String(process.pid)),
    });
    await db.destroy();
    const dead = spawn(process.execPath, ['-e', '']);
    await once(dead, 'exit');
    fs.writeFileSync(join(directory, 'lock'), `${dead.pid} 1`);
    await (await openDatabase({ directory })).destroy();
  });
});
