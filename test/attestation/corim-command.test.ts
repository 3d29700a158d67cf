/** `nexus verifier corim` against a verifier of its own, by the commands of docs/verifier.md. */
import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { VerifierProcess } from '../support/verifier-process.ts';
import { corim, signedCorim } from './corim.ts';

const ROOT = join(import.meta.dirname, '../..');
const value = new Uint8Array(32).fill(7);
let directory: string;
let verifier: VerifierProcess;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'nexus-corim-'));
  verifier = await VerifierProcess.start(['--state', join(directory, '.nexus/verifier')]);
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writeFileSync(join(directory, 'acme.pem'), publicKey.export({ format: 'pem', type: 'spki' }));
  writeFileSync(join(directory, 'firmware.corim'), signedCorim({ registers: { 0: [value] } }, privateKey));
  writeFileSync(join(directory, 'unsigned.corim'), corim({ registers: { 0: [value] } }));
}, 60_000);
afterAll(async () => {
  await verifier?.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** Exit code and what was printed; by default to the verifier that the environment names. */
function nexus(...words: readonly string[]): Promise<{ code: number; said: string }> {
  const env = { ...process.env, NEXUS_VERIFIER: verifier.url };
  const main = [join(ROOT, 'dist/cli/main.js'), ...words];
  return new Promise((resolve) => {
    execFile(process.execPath, main, { cwd: directory, env }, (error, stdout, stderr) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, said: stdout + stderr }),
    );
  });
}

/** Commands of the page's section with what it says they print. */
function page(): (readonly [command: string, prints: string])[] {
  const section = readFileSync(join(ROOT, 'docs/verifier.md'), 'utf8').split('\n## CoRIM\n')[1] ?? '';
  const [, block = ''] = /```console\n(.*?)```/s.exec(section) ?? [];
  return block
    .split(/^\$ nexus /m)
    .slice(1)
    .map((part) => [part.slice(0, part.indexOf('\n')), part.slice(part.indexOf('\n') + 1)]);
}

test('the walk of the page prints what the page says', async () => {
  const walk = page();
  expect(walk).toHaveLength(3);
  let id = '';
  for (const [command, prints] of walk) {
    const shown = '9f2c61d04be7';
    const { code, said } = await nexus(...command.replace(shown, id).split(' '));
    expect(code).toBe(0);
    id = /^([0-9a-f]{12}) {2}in-force/m.exec(said)?.[1] ?? id;
    expect(said).toBe(prints.replace(shown, id));
  }
  const { said } = await nexus('verifier', 'corim', 'list', '--json');
  expect(JSON.parse(said)).toMatchObject([{ state: 'revoked', endorser: 'acme', revokedBecause: 'CVE-2026-0001' }]);
  expect(await nexus('verifier', 'corim', 'remove', id)).toEqual({ code: 0, said: `removed ${id}\n` });
  expect((await nexus('verifier', 'corim', 'list')).said).toBe('nothing was provisioned\n');
  expect((await nexus('verifier', 'corim', 'distrust', 'acme')).code).toBe(0);
  const refused = await nexus('verifier', 'corim', 'provision', 'firmware.corim');
  expect(refused).toMatchObject({ code: 1, said: expect.stringContaining('E_REFUSED_ENDORSEMENT_UNTRUSTED') });
  expect((await nexus('verifier', 'corim', 'provision', 'unsigned.corim')).said).toContain('(unsigned)');
}, 60_000);

test.each([
  [['revoke', 'xyz', '--because', 'why'], 'E_USAGE_ID'],
  [['revoke', '00000000', '--because', 'why'], 'No CoRIM has the id 00000000'],
  [['trust', 'acme'], 'E_USAGE_KEY'],
  [['trust', 'acme', '--key', 'firmware.corim'], 'is not a public key'],
  [['provision', 'acme.pem'], 'ENDORSEMENT_MALFORMED'],
  [['provision', 'nothing.corim'], 'ENOENT'],
] as const)(
  '%j is refused',
  async (words, why) => {
    const { code, said } = await nexus('verifier', 'corim', ...words);
    expect(said).toContain(why);
    expect(code).toBeGreaterThan(0);
    expect(code).toBeLessThan(70);
  },
  60_000,
);
