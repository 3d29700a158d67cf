import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { launchDigests, launchMessage, launchPolicyBytes, readNexusFiles } from './late-launch.ts';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'nexus-launch-'));
  mkdirSync(join(directory, 'core'));
  writeFileSync(join(directory, 'core', 'calls.js'), 'export const a = 1;\n');
  writeFileSync(join(directory, 'host.js'), 'export const b = 2;\n');
  writeFileSync(join(directory, 'host.d.ts'), 'types are not code\n');
});
afterEach(() => rmSync(directory, { recursive: true }));

const digest = () =>
  Buffer.from(launchDigests(readNexusFiles(directory), ['sha256']).get('sha256') ?? []).toString('hex');

test('the digest is that of the message given to the TPM', () => {
  const pieces = [...launchMessage(readNexusFiles(directory))];
  expect(digest()).toBe(createHash('sha256').update(Buffer.concat(pieces)).digest('hex'));
});

test('changing, adding, removing or renaming a file changes the digest; a file that is not code does not', () => {
  const seen = new Set([digest()]);
  writeFileSync(join(directory, 'host.d.ts'), 'other types\n');
  expect(seen.has(digest())).toBe(true);
  writeFileSync(join(directory, 'host.js'), 'export const b = 3;\n');
  seen.add(digest());
  writeFileSync(join(directory, 'more.js'), '');
  seen.add(digest());
  renameSync(join(directory, 'more.js'), join(directory, 'most.js'));
  seen.add(digest());
  rmSync(join(directory, 'core', 'calls.js'));
  seen.add(digest());
  expect(seen.size).toBe(5);
});

test('moving bytes between a path, its content and the next file changes the digest', () => {
  const digestOf = (files: [string, string][]) => {
    const named = files.map(([path, content]) => ({ path, content: Buffer.from(content) }));
    return Buffer.from(launchDigests(named, ['sha256']).get('sha256') ?? []).toString('hex');
  };
  expect(digestOf([['a', 'bc']])).not.toBe(digestOf([['ab', 'c']]));
  expect(
    digestOf([
      ['a', 'b'],
      ['c', 'd'],
    ]),
  ).not.toBe(
    digestOf([
      ['a', 'bc'],
      ['', 'd'],
    ]),
  );
});

test('every field of the launch policy is in its bytes', () => {
  const bytes = [
    launchPolicyBytes({ allowDebug: false, engine: 'v86' }),
    launchPolicyBytes({ allowDebug: true, engine: 'v86' }),
    launchPolicyBytes({ allowDebug: false, engine: 'kvm' }),
    launchPolicyBytes({ allowDebug: false, engine: 'v86', releaseKey: '000b01' }),
    launchPolicyBytes({ allowDebug: false, engine: 'v86', releaseKey: '000b02' }),
  ];
  expect(new Set(bytes.map((b) => Buffer.from(b).toString())).size).toBe(5);
  expect(Buffer.from(bytes[0] ?? []).toString()).toBe('{"allowDebug":false,"engine":"v86","version":1}');
});
