import { createHash, generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeCbor } from '../../attestation/cbor.ts';
import { coseKeyDigest, signSign1EmbeddingKey } from '../../attestation/cose/index.ts';
import { checkAgainstManifest, ManifestError, parseManifest, signManifest } from './manifest.ts';

const MIB = 2 ** 20;
const key = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const image = Buffer.from('an image');
const claims = {
  name: 'vault',
  svn: 3,
  debug: false,
  image: createHash('sha256').update(image).digest(),
  commandLine: 'quiet',
  memory: 16 * MIB,
};
const launch = { image, commandLine: 'quiet', memoryBytes: 16 * MIB };
const signed = signManifest(claims, key.privateKey);

describe('manifest', () => {
  test('what is signed is what is read, with the signer', () => {
    const manifest = parseManifest(signed);
    expect(manifest).toMatchObject({ ...claims, image: Uint8Array.from(claims.image) });
    expect(manifest.signer).toEqual(coseKeyDigest(key.publicKey));
    checkAgainstManifest(manifest, launch);
  });

  test('signing again changes the file but not what the code identity covers', () => {
    const again = signManifest(claims, key.privateKey);
    expect(again).not.toEqual(signed);
    expect(parseManifest(again).payload).toEqual(parseManifest(signed).payload);
  });

  test('no change of any byte is accepted', () => {
    fc.assert(
      fc.property(fc.nat(signed.length - 1), fc.integer({ min: 1, max: 255 }), (offset, change) => {
        const mutant = Uint8Array.from(signed);
        mutant[offset] = (mutant[offset] ?? 0) ^ change;
        expect(() => parseManifest(mutant)).toThrow(ManifestError);
      }),
      { numRuns: 500 },
    );
  });

  test.each([
    ['another image', { ...launch, image: Buffer.from('an Image') }, "image's SHA-256"],
    ['another command line', { ...launch, commandLine: '' }, 'command line'],
    ['another memory size', { ...launch, memoryBytes: 32 * MIB }, 'memory'],
  ])('%s is refused by name', (_, other, message) => {
    expect(() => checkAgainstManifest(parseManifest(signed), other)).toThrow(message);
  });

  const payload = { v: 1, ...claims, signer: coseKeyDigest(key.publicKey) };
  test.each([
    ['another version', { ...payload, v: 2 }],
    ['a member too many', { ...payload, more: true }],
    ['a negative security version', { ...payload, svn: -1 }],
    ['memory that is not whole MiB', { ...payload, memory: MIB + 1 }],
    ['a digest of another length', { ...payload, image: new Uint8Array(31) }],
    ['the name of another signer', { ...payload, signer: new Uint8Array(32) }],
    ['no map', [1]],
  ])('a signed payload with %s is refused', (_, other) => {
    const bytes = signSign1EmbeddingKey(encodeCbor(other as never), key.privateKey);
    expect(() => parseManifest(bytes)).toThrow(ManifestError);
  });
});
