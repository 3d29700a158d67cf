import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { TpmClient } from '../../tpm/client/index.ts';
import { Tpm } from '../../tpm/tpm.ts';
import { localTransport } from '../../tpm/transports/index.ts';
import { tpmKek } from './tpm-kek.ts';

let directory: string;
beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), 'nexus-tpm-kek-'));
});
afterEach(() => fs.rmSync(directory, { recursive: true, force: true }));

async function machine(): Promise<{ tpm: Tpm; client: TpmClient }> {
  const tpm = await Tpm.create();
  tpm.powerOn();
  const client = await TpmClient.over(localTransport(tpm));
  await client.Startup({ startupType: 0 });
  return { tpm, client };
}

it('is sealed by its TPM once, opens there again, and nowhere else', async () => {
  const path = join(directory, 'keys', 'kek.tpm');
  const mine = await machine();
  const first = await tpmKek(mine.client, path);
  expect(first).toHaveLength(32);
  expect(fs.statSync(path).mode & 0o777).toBe(0o600);
  expect(fs.readFileSync(path).includes(Buffer.from(first))).toBe(false);
  expect(await tpmKek(mine.client, path)).toEqual(first);
  const theirs = await machine();
  await expect(tpmKek(theirs.client, path)).rejects.toMatchObject({ code: 'kek-wrong' });
  fs.writeFileSync(path, 'neither');
  await expect(tpmKek(mine.client, path)).rejects.toMatchObject({ code: 'kek-wrong' });
  await mine.tpm.close();
  await theirs.tpm.close();
});

it('leaves nothing loaded', async () => {
  const { tpm, client } = await machine();
  // A TPM has room for three objects: a leak would stop the fourth.
  for (let time = 0; time < 5; time += 1) await tpmKek(client, join(directory, 'kek.tpm'));
  await tpm.close();
});
