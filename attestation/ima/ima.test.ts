/** IMA lists: every template, replay in parts, violations, and file signatures by keys that openssl's form makes. */
import 'reflect-metadata';
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { cryptoProvider, X509CertificateGenerator } from '@peculiar/x509';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { digestField, entryBytes, imaList, templateData } from '../../test/attestation/ima-list.ts';
import { concatBytes, toHex } from '../bytes.ts';
import { SHA1, SHA256 } from '../hash.ts';
import { ImaError, imaFields, parseImaList } from './list.ts';
import { replayIma } from './replay.ts';
import { ImaKeys, parseImaSignature } from './signature.ts';

const text = (value: string) => new TextEncoder().encode(value);
const u32 = (value: number) => Uint8Array.of(value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, value >>> 24);
const field = (value: Uint8Array) => concatBytes(u32(value.length), value);
const digest = SHA256.digest(text('contents'));

/** An entry of any template, from its fields. */
const entry = (template: string, ...fields: readonly Uint8Array[]) =>
  parseImaList(entryBytes({ path: '', template }, concatBytes(...fields.map(field))))[0] ?? never();
function never(): never {
  throw new Error('no entry');
}

describe('templates', () => {
  const name = text('/usr/bin/true\0');

  test('ima: a SHA-1 digest and a name, hashed with the name padded', () => {
    const sha1 = SHA1.digest(text('contents'));
    const bytes = concatBytes(
      u32(10),
      new Uint8Array(20).fill(1),
      field(text('ima')),
      sha1,
      field(text('boot_aggregate')),
    );
    const [old] = parseImaList(bytes);
    expect(old?.templateData.length).toBe(20 + 256);
    expect(imaFields(old ?? never())).toEqual({
      name: 'boot_aggregate',
      algorithm: 'sha1',
      digest: Uint8Array.from(sha1),
      digestType: 'ima',
    });
  });

  test('ima-ng, ima-sig, ima-buf and ima-modsig', () => {
    const ng = { name: '/usr/bin/true', algorithm: 'sha256', digestType: 'ima' };
    expect(imaFields(entry('ima-ng', digestField(digest), name))).toMatchObject(ng);
    const signed = imaFields(entry('ima-sig', digestField(digest), name, Uint8Array.of(3, 2, 4)));
    expect(signed).toMatchObject({ ...ng, signature: Uint8Array.of(3, 2, 4) });
    expect(imaFields(entry('ima-sig', digestField(digest), name, new Uint8Array())).signature).toBeUndefined();
    const buffer = imaFields(entry('ima-buf', digestField(digest), text('.ima\0'), text('certificate')));
    expect(buffer).toMatchObject({ name: '.ima', buffer: text('certificate') });
    const module = imaFields(
      entry('ima-modsig', digestField(digest), name, new Uint8Array(), digestField(digest), text('pkcs7')),
    );
    expect(module).toMatchObject({ moduleDigest: Uint8Array.from(digest), moduleSignature: text('pkcs7') });
  });

  test('ima-ngv2 and ima-sigv2 tell fs-verity digests from others', () => {
    expect(imaFields(entry('ima-ngv2', digestField(digest, 'verity:sha256:'), name)).digestType).toBe('verity');
    expect(imaFields(entry('ima-sigv2', digestField(digest, 'ima:sha256:'), name, new Uint8Array())).digestType).toBe(
      'ima',
    );
  });

  test('property: hostile bytes give entries or an ImaError', () => {
    const good = imaList([{ path: '/a' }, { path: '/b', template: 'ima-sig', signature: new Uint8Array(40) }]).bytes;
    const edited = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 5 }).map((edits) => {
      const copy = Uint8Array.from(good);
      for (const [at, value] of edits) copy[at] = value;
      return copy;
    });
    fc.assert(
      fc.property(fc.oneof(edited, fc.uint8Array({ maxLength: 200 })), (bytes) => {
        try {
          for (const one of parseImaList(bytes)) imaFields(one);
        } catch (error) {
          expect(error).toBeInstanceOf(ImaError);
        }
      }),
      { numRuns: 500 },
    );
  });

  test('limits hold', () => {
    const { bytes } = imaList([{ path: '/a' }, { path: '/b' }]);
    expect(() => parseImaList(bytes, { entries: 1 })).toThrow(expect.objectContaining({ code: 'ima-entries' }));
    expect(() => parseImaList(bytes, { bytes: 10 })).toThrow(expect.objectContaining({ code: 'ima-size' }));
  });
});

describe('replay', () => {
  const files = ['/a', '/b', '/c', '/d'].map((path) => ({ path }));
  const whole = imaList(files);

  test('in two parts ends where the whole does', () => {
    const first = imaList(files.slice(0, 2));
    const half = replayIma(parseImaList(first.bytes), SHA256.id, first.pcr).reached;
    expect(half).toMatchObject({ entries: 2, value: toHex(first.pcr) });
    const rest = parseImaList(imaList(files.slice(2)).bytes);
    expect(replayIma(rest, SHA256.id, whole.pcr, half).reached).toMatchObject({ entries: 4, value: toHex(whole.pcr) });
  });

  test('may run ahead of the quote, and says where it met it', () => {
    const quoted = imaList(files.slice(0, 3)).pcr;
    expect(replayIma(parseImaList(whole.bytes), SHA256.id, quoted).reached?.entries).toBe(3);
    expect(replayIma(parseImaList(whole.bytes), SHA256.id, new Uint8Array(32).fill(9)).reached).toBeUndefined();
  });

  test('extends ones for a violation, and counts it', () => {
    const violated = imaList([...files, { path: '/e', violation: true }]);
    const { reached, violations } = replayIma(parseImaList(violated.bytes), SHA256.id, violated.pcr);
    expect([reached?.entries, violations]).toEqual([5, 1]);
  });

  test('in the SHA-1 bank refuses a template digest that is not of its data', () => {
    const lie = entryBytes({ path: '/a' });
    lie[4] = (lie[4] ?? 0) ^ 1;
    expect(() => replayIma(parseImaList(lie), SHA1.id, new Uint8Array(20))).toThrow(ImaError);
  });
});

describe('file signatures', () => {
  /** A self-signed certificate of a key, as an administrator would hand it over. */
  async function certificate(): Promise<{ der: Uint8Array; key: KeyObject }> {
    const algorithm = {
      name: 'RSASSA-PKCS1-v1_5',
      hash: 'SHA-256',
      modulusLength: 2048,
      publicExponent: Uint8Array.of(1, 0, 1),
    };
    const keys = await cryptoProvider.get().subtle.generateKey(algorithm, true, ['sign', 'verify']);
    const made = await X509CertificateGenerator.createSelfSigned({ name: 'CN=IMA', keys, signingAlgorithm: algorithm });
    const { KeyObject: NodeKey } = await import('node:crypto');
    return { der: new Uint8Array(made.rawData), key: NodeKey.from(keys.privateKey as never) };
  }

  const file = text('#!/bin/sh\n');
  const fileDigest = Uint8Array.from(SHA256.digest(file));

  /** security.ima, version 2: type, version, hash, key identifier, size, signature over the file. */
  function xattr(signature: Uint8Array, keyId: string): Uint8Array {
    const id = Uint8Array.from(Buffer.from(keyId, 'hex'));
    return concatBytes(
      Uint8Array.of(3, 2, 4),
      id,
      Uint8Array.of(signature.length >> 8, signature.length & 0xff),
      signature,
    );
  }

  const fieldsWith = (signature: Uint8Array, ofFile = fileDigest) =>
    imaFields(
      parseImaList(
        entryBytes(
          { path: '/x', template: 'ima-sig', digest: ofFile, signature },
          templateData({ path: '/x', template: 'ima-sig', digest: ofFile, signature }),
        ),
      )[0] ?? never(),
    );

  test('verify under a given certificate, over this file, and no other', async () => {
    const { der, key } = await certificate();
    const signature = Uint8Array.from(sign('sha256', file, key));
    const spki = (await import('node:crypto')).createPublicKey(key).export({ format: 'der', type: 'spki' });
    // The BIT STRING of a 2048-bit RSA key starts after 24 bytes of header.
    const keyId = toHex(SHA1.digest(Uint8Array.from(spki.subarray(24))).subarray(-4));
    const keys = new ImaKeys([der]);
    expect(keys.signerOf(fieldsWith(xattr(signature, keyId)))).toBe(keyId);
    expect(keys.signerOf(fieldsWith(xattr(signature, keyId), new Uint8Array(32)))).toBeUndefined();
    expect(keys.signerOf(fieldsWith(xattr(signature, '00000000')))).toBeUndefined();
    expect(new ImaKeys([]).signerOf(fieldsWith(xattr(signature, keyId)))).toBeUndefined();
    const forged = Uint8Array.from(signature, (byte, at) => (at === 5 ? byte ^ 1 : byte));
    expect(keys.signerOf(fieldsWith(xattr(forged, keyId)))).toBeUndefined();
  });

  test('of another form are none', () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const signature = Uint8Array.from(sign('sha256', file, privateKey));
    const good = xattr(signature, '01020304');
    expect(parseImaSignature(good)).toMatchObject({ kind: 'digest', algorithm: 'sha256', keyId: '01020304' });
    for (const [at, value] of [
      [0, 1], // a bare digest
      [1, 1], // version 1
      [2, 99], // an unknown hash
      [8, 7], // a size that is not the signature's
    ] as const) {
      expect(parseImaSignature(Uint8Array.from(good, (byte, i) => (i === at ? value : byte)))).toBeUndefined();
    }
    expect(parseImaSignature(new Uint8Array())).toBeUndefined();
  });
});
