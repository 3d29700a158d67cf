/**
 * The part of the proof that notices every change of the core's meaning, on each test run: indices in range (BND) and
 * equality with the specification (REF). `npm run prove` proves the rest.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const prover = fileURLToPath(new URL('../dist/nexus/proof/main.js', import.meta.url));
const prove = (...args: string[]) => spawnSync(process.execPath, [prover, ...args], { encoding: 'utf8' });

test('every call of the core as it stands is proved equal to its specification', { timeout: 900_000 }, () => {
  const { status, stdout, stderr } = prove('--theorem', 'BND', '--theorem', 'REF');
  expect(stdout + stderr).toMatch(/\n\d{3,} proved, 0 failed\n$/);
  expect(status).toBe(0);
});

test('a name that selects nothing is a failure, not a proof of nothing', () => {
  expect(prove('--call', 'noSuchCall').status).not.toBe(0);
});
