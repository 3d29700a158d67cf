/** Who signed what runs: modules by CMS, files by ECDSA, keys in keyrings, and the boot that a list belongs to. */
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { bootAggregate, digestField, entryBytes, type FileEntry, imaList } from '../../test/attestation/ima-list.ts';
import { concatBytes, fromHex, toHex } from '../bytes.ts';
import { nodeVerification } from '../crypto/node.ts';
import { useVerification, type Verification } from '../crypto/port.ts';
import { portableVerification } from '../crypto/portable.ts';
import { SHA1, SHA256 } from '../hash.ts';
import { isBootAggregate } from './boot-aggregate.ts';
import { appraiseImaIncrement, imaFacts } from './increment.ts';
import { type ImaEntry, imaFields, parseImaList } from './list.ts';
import { parseModuleSignature } from './module-signature.ts';
import { ImaKeys } from './signature.ts';
import {
  BY_KEY_ID,
  CERTIFICATE,
  FILE,
  FILE_SIGNATURE,
  KEY_ID,
  MODULE,
  SIGN_FILE,
  WITH_ATTRIBUTES,
} from './vectors.test-support.ts';

const text = (value: string) => new TextEncoder().encode(value);
const u32 = (value: number) => Uint8Array.of(value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, value >>> 24);
const field = (value: Uint8Array) => concatBytes(u32(value.length), value);
const first = (bytes: Uint8Array): ImaEntry => {
  const [entry] = parseImaList(bytes);
  if (entry === undefined) throw new Error('no entry');
  return entry;
};

const openssl = nodeVerification() as Verification; // the tests run on Node
afterEach(() => useVerification(openssl));

/** An entry of ima-modsig for a module with this content and signature. */
function moduleEntry(signature: Uint8Array, content = MODULE) {
  const digest = digestField(SHA256.digest(text(content)));
  const whole = digestField(SHA256.digest(concatBytes(text(content), signature)));
  const fields = [whole, text('/lib/modules/x.ko\0'), new Uint8Array(), digest, signature];
  return first(entryBytes({ path: '', template: 'ima-modsig' }, concatBytes(...fields.map(field))));
}

describe.each([
  ['OpenSSL', openssl],
  ['the portable provider', portableVerification],
])('by %s', (_, provider) => {
  test.each([
    ['as sign-file makes it', SIGN_FILE],
    ['with signed attributes', WITH_ATTRIBUTES],
    ['naming its key', BY_KEY_ID],
  ])('the signature of a module %s verifies, over this module and by this key only', (_name, signature) => {
    useVerification(provider);
    const keys = new ImaKeys([CERTIFICATE]);
    expect(keys.signerOf(imaFields(moduleEntry(signature)))).toBe(KEY_ID);
    expect(keys.signerOf(imaFields(moduleEntry(signature, 'another module')))).toBeUndefined();
    expect(new ImaKeys([]).signerOf(imaFields(moduleEntry(signature)))).toBeUndefined();
    const forged = Uint8Array.from(signature, (byte, at) => (at === signature.length - 1 ? byte ^ 1 : byte));
    expect(keys.signerOf(imaFields(moduleEntry(forged)))).toBeUndefined();
  });

  test('an ECDSA signature of a file verifies, over this file only', () => {
    useVerification(provider);
    const header = Uint8Array.of(3, 2, 4, ...fromHex(KEY_ID), FILE_SIGNATURE.length >> 8, FILE_SIGNATURE.length & 0xff);
    const entry = (content: string): FileEntry => ({
      path: '/x',
      template: 'ima-sig',
      digest: SHA256.digest(text(content)),
      signature: concatBytes(header, FILE_SIGNATURE),
    });
    const keys = new ImaKeys([CERTIFICATE]);
    expect(keys.signerOf(imaFields(first(imaList([entry(FILE)]).bytes)))).toBe(KEY_ID);
    expect(keys.signerOf(imaFields(first(imaList([entry('rm -rf /')]).bytes)))).toBeUndefined();
  });
});

test('property: hostile module signatures are none', () => {
  const edited = fc.array(fc.tuple(fc.nat(WITH_ATTRIBUTES.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
  const keys = new ImaKeys([CERTIFICATE]);
  fc.assert(
    fc.property(fc.oneof(edited, fc.uint8Array({ maxLength: 60 })), (change) => {
      const bytes = change instanceof Uint8Array ? change : Uint8Array.from(WITH_ATTRIBUTES);
      if (!(change instanceof Uint8Array)) for (const [at, value] of change) bytes[at] = value;
      const parsed = parseModuleSignature(bytes);
      const signer = keys.signerOf(imaFields(moduleEntry(bytes)));
      // What still verifies has the signed parts as they were.
      if (signer !== undefined) expect(parsed?.attributes).toEqual(parseModuleSignature(WITH_ATTRIBUTES)?.attributes);
    }),
    { numRuns: 300 },
  );
});

describe('keyrings', () => {
  const keys = new ImaKeys([]);
  test('tell the certificates that were loaded, other buffers are none', () => {
    const list = parseImaList(
      imaList([
        { path: '.ima', buffer: CERTIFICATE },
        { path: 'kexec-cmdline', buffer: text('root=/dev/sda') },
      ]).bytes,
    );
    expect(imaFacts(list, keys).keys).toEqual([{ keyring: '.ima', digest: toHex(SHA256.digest(CERTIFICATE)) }]);
  });

  test('refuse a key whose digest is not of it', () => {
    const lie = imaList([{ path: '.ima', buffer: CERTIFICATE, digest: new Uint8Array(32) }]);
    expect(() => imaFacts(parseImaList(lie.bytes), keys)).toThrow('whose digest is not of it');
  });
});

describe('the boot aggregate', () => {
  const pcrs = Array.from({ length: 10 }, (_, index) => new Uint8Array(32).fill(index));
  const entry = first(imaList([bootAggregate(pcrs)]).bytes);
  const bank = new Map(pcrs.entries());

  test('is over PCR 0-9 of its bank, as quoted', () => {
    expect(isBootAggregate(entry, new Map([[SHA256.id, bank]]))).toBe(true);
    expect(isBootAggregate(entry, new Map([[SHA256.id, new Map(bank).set(9, new Uint8Array(32))]]))).toBe(false);
    expect(isBootAggregate(first(imaList([{ path: '/bin/sh' }]).bytes), new Map([[SHA256.id, bank]]))).toBe(false);
  });

  test('is over PCR 0-7 in the SHA-1 bank', () => {
    const sha1 = Array.from({ length: 10 }, (_, index) => new Uint8Array(20).fill(index));
    const digest = digestField(SHA1.digest(concatBytes(...sha1.slice(0, 8))), 'sha1:');
    const bytes = entryBytes({ path: '' }, concatBytes(field(digest), field(text('boot_aggregate\0'))));
    expect(isBootAggregate(first(bytes), new Map([[SHA1.id, new Map(sha1.entries())]]))).toBe(true);
  });

  test('says nothing where not all of its registers are quoted', () => {
    expect(isBootAggregate(entry, new Map())).toBeUndefined();
    expect(isBootAggregate(entry, new Map([[SHA256.id, new Map([[0, new Uint8Array(32)]])]]))).toBeUndefined();
  });
});

describe('a list in parts', () => {
  const files = ['/a', '/b', '/c', '/d'].map((path) => ({ path }));
  const part = (from: number, to: number) => parseImaList(imaList(files.slice(from, to)).bytes);
  const pcrAfter = (count: number) => imaList(files.slice(0, count)).pcr;
  const begun = appraiseImaIncrement(undefined, part(0, 2), SHA256.id, pcrAfter(2));

  test('goes on from where it stood, in JSON and back, with what is new alone', () => {
    const kept = JSON.parse(JSON.stringify(begun?.position));
    const next = appraiseImaIncrement(kept, part(2, 4), SHA256.id, pcrAfter(4));
    expect(next).toMatchObject({ whole: false, position: { entries: 4 } });
    expect(next?.entries).toHaveLength(2);
  });

  test('may be sent whole again, and nothing at all when nothing is new', () => {
    const whole = appraiseImaIncrement(begun?.position, part(0, 4), SHA256.id, pcrAfter(4));
    expect(whole).toMatchObject({ whole: true, position: { entries: 4 } });
    expect(whole?.entries).toHaveLength(4);
    expect(appraiseImaIncrement(begun?.position, [], SHA256.id, pcrAfter(2))).toMatchObject({
      whole: false,
      entries: [],
    });
  });

  test('with a gap, or over another register, leads nowhere', () => {
    expect(appraiseImaIncrement(begun?.position, part(3, 4), SHA256.id, pcrAfter(4))).toBeUndefined();
    expect(appraiseImaIncrement(undefined, part(2, 4), SHA256.id, pcrAfter(4))).toBeUndefined();
    expect(
      appraiseImaIncrement(
        begun?.position,
        part(2, 4),
        SHA256.id,
        pcrAfter(3).map((byte) => byte ^ 1),
      ),
    ).toBeUndefined();
  });

  test('proves no more than the register: entries after it are left out', () => {
    expect(appraiseImaIncrement(begun?.position, part(2, 4), SHA256.id, pcrAfter(3))?.entries).toHaveLength(1);
  });
});
