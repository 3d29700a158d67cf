/** A host whose verifier is away: it starts, its guests run, and who needs the verifier is served when it is back. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createVerifier, type Verifier } from '../attestation/index.ts';
import { buildGuests } from '../guests/index.ts';
import { nexus, RunningHost } from './support/up.ts';

let directory = '';
let verifier: Verifier | undefined;
let host: RunningHost | undefined;
const inDirectory = (name: string) => join(directory, name);

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

const run = (...words: string[]) => expect(nexus(...words)).toMatchObject({ status: 0 });

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'nexus-away-'));
  const guests = await buildGuests();
  cpSync(guests.vault, inDirectory('vault.elf'));
  cpSync(guests.neighbour, inDirectory('neighbour.elf'));
  const [key, manifest] = [inDirectory('signer.pem'), inDirectory('vault.manifest')];
  run('manifest', 'key', '-o', key);
  const what = ['--image', inDirectory('vault.elf'), '--name', 'vault', '--svn', '1'];
  run('manifest', 'sign', ...what, '--key', key, '-o', manifest);
  const reference = inDirectory('reference.json');
  run('attest', '--state', inDirectory('state'), '--reference-out', reference, '--manifest', manifest);
}, 120_000);
afterAll(async () => {
  await host?.end('SIGKILL');
  await verifier?.close();
  rmSync(directory, { recursive: true, force: true });
});

test('nexus up warns, runs what needs no verifier, and provisions when the verifier is back', async () => {
  const port = await freePort();
  writeFileSync(
    inDirectory('host.yaml'),
    `state: ./state
verifier:
  url: http://127.0.0.1:${port}
partitions:
  - { name: vault, kind: trusted, image: vault.elf, manifest: vault.manifest, mode: provision }
  - { name: neighbour, kind: standard, image: neighbour.elf, mode: greet }
`,
  );
  host = new RunningHost(inDirectory('host.yaml'));
  await host.says(/nexus\s+\| warning: http:\/\/127\.0\.0\.1:\d+: unreachable: .*Guests run; it is asked again\./);
  await host.says(/nexus\s+\| ready/);
  await host.says(/neighbour \| greeted/);
  expect(host.output).not.toMatch(/vault\s+\| (verifier:|failed)/);

  verifier = await createVerifier({
    database: { memory: true },
    manufacturers: [readFileSync(inDirectory('state/manufacturer.pem'), 'utf8')],
    jobs: false,
  });
  // Its values are there before it can be asked.
  const { references, resources } = verifier.service;
  const operator = { tenant: 'default', actor: 'test', roles: new Set(['admin'] as const) };
  await references.put(operator, 'default', JSON.parse(readFileSync(inDirectory('reference.json'), 'utf8')));
  const policy = { minimumSvn: 1 };
  await resources.put(operator, 'vault-secret', { content: Buffer.from('attack at dawn'), policy });
  await verifier.listen({ port });
  await host.says(/nexus\s+\| http:\/\/127\.0\.0\.1:\d+: enrolled as ek-[0-9a-f]{32}/);
  await host.says(/vault\s+\| verifier: released/);
  await host.says(/vault\s+\| provisioned sha256=d502810c/);
  expect(host.output.match(/warning: http/g)).toHaveLength(1);
  const [platform] = await verifier.service.platforms.list('default');
  expect(platform).toMatchObject({ state: 'affirming' });
  expect(await host.end('SIGINT')).toBe(0);
}, 180_000);
