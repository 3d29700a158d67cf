import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadKek } from './kek.ts';

const SALT = Buffer.alloc(16, 1);
const SECRET = Buffer.from('the launch code');

describe('the key-encryption key', () => {
  let directory: string;
  beforeEach(() => {
    directory = fs.mkdtempSync(join(tmpdir(), 'nexus-kek-'));
  });
  afterEach(() => fs.rmSync(directory, { recursive: true, force: true }));

  it('is made once in its file, for its owner only, and read again', async () => {
    const file = join(directory, 'keys', 'kek');
    const first = await loadKek({ file }, SALT);
    expect(fs.statSync(file).mode & 0o777).toBe(0o600);
    expect(fs.readdirSync(join(directory, 'keys'))).toEqual(['kek']);
    const second = await loadKek({ file }, SALT);
    expect(second.fingerprint).toBe(first.fingerprint);
    expect(second.open(first.seal(SECRET, 'a'), 'a')).toEqual(SECRET);
  });

  it('comes from a passphrase and its salt, or from a TPM', async () => {
    const kek = await loadKek({ passphrase: 'correct horse' }, SALT);
    expect((await loadKek({ passphrase: 'correct horse' }, SALT)).fingerprint).toBe(kek.fingerprint);
    expect((await loadKek({ passphrase: 'correct horse' }, Buffer.alloc(16))).fingerprint).not.toBe(kek.fingerprint);
    const sealed = randomBytes(32);
    const unsealed = await loadKek({ unseal: async () => sealed }, SALT);
    expect(unsealed.open(unsealed.seal(SECRET, 'a'), 'a')).toEqual(SECRET);
  });

  it('opens nothing that was changed, moved to another place, or sealed under another key', async () => {
    const kek = await loadKek({ passphrase: 'one' }, SALT);
    const other = await loadKek({ passphrase: 'two' }, SALT);
    const sealed = kek.seal(SECRET, 'row 1');
    const wrong = expect.objectContaining({ code: 'kek-wrong' });
    expect(() => kek.open(sealed, 'row 2')).toThrow(wrong);
    expect(() => other.open(sealed, 'row 1')).toThrow(wrong);
    for (let index = 0; index < sealed.length; index += 1) {
      const bent = Uint8Array.from(sealed);
      bent[index] = (bent[index] ?? 0) ^ 1;
      expect(() => kek.open(bent, 'row 1')).toThrow(wrong);
    }
    expect(() => kek.open(new Uint8Array(5), 'row 1')).toThrow(wrong);
  });

  it('of another length is refused', async () => {
    const file = join(directory, 'kek');
    fs.writeFileSync(file, 'short');
    await expect(loadKek({ file }, SALT)).rejects.toMatchObject({ code: 'kek-wrong' });
    await expect(loadKek({ unseal: async () => new Uint8Array(5) }, SALT)).rejects.toMatchObject({ code: 'kek-wrong' });
  });
});
