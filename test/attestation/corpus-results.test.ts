/** EAR and EAT files of the corpus: good ones are read and verified where their key travels with them, bad ones refused. */
import { createHash } from 'node:crypto';
import { importJWK, type JWK } from 'jose';
import { describe, expect, test } from 'vitest';
import { decodeEarCbor, encodeEarCbor } from '../../attestation/ear/cbor.ts';
import { type EarError, parseEarClaims } from '../../attestation/ear/claims.ts';
import { verifyEarJwt } from '../../attestation/ear/jwt.ts';
import {
  checkDetached,
  cwtContent,
  EatClaimsError,
  readBundle,
  readEatCbor,
  readEatJson,
} from '../../attestation/eat-claims.ts';
import { corpusBytes, corpusFiles, corpusIsThere, corpusText, WHY_SKIPPED } from './corpus.ts';

const ears = corpusFiles('ear');
const eats = corpusFiles('eat');
const jsonEars = ears.filter(({ path }) => path.endsWith('.json'));
const jwts = ears.filter(({ path }) => path.endsWith('.jwt'));
const part = (token: string, index: number) =>
  JSON.parse(Buffer.from(token.split('.')[index] ?? '', 'base64url').toString());

/** What the claims of each token are, read without its key. Three are of an older draft, from before EAR was an EAT. */
const CLAIMS_REFUSED: Readonly<Record<string, string>> = {
  'ear_test.go.extracted/token1.jwt': 'ear-claims',
  'ear_test.go.extracted/token2.jwt': 'ear-claims',
  'ear_test.go.extracted/token3.jwt': 'ear-claims',
};

/** Submodules of the examples that have some. */
const SUBMODULES = { 'A.1.2': 2, 'A.1.4': 1, 'A.1.5': 1, 'A.1.7': 4, 'A.2.2': 1 } as const;

describe.skipIf(!corpusIsThere)(
  `results of the corpus (${corpusIsThere ? ears.length + eats.length : WHY_SKIPPED})`,
  () => {
    test.each(jsonEars)('$name is as it says of itself', ({ path }) => {
      const read = () => parseEarClaims(JSON.parse(corpusText(path)));
      if (path.endsWith('-ko.json')) expect(read).toThrow(expect.objectContaining({ code: 'ear-claims' }));
      else {
        expect(Object.keys(read().submods).length).toBe(1);
        // What they say is the same in CBOR.
        expect(decodeEarCbor(encodeEarCbor(read()))).toEqual(read());
      }
    });

    test.each(jwts)('the claims of $name are read, or refused by name', ({ path, name }) => {
      const code = CLAIMS_REFUSED[name];
      const read = () => parseEarClaims(part(corpusText(path).trim(), 1));
      if (code === undefined) expect(read()).toMatchObject({ 'ear.verifier-id': {} });
      else expect(read).toThrow(expect.objectContaining({ code }));
    });

    test.each(jwts)(
      '$name verifies under the key in its header, if it has one that made it, and no other',
      async ({ path }) => {
        const token = corpusText(path).trim();
        const { jwk, alg } = part(token, 0) as { jwk?: JWK; alg: string };
        const other = await importJWK(OTHER_KEY, 'ES256');
        await expect(verifyEarJwt(token, other as never, NOW)).rejects.toMatchObject({ code: 'ear-signature' });
        if (jwk === undefined) return;
        const verdict = await verifyEarJwt(token, (await importJWK(jwk, alg)) as never, NOW).catch(
          (error: EarError) => error.code,
        );
        expect(verdict).not.toBe('ear-signature');
      },
    );

    test.each(eats.filter(({ path }) => path.includes('claims_set')))('$name is read', ({ path }) => {
      const { claims, submods } = path.endsWith('.json')
        ? readEatJson(corpusText(path))
        : readEatCbor(corpusBytes(path));
      expect(claims.get('eat_nonce')).toBeDefined();
      const expected = Object.entries(SUBMODULES).find(([example]) => path.includes(example))?.[1] ?? 0;
      expect(submods.size).toBe(expected);
    });

    test('RFC 9711 A.2.1, a CWT, holds claims of a device', () => {
      const { tag, parts } = cwtContent(corpusBytes(eats.find(({ path }) => path.includes('A.2.1'))?.path ?? ''));
      expect(tag).toBe(18);
      expect(readEatCbor(parts[2] as Uint8Array).claims.get('oemboot')).toBe(true);
    });

    // Errors of the RFC's own examples: neither digest in the tokens is of the claims that travel with them.
    test.each(eats.filter(({ path }) => path.includes('bundle')))(
      '$name: its detached claims are refused by their digests',
      ({ path }) => {
        const bundle = readBundle(corpusBytes(path));
        const claims =
          typeof bundle.token === 'string'
            ? readEatJson(Buffer.from(bundle.token.split('.')[1] ?? '', 'base64url').toString())
            : readEatCbor(cwtContent(bundle.token).parts[2] as Uint8Array);
        expect(() => checkDetached(claims, bundle)).toThrow(expect.objectContaining({ code: 'eat-digest' }));
      },
    );
  },
);

const NOW = new Date('2025-07-10T00:00:00Z');
const OTHER_KEY: JWK = {
  kty: 'EC',
  crv: 'P-256',
  // RFC 7515, appendix A.3.
  x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
  y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
};

describe('detached claims', () => {
  const detached = new Map([['part', Uint8Array.of(0xa0)]]);
  const digest = Uint8Array.from(createHash('sha256').update(Uint8Array.of(0xa0)).digest());
  const token = (value: Uint8Array) => ({
    claims: new Map(),
    submods: new Map([['part', { algorithm: 'SHA-256', digest: value }]]),
  });

  test('pass when the token has their digest, and only then', () => {
    expect(() => checkDetached(token(digest), { detached })).not.toThrow();
    expect(() => checkDetached(token(new Uint8Array(32)), { detached })).toThrow(EatClaimsError);
    expect(() => checkDetached({ claims: new Map(), submods: new Map() }, { detached })).toThrow(EatClaimsError);
  });
});
