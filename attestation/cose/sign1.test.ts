/** COSE_Sign1: the vectors of others under both providers, our own signatures by every algorithm, hostile bytes. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { fromHex } from '../bytes.ts';
import { encodeCbor, Tag } from '../cbor.ts';
import { nodeVerification } from '../crypto/node.ts';
import { type PublicKey, useVerification, type Verification, verification } from '../crypto/port.ts';
import { portableVerification } from '../crypto/portable.ts';
import { ALGORITHM, type AlgorithmName, schemeFor } from './algorithms.ts';
import { CoseError, decodeCoseKey, readForeignSign1, verifyForeignSign1, verifySign1 } from './index.ts';
import { coseKeyDigest, encodeCoseKey, signSign1, signSign1EmbeddingKey } from './sign.ts';
import { verifySign1WithEmbeddedKey } from './sign1.ts';
import { BAD, GOOD, KEYS, PSS } from './vectors.test-support.ts';

const openssl = nodeVerification() as Verification; // the tests run on Node
const PROVIDERS: readonly (readonly [string, Verification])[] = [
  ['OpenSSL', openssl],
  ['portable', portableVerification],
];
afterEach(() => useVerification(openssl));

describe.each(PROVIDERS)('by %s', (_, provider) => {
  test.each(GOOD)('%s verifies, and not after a change', (_path, name, external, object) => {
    useVerification(provider);
    const key = provider.importJwk(KEYS[name]);
    const parsed = readForeignSign1(fromHex(object));
    const options = { external: fromHex(external) };
    expect(Buffer.from(verifyForeignSign1(parsed, key, options).payload).toString()).toBe('This is the content.');
    const changed = Uint8Array.from(parsed.signature, (byte, at) => (at === 9 ? byte ^ 1 : byte));
    for (const other of [
      { ...parsed, signature: changed },
      { ...parsed, payload: new Uint8Array(20) },
      { ...parsed, signature: new Uint8Array() },
      { ...parsed, signature: new Uint8Array(parsed.signature.length) },
    ]) {
      expect(() => verifyForeignSign1(other, key, options)).toThrow(CoseError);
    }
    expect(() => verifyForeignSign1(parsed, key, { external: Uint8Array.of(1) })).toThrow(CoseError);
  });

  test.each(BAD)('%s is refused (key %s): %s', (_path, name, _why, object) => {
    useVerification(provider);
    const key = provider.importJwk(KEYS[name]);
    expect(() => verifyForeignSign1(readForeignSign1(fromHex(object)), key)).toThrow(CoseError);
  });

  test.each(PSS)('%s: the signature is good with the salt as long as the hash, and no other', (alg, input, sig) => {
    const key = provider.importJwk(KEYS.rsa);
    const scheme = schemeFor(ALGORITHM[alg], key);
    const verify = (message: string, saltLength: number) =>
      provider.verify({ ...scheme, saltLength } as never, fromHex(message), fromHex(sig), key);
    const salt = 'saltLength' in scheme ? (scheme.saltLength ?? 0) : 0;
    expect(verify(input, salt)).toBe(true);
    expect(verify(input, salt - 1)).toBe(false);
    expect(verify(`${input}00`, salt)).toBe(false);
  });

  test('keys that are none are refused', () => {
    const { x, y } = KEYS.p256;
    const off = `A${y.slice(1)}`;
    expect(() => provider.importJwk({ kty: 'EC', crv: 'P-256', x, y: off })).toThrow();
    expect(() => provider.importSpki(new Uint8Array(30))).toThrow();
  });

  test('keys of one kind do not verify by the scheme of another', () => {
    const [rsa, p256] = [provider.importJwk(KEYS.rsa), provider.importJwk(KEYS.p256)];
    const none = new Uint8Array(64);
    expect(() => provider.verify({ type: 'ecdsa', hash: 'sha256' }, none, none, rsa)).toThrow();
    expect(() => provider.verify({ type: 'ed25519' }, none, none, p256)).toThrow();
    expect(() => provider.verifyDigest({ type: 'rsassa', hash: 'sha256' }, none, none, p256)).toThrow();
  });
});

/** Key pair, and the algorithms that it signs by. */
const PAIRS: readonly (readonly [string, () => { publicKey: KeyObject; privateKey: KeyObject }, AlgorithmName[]])[] = [
  ['P-256', () => generateKeyPairSync('ec', { namedCurve: 'P-256' }), ['ES256', 'ESP256']],
  ['P-384', () => generateKeyPairSync('ec', { namedCurve: 'P-384' }), ['ES384', 'ESP384']],
  ['P-521', () => generateKeyPairSync('ec', { namedCurve: 'P-521' }), ['ES512', 'ESP512']],
  ['Ed25519', () => generateKeyPairSync('ed25519'), ['EdDSA', 'Ed25519']],
  ['RSA', () => generateKeyPairSync('rsa', { modulusLength: 2048 }), ['PS256', 'PS384', 'PS512']],
];
const payload = new TextEncoder().encode('payload');

describe.each(PAIRS)('our own objects by %s', (_, generate, names) => {
  const { publicKey, privateKey } = generate();
  const portableKey = () => portableVerification.importSpki(publicKey.export({ format: 'der', type: 'spki' }));

  test.each(names)('%s verifies by both providers, under no other algorithm', (name) => {
    const signed = signSign1(payload, privateKey, new Map([['v', 1]]), name);
    expect(verifySign1(signed, publicKey)).toMatchObject({
      payload,
      headers: new Map<unknown, unknown>([
        [1, ALGORITHM[name]],
        ['v', 1],
      ]),
    });
    const keys: [Verification, PublicKey][] = [
      [openssl, publicKey],
      [portableVerification, portableKey()],
    ];
    for (const [provider, key] of keys) {
      useVerification(provider);
      verifySign1(signed, key);
      expect(() =>
        verifySign1(
          Uint8Array.from(signed, (byte, at) => (at === signed.length - 1 ? byte ^ 1 : byte)),
          key,
        ),
      ).toThrow(CoseError);
      for (const other of Object.keys(ALGORITHM) as AlgorithmName[]) {
        if (!names.includes(other)) expect(() => schemeFor(ALGORITHM[other], key)).toThrow(CoseError);
      }
    }
  });

  test('the key travels as a COSE_Key of either provider, and names itself', () => {
    const coseKey = encodeCoseKey(privateKey);
    expect(coseKey).toEqual(encodeCoseKey(publicKey));
    const object = signSign1EmbeddingKey(payload, privateKey);
    expect(verifySign1WithEmbeddedKey(object)).toMatchObject({ payload, keyDigest: coseKeyDigest(publicKey) });
    expect((decodeCoseKey(coseKey) as KeyObject).export({ format: 'jwk' })).toEqual(
      publicKey.export({ format: 'jwk' }),
    );
  });
});

describe('headers', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

  test('critical ones must be understood', () => {
    const critical = (label: number | string) =>
      signSign1(
        payload,
        privateKey,
        new Map<number | string, never>([
          [2, [label] as never],
          ['own', 1 as never],
        ]),
      );
    expect(() => readForeignSign1(critical('own'))).toThrow('critical headers not known here');
    expect(() => readForeignSign1(critical('absent'), ['absent'])).toThrow(CoseError);
    expect(verifyForeignSign1(readForeignSign1(critical('own'), ['own']), publicKey).payload).toEqual(payload);
  });

  test('a detached payload is verified where it is given', () => {
    const attached = readForeignSign1(signSign1(payload, privateKey));
    const { payload: _, ...rest } = attached;
    const detached = { ...rest, payload: undefined };
    expect(verifyForeignSign1(detached, publicKey, { detached: payload }).payload).toEqual(payload);
    expect(() => verifyForeignSign1(detached, publicKey)).toThrow('detached');
  });

  test('none may stand outside of the signature of an object of ours', () => {
    const { protectedHeader, signature } = readForeignSign1(signSign1(payload, privateKey));
    const loose = encodeCbor(new Tag([protectedHeader, new Map([[4, Uint8Array.of(1)]]), payload, signature], 18));
    expect(() => verifySign1(loose, publicKey)).toThrow('unprotected headers are not used');
    expect(verifyForeignSign1(readForeignSign1(loose), publicKey).payload).toEqual(payload);
  });

  test('property: hostile bytes are read or refused by a CoseError', () => {
    const good = signSign1(payload, privateKey, new Map([['v', 1]]));
    const edited = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 4 }).map((edits) => {
      const copy = Uint8Array.from(good);
      for (const [at, value] of edits) copy[at] = value;
      return copy;
    });
    const key = verification().importSpki(publicKey.export({ format: 'der', type: 'spki' }));
    fc.assert(
      fc.property(fc.oneof(edited, fc.uint8Array({ maxLength: 80 })), (bytes) => {
        for (const read of [() => verifySign1(bytes, key), () => verifyForeignSign1(readForeignSign1(bytes), key)]) {
          try {
            expect(read().payload).toEqual(payload);
          } catch (error) {
            expect(error).toBeInstanceOf(CoseError);
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});
