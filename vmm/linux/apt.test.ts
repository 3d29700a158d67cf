import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AptCache } from './apt.ts';

/** An unpacker that notes each use and takes its time. */
const DPKG_DEB = `#!/bin/sh
echo "$1" >> "$LOG"
sleep 0.3
mkdir -p "$3/usr" && cp "$2" "$3/usr/file"
`;

describe('the cache of packages', () => {
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'nexus-apt-'));
    mkdirSync(join(directory, 'bin'));
    writeFileSync(join(directory, 'bin/dpkg-deb'), DPKG_DEB);
    chmodSync(join(directory, 'bin/dpkg-deb'), 0o755);
    vi.stubEnv('PATH', `${join(directory, 'bin')}${delimiter}${process.env.PATH}`);
    vi.stubEnv('LOG', join(directory, 'log'));
  });

  afterEach(() => {
    vi.unstubAllEnvs();
    rmSync(directory, { recursive: true, force: true });
  });

  it('is filled by one at a time: whoever comes meanwhile waits, and finds a package unpacked whole', async () => {
    const file = join(directory, 'a_1.deb');
    writeFileSync(file, 'content');
    const entry = { package: 'a', file, sha256: 'ab'.repeat(32) };
    const trees = await Promise.all(
      [1, 2, 3].map(async () => {
        const tree = await new AptCache(directory, 'i386').unpacked(entry);
        return readFileSync(join(tree, 'usr/file'), 'utf8');
      }),
    );
    expect(trees).toEqual(['content', 'content', 'content']);
    expect(readFileSync(join(directory, 'log'), 'utf8')).toBe('--extract\n');
  });

  it('does not take what a killed process left half unpacked', async () => {
    const file = join(directory, 'a_1.deb');
    writeFileSync(file, 'content');
    const sha256 = 'cd'.repeat(32);
    mkdirSync(join(directory, 'i386/trees', `${sha256}.new`, 'stale'), { recursive: true });
    const tree = await new AptCache(directory, 'i386').unpacked({ package: 'a', file, sha256 });
    expect(() => readFileSync(join(tree, 'stale'))).toThrow('ENOENT');
  });
});
