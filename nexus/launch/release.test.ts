import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeCbor, encodeCbor } from '../../attestation/cbor.ts';
import { parseRelease, ReleaseError, signRelease } from './release.ts';
import { SVN_MAX } from './root-policy.ts';

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const pcr17 = new Uint8Array(32).fill(17);
const statement = signRelease({ svn: 3, pcr17 }, privateKey);
const changed = (change: object) =>
  encodeCbor({ ...Object.fromEntries(decodeCbor(statement) as Map<string, never>), ...change });
const codeOf = (bytes: Uint8Array) => {
  try {
    parseRelease(bytes);
    return 'accepted';
  } catch (error) {
    if (error instanceof ReleaseError) return error.code;
    throw error;
  }
};

describe('a release statement', () => {
  it('says what was signed, and by whom', () => {
    const release = parseRelease(statement);
    expect([release.svn, release.pcr17]).toEqual([3, pcr17]);
    expect(release.key.equals(publicKey)).toBe(true);
  });

  it('is refused after a change of anything that it says', () => {
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const foreign = decodeCbor(signRelease({ svn: 3, pcr17 }, other.privateKey)) as Map<string, Uint8Array>;
    for (const change of [{ svn: 4 }, { pcr17: pcr17.with(0, 1) }, { x: foreign.get('x'), y: foreign.get('y') }])
      expect(codeOf(changed(change))).toBe('E_RELEASE_SIGNATURE');
    expect(codeOf(changed({ signature: foreign.get('signature') }))).toBe('E_RELEASE_SIGNATURE');
  });

  it.each([
    ['another version', { v: 2 }],
    ['a version that no bit is left for', { svn: SVN_MAX + 1 }],
    ['a negative version', { svn: -1 }],
    ['a short digest', { pcr17: new Uint8Array(31) }],
    ['a short signature', { signature: new Uint8Array(63) }],
    ['a point off the curve', { y: new Uint8Array(32).fill(1) }],
    ['a member too many', { more: 1 }],
    ['a text in place of bytes', { x: 'x' }],
  ])('is none with %s', (_, change) => {
    expect(codeOf(changed(change))).toBe('E_RELEASE');
  });

  it('is refused by name whatever the bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => codeOf(bytes) === 'E_RELEASE'));
    fc.assert(
      fc.property(fc.nat(statement.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) =>
        codeOf(statement.with(at, (statement[at] ?? 0) ^ flip)).startsWith('E_RELEASE'),
      ),
    );
  });

  it('is made by an EC P-256 key only, for versions that there are', () => {
    const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });
    expect(() => signRelease({ svn: 1, pcr17 }, p384.privateKey)).toThrow(RangeError);
    expect(() => signRelease({ svn: SVN_MAX + 1, pcr17 }, privateKey)).toThrow(RangeError);
  });
});
