import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { releaseKeyName } from '../launch/index.ts';
import { chooseReleaseKey, readReleaseKey } from './release-key.ts';

test('a public key of P-256 is read; a private one, another curve and other files are refused by name', () => {
  const directory = mkdtempSync(join(tmpdir(), 'nexus-release-key-'));
  const file = join(directory, 'key');
  const read = (content: string | Buffer) => {
    writeFileSync(file, content);
    return readReleaseKey(file);
  };
  try {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    expect(read(publicKey.export({ type: 'spki', format: 'pem' }))).toBe(releaseKeyName(publicKey));
    expect(() => read(privateKey.export({ type: 'pkcs8', format: 'pem' }))).toThrow(/no place on a host/);
    const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey;
    const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;
    for (const other of [p384, rsa])
      expect(() => read(other.export({ type: 'spki', format: 'pem' }))).toThrow(/is not an EC P-256 public key/);
    expect(() => read('no key')).toThrow(/is not an EC P-256 public key/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('the key is chosen when the state is made, and may be left out or repeated afterwards', () => {
  const made = { allowDebug: false, engine: 'v86' } as const;
  expect(chooseReleaseKey('a', undefined)).toBe('a');
  expect(chooseReleaseKey(undefined, { ...made, releaseKey: 'a' })).toBe('a');
  expect(chooseReleaseKey('a', { ...made, releaseKey: 'a' })).toBe('a');
  expect(chooseReleaseKey(undefined, made)).toBeUndefined();
  expect(() => chooseReleaseKey('b', { ...made, releaseKey: 'a' })).toThrow(/made with the release key a/);
  expect(() => chooseReleaseKey('b', made)).toThrow(/made without a release key/);
});
