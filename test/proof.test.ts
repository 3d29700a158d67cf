/**
 * The part of the proof that notices every change of the core's meaning, on each test run: indices in range (BND) and
 * equality with the specification (REF). `npm run prove` proves the rest.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readNexusFiles } from 'nexus-tcb/nexus/launch';
import { parseSync } from 'oxc-parser';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readCore } from '../nexus/proof/source.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const prover = join(root, 'dist/nexus/proof/main.js');
const prove = (...args: string[]) => spawnSync(process.execPath, [prover, ...args], { encoding: 'utf8' });

test('every call of the core as it stands is proved equal to its specification', { timeout: 900_000 }, () => {
  const { status, stdout, stderr } = prove('--theorem', 'BND', '--theorem', 'REF');
  expect(stdout + stderr).toMatch(/\n\d{3,} proved, 0 failed\n$/);
  expect(status).toBe(0);
});

test('a name that selects nothing is a failure, not a proof of nothing', () => {
  expect(prove('--call', 'noSuchCall').status).not.toBe(0);
});

/** A syntax tree without types, places, and the difference between the names of a source and of what is built from it. */
function meaning(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(meaning);
  if (typeof node !== 'object' || node === null) return node;
  if ('type' in node && node.type === 'TSNonNullExpression' && 'expression' in node) return meaning(node.expression);
  const fields = Object.entries(node).filter(
    ([name]) => !['start', 'end', 'range', 'raw', 'typeAnnotation', 'returnType'].includes(name),
  );
  return Object.fromEntries(
    fields.map(([name, value]) => [
      name,
      typeof value === 'string' ? value.replace(/^(\.\/.*)\.js$/, '$1.ts') : meaning(value),
    ]),
  );
}

test('what PCR 17 measures and what runs is what is proved: each built file of the core is its source without types', () => {
  const measured = new Map(readNexusFiles(join(root, 'dist/nexus')).map(({ path, content }) => [path, content]));
  const proved = readCore(join(root, 'nexus/core'));
  expect(proved.length).toBeGreaterThan(5);
  for (const { name, text } of proved) {
    const built = Buffer.from(measured.get(`core/${name.replace(/ts$/, 'js')}`) ?? []).toString();
    const [source, output] = [parseSync(name, text), parseSync('built.ts', built)];
    expect(source.errors).toEqual([]);
    expect(output.errors).toEqual([]);
    expect(meaning(output.program.body)).toEqual(meaning(source.program.body));
  }
});

describe('a core that is broken on purpose', () => {
  const copy = mkdtempSync(join(tmpdir(), 'broken-core-'));
  const guard = '  if (!owns(p, f)) return E.OWNER;\n';
  beforeAll(() => {
    cpSync(join(root, 'nexus/core'), join(copy, 'nexus/core'), { recursive: true });
    symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
    writeFileSync(join(copy, 'package.json'), '{ "type": "module" }');
    const file = join(copy, 'nexus/core/frame.ts');
    const text = readFileSync(file, 'utf8');
    const at = text.indexOf(guard, text.indexOf('function frameRelease'));
    expect(at).toBeGreaterThan(0);
    writeFileSync(file, text.slice(0, at) + text.slice(at + guard.length));
  });
  afterAll(() => rmSync(copy, { recursive: true }));

  test('is refuted by a counterexample, whose test fails on it and passes on the true core', {
    timeout: 600_000,
  }, () => {
    const { status, stdout } = prove('--core', join(copy, 'nexus/core'), '--call', 'frameRelease', '--theorem', 'REF');
    expect(status).toBe(1);
    expect(stdout).toContain('NOT PROVED frameRelease · REF · result');
    expect(stdout).toMatch(
      /\n {2}call: frameRelease\(p = \d+, f = \w+\)\n {2}result: 0; the specification demands E_OWNER\n/,
    );
    expect(stdout).toMatch(/\n {4}frameState\[\w+\] = 2; the specification demands [01]\n/);

    const [, file, source] = /\n\/\/ (\S+)\n(import [\s\S]*?\n\}\);\n)/.exec(stdout) ?? [];
    writeFileSync(join(copy, file ?? ''), source ?? '');
    const run = () => {
      const vitest = join(root, 'node_modules/vitest/vitest.mjs');
      const env = { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' };
      return spawnSync(process.execPath, [vitest, 'run', '--root', copy], { encoding: 'utf8', env });
    };
    const broken = run();
    expect(broken.stdout + broken.stderr).toMatch(/AssertionError: expected \+?0 to be 4294967046/);
    expect(broken.status).toBe(1);
    cpSync(join(root, 'nexus/core'), join(copy, 'nexus/core'), { recursive: true });
    const mended = run();
    expect(mended.stdout).toMatch(/1 passed/);
    expect(mended.status).toBe(0);
  });
});
