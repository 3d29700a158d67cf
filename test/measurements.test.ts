/** Changing a byte of the nexus, of a guest image or of a manifest changes exactly the measurements that it should. */
import { createHash, generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import {
  codeIdentity,
  launchDigests,
  launchMeasurement,
  type ManifestClaims,
  parseManifest,
  populatedFrames,
  readNexusFiles,
  signManifest,
} from 'nexus-tcb/nexus/launch';
import { loadMultiboot } from 'nexus-tcb/vmm';
import { beforeAll, describe, expect, test } from 'vitest';
import { buildGuests } from '../guests/index.ts';

const built = (room: string) => readNexusFiles(fileURLToPath(new URL(`../dist/${room}`, import.meta.url)));
const digest = (files: ReturnType<typeof built>) =>
  Buffer.from(launchDigests(files, ['sha256']).get('sha256') ?? []).toString('hex');
const flip = (bytes: Uint8Array, at: number, change: number) => {
  const other = Uint8Array.from(bytes);
  other[at] = (other[at] ?? 0) ^ change;
  return other;
};

describe('PCR 17', () => {
  const nexus = built('nexus');

  test('changes with any byte of any built file of nexus/', () => {
    const reference = digest(nexus);
    fc.assert(
      fc.property(
        fc.nat(nexus.length - 1),
        fc.nat(1 << 20),
        fc.integer({ min: 1, max: 255 }),
        (index, offset, change) => {
          const file = nexus[index];
          if (file === undefined || file.content.length === 0) return;
          const changed = { ...file, content: flip(file.content, offset % file.content.length, change) };
          expect(digest(nexus.map((other) => (other === file ? changed : other)))).not.toBe(reference);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('covers nexus/ and nothing else: the firmware and the loader have registers of their own', () => {
    const names = nexus.map(({ path }) => path);
    expect(names).toContain('core/grant.js');
    expect(names).toContain('services/sealing.js');
    expect(names.some((name) => name.includes('..'))).toBe(false);
    expect(new Set([digest(nexus), digest(built('tpm')), digest(built('cli'))]).size).toBe(3);
  });
});

describe('a trusted partition', () => {
  const MEMORY = 16 * 2 ** 20;
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  let image: Uint8Array;
  beforeAll(async () => {
    image = readFileSync((await buildGuests()).vault);
  });

  const claimsOf = (bytes: Uint8Array, changed: Partial<ManifestClaims> = {}): ManifestClaims => ({
    name: 'vault',
    svn: 1,
    debug: false,
    image: createHash('sha256').update(bytes).digest(),
    commandLine: '',
    memory: MEMORY,
    ...changed,
  });
  const measure = (bytes: Uint8Array, commandLine = '') => {
    const { segments, entry } = loadMultiboot(bytes, commandLine, MEMORY);
    return launchMeasurement(populatedFrames(segments, 3), MEMORY / 4096, entry);
  };
  const identify = (bytes: Uint8Array, changed: Partial<ManifestClaims> = {}) =>
    codeIdentity(
      measure(bytes, changed.commandLine),
      parseManifest(signManifest(claimsOf(bytes, changed), privateKey)).payload,
    );
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

  test('has another identity for any changed byte of its image, loaded or not', () => {
    const identity = hex(identify(image));
    fc.assert(
      fc.property(fc.nat(image.length - 1), fc.integer({ min: 1, max: 255 }), (offset, change) => {
        const other = flip(image, offset, change);
        let changed: string;
        try {
          changed = hex(identify(other));
        } catch {
          return; // no longer an image: it cannot be launched at all
        }
        expect(changed).not.toBe(identity);
      }),
      { numRuns: 100 },
    );
  });

  test('has another measurement for a changed byte of a loaded segment', () => {
    const reference = hex(measure(image));
    const text = Buffer.from(image).indexOf('nexus_');
    const at = text >= 0 ? text : image.length >> 1;
    expect(hex(measure(flip(image, at, 0x20)))).not.toBe(reference);
  });

  test.each([
    ['security version', { svn: 2 }],
    ['debug flag', { debug: true }],
    ['name', { name: 'other' }],
  ] as const)('has another identity, but the same measurement, for another %s in its manifest', (_, changed) => {
    expect(hex(identify(image, changed))).not.toBe(hex(identify(image)));
    expect(hex(measure(image))).toBe(hex(measure(image)));
  });

  test('has another measurement for another command line', () => {
    expect(hex(measure(image, 'x'))).not.toBe(hex(measure(image)));
  });

  test('has the same identity when its manifest is signed again by the same signer, another for another signer', () => {
    expect(hex(identify(image))).toBe(hex(identify(image)));
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    const payload = parseManifest(signManifest(claimsOf(image), other)).payload;
    expect(hex(codeIdentity(measure(image), payload))).not.toBe(hex(identify(image)));
  });
});
