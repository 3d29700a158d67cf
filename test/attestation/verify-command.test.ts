/** `nexus verify` on the age of evidence: by a nonce, by a recorded clock, or plainly not at all. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { NONCE, softwareMachine } from './machine.ts';

const ROOT = join(import.meta.dirname, '../..');
const NONCE_HEX = Buffer.from(NONCE).toString('hex');
const machine = softwareMachine();
let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'nexus-verify-'));
  const file = (name: string, content: string | Uint8Array) => writeFileSync(join(directory, name), content);
  const clock = (milliseconds: bigint, resetCount = 3) =>
    machine.evidence({ clock: { clock: milliseconds, resetCount, restartCount: 0, safe: true } });
  file('ak.pub', machine.key.publicArea);
  file('ref.json', JSON.stringify(machine.reference));
  file('asked.cbor', clock(1_000_000n));
  file('soon.cbor', clock(1_001_000n));
  file('before.cbor', clock(999_000n));
  file('ahead.cbor', clock(9_000_000n));
  file('booted.cbor', clock(1_001_000n, 4));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const FILES = ['--ak', 'ak.pub', '--reference', 'ref.json'];
interface Verdict {
  readonly state: string;
  readonly checks: readonly { readonly name: string; readonly state?: string; readonly detail?: string }[];
}

function nexus(...words: readonly string[]): Promise<{ code: number; said: string }> {
  return new Promise((resolve) => {
    const main = [join(ROOT, 'dist/cli/main.js'), ...words, ...FILES];
    execFile(process.execPath, main, { cwd: directory }, (error, stdout, stderr) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, said: stdout + stderr }),
    );
  });
}

/** State, exit code and what is said of the age. */
async function age(...words: readonly string[]) {
  const { code, said } = await nexus('verify', ...words, '--json');
  const { state, checks } = JSON.parse(said) as Verdict;
  const freshness = checks.find(({ name }) => name === 'freshness');
  return { code, state, freshness: freshness?.state, detail: freshness?.detail };
}

test('without a nonce everything else may hold: it is not affirmed, and says why', async () => {
  expect(await age('asked.cbor')).toEqual({
    code: 1,
    state: 'unverified',
    freshness: 'unverified',
    detail: 'no nonce was given: this evidence may be of any age',
  });
  const { code, said } = await nexus('attest', 'verify', 'asked.cbor');
  expect(code).toBe(1);
  expect(said).toMatch(/^unverified\n/);
  expect(said).toMatch(/^unverified {2}freshness +no nonce was given/m);
}, 60_000);

test('over a nonce it is affirmed, and the clock recorded; by that clock later evidence has an age', async () => {
  const asked = await nexus('attest', 'verify', 'asked.cbor', '--nonce', NONCE_HEX, '--record', 'clock.json');
  expect(asked).toMatchObject({ code: 0, said: expect.stringMatching(/^affirming\n/) });
  expect(JSON.parse(readFileSync(join(directory, 'clock.json'), 'utf8'))).toMatchObject({
    clock: '1000000',
    resetCount: 3,
  });
  const recorded = ['--recorded', 'clock.json', '--not-older-than', '10m'];
  expect(await age('soon.cbor', ...recorded)).toMatchObject({ code: 0, state: 'affirming', freshness: 'affirming' });
  expect(await age('before.cbor', ...recorded)).toMatchObject({ code: 1, state: 'contraindicated' });
  expect(await age('ahead.cbor', ...recorded)).toMatchObject({ code: 1, state: 'contraindicated' });
  expect(await age('booted.cbor', ...recorded)).toMatchObject({ code: 1, state: 'unverified' });
  expect(await age('asked.cbor', '--recorded', 'clock.json', '--not-older-than', '0s')).toMatchObject({
    code: 1,
    state: 'expired',
  });
}, 60_000);

test('a refused quote writes no clock', async () => {
  const other = NONCE_HEX.replace('05', '06');
  const refused = await nexus('verify', 'asked.cbor', '--nonce', other, '--record', 'none.json');
  expect(refused).toMatchObject({ code: 1, said: expect.stringMatching(/^contraindicated\n/) });
  expect(() => readFileSync(join(directory, 'none.json'))).toThrow();
}, 60_000);

test.each([
  [['--not-older-than', '10m'], 'E_USAGE'],
  [['--recorded', 'clock.json', '--not-older-than', 'soon'], 'E_USAGE_DURATION'],
  [['--recorded', 'ref.json', '--not-older-than', '10m'], 'E_USAGE_RECORD'],
  [['--record', 'x.json'], '--record needs --nonce'],
  [['--nonce', 'xyz'], 'E_NONCE'],
] as const)(
  '%j is refused as a mistake',
  async (words, why) => {
    const { code, said } = await nexus('verify', 'asked.cbor', ...words);
    expect(said).toContain(why);
    expect(code).toBe(2);
  },
  60_000,
);
