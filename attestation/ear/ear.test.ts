/** Attestation results: JSON and CBOR say the same, JWT and CWT verify, and what is wrong is refused by name. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import fc from 'fast-check';
import { SignJWT } from 'jose';
import { describe, expect, test } from 'vitest';
import { encodeCbor } from '../cbor.ts';
import { readForeignSign1 } from '../cose/sign1.ts';
import { decodeEarCbor, encodeEarCbor } from './cbor.ts';
import { EarError, parseEarClaims } from './claims.ts';
import { verifyEarCwt } from './cwt.ts';
import { resultForm, signEarCwt } from './cwt-sign.ts';
import { verifyEarJwt } from './jwt.ts';

const NOW = new Date(1_700_000_100_000);
const good = {
  eat_profile: 'tag:ietf.org,2026:rats/ear#01',
  iss: 'https://verifier.example',
  iat: 1_700_000_000,
  exp: 1_700_000_300,
  eat_nonce: 'AAECAwQFBgc',
  'ear.verifier-id': { developer: 'https://example.com', build: '1' },
  submods: {
    platform: {
      'ear.status': 'warning' as const,
      'ear.trustworthiness-vector': { configuration: 32, hardware: 2 },
      'ear.appraisal-policy-id': 'default/1',
    },
  },
  nexus: { tenant: 'default', failed: ['clock'], partition: { svn: 3, debug: false } },
};

describe('claims', () => {
  test('are the same in CBOR, claims of our own among them', () => {
    expect(decodeEarCbor(encodeEarCbor(parseEarClaims(good)))).toEqual(good);
  });

  test('of the draft read as it has them: ear-cbor-1.diag, with a list of policies and evidence in bytes', () => {
    const example = new Map<number, unknown>([
      [265, 'tag:ietf.org,2026:rats/ear#04'],
      [6, 1666529184],
      [
        1004,
        new Map([
          [0, 'https://veraison-project.org'],
          [1, 'vts 0.0.1'],
        ]),
      ],
      [1002, new TextEncoder().encode('lifeboatman')],
      [
        266,
        {
          PSA: new Map<number, unknown>([
            [1000, 96],
            [
              1001,
              new Map([
                [0, 2],
                [2, 96],
                [4, 2],
              ]),
            ],
            [1003, ['https://veraison.example/policy/1/60a0068d']],
          ]),
        },
      ],
    ]);
    expect(decodeEarCbor(encodeCbor(example as never))).toEqual({
      eat_profile: 'tag:ietf.org,2026:rats/ear#04',
      iat: 1666529184,
      'ear.verifier-id': { developer: 'https://veraison-project.org', build: 'vts 0.0.1' },
      'ear.raw-evidence': Buffer.from('lifeboatman').toString('base64url'),
      submods: {
        PSA: {
          'ear.status': 'contraindicated',
          'ear.trustworthiness-vector': { 'instance-identity': 2, executables: 96, hardware: 2 },
          'ear.appraisal-policy-id': 'https://veraison.example/policy/1/60a0068d',
        },
      },
    });
  });

  test('are refused when the status is better than the vector', () => {
    const better = structuredClone(good);
    better.submods.platform['ear.trustworthiness-vector'].configuration = 96;
    expect(() => parseEarClaims(better)).toThrow(expect.objectContaining({ code: 'ear-status' }));
    const bytes = encodeEarCbor(better as never);
    expect(() => decodeEarCbor(bytes)).toThrow(expect.objectContaining({ code: 'ear-status' }));
  });

  test('are refused without what they must have, and with a name for what has a number', () => {
    for (const name of ['eat_profile', 'iat', 'ear.verifier-id', 'submods'] as const) {
      const { [name]: _, ...rest } = good;
      expect(() => parseEarClaims(rest)).toThrow(EarError);
    }
    expect(() => decodeEarCbor(Uint8Array.of(0xa0))).toThrow(EarError);
    const twice = encodeEarCbor({ ...good, '7': 1 } as never);
    expect(() => decodeEarCbor(twice)).not.toThrow();
    const named = encodeCbor(
      new Map<number | string, never>([
        ['iat', 1 as never],
        [6, 2 as never],
      ]),
    );
    expect(() => decodeEarCbor(named)).toThrow('"iat" has a number');
  });

  test('property: hostile bytes are read or refused by an EarError', () => {
    const bytes = encodeEarCbor(parseEarClaims(good));
    const edited = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { maxLength: 4 }).map((edits) => {
      const copy = Uint8Array.from(bytes);
      for (const [at, value] of edits) copy[at] = value;
      return copy;
    });
    fc.assert(
      fc.property(fc.oneof(edited, fc.uint8Array({ maxLength: 60 })), (input) => {
        try {
          expect(decodeEarCbor(input).submods).toBeDefined();
        } catch (error) {
          expect(error).toBeInstanceOf(EarError);
        }
      }),
      { numRuns: 500 },
    );
  });
});

const KINDS: readonly (readonly [string, () => { publicKey: KeyObject; privateKey: KeyObject }])[] = [
  ['ES256', () => generateKeyPairSync('ec', { namedCurve: 'P-256' })],
  ['ES384', () => generateKeyPairSync('ec', { namedCurve: 'P-384' })],
  ['EdDSA', () => generateKeyPairSync('ed25519')],
  ['PS256', () => generateKeyPairSync('rsa', { modulusLength: 2048 })],
];

describe.each(KINDS)('signed by %s', (algorithm, generate) => {
  const { publicKey, privateKey } = generate();
  const other = generate().publicKey;

  test('a CWT and a JWT say the same', async () => {
    const cwt = signEarCwt(good, privateKey, 'key-1');
    const jwt = await new SignJWT(good as never).setProtectedHeader({ alg: algorithm }).sign(privateKey);
    const jwk = publicKey.export({ format: 'jwk' });
    expect(verifyEarCwt(cwt, publicKey, NOW)).toEqual(good);
    expect(await verifyEarJwt(jwt, jwk as never, NOW)).toEqual(good);
  });

  test('a CWT names its key, and verifies under no other, after no change, and within its dates', () => {
    const cwt = signEarCwt(good, privateKey, 'key-1');
    expect([cwt[0], cwt[1]]).toEqual([0xd8, 61]);
    const asked: unknown[] = [];
    verifyEarCwt(
      cwt,
      (keyId) => {
        asked.push(keyId);
        return publicKey;
      },
      NOW,
    );
    expect(asked).toEqual(['key-1']);
    const refusal = (code: string) => expect.objectContaining({ code });
    expect(() => verifyEarCwt(cwt, () => undefined, NOW)).toThrow(refusal('ear-signature'));
    expect(() => verifyEarCwt(cwt, other, NOW)).toThrow(refusal('ear-signature'));
    const changed = Uint8Array.from(cwt, (byte, at) => (at === cwt.length - 3 ? byte ^ 1 : byte));
    expect(() => verifyEarCwt(changed, publicKey, NOW)).toThrow(refusal('ear-signature'));
    expect(() => verifyEarCwt(cwt, publicKey, new Date(1_700_000_300_000))).toThrow(refusal('ear-time'));
    expect(() => verifyEarCwt(Uint8Array.of(0x80), publicKey, NOW)).toThrow(refusal('ear-signature'));
  });
});

test('a CWT says what it is in its header', () => {
  const { privateKey } = generateKeyPairSync('ed25519');
  const cwt = signEarCwt(good, privateKey, 'key-1');
  expect(readForeignSign1(cwt.subarray(2), [16]).headers.get(16)).toBe('application/eat+cwt');
});

test('claims that are no EAR are not signed', () => {
  const { privateKey } = generateKeyPairSync('ed25519');
  expect(() => signEarCwt({ iat: 1 }, privateKey, 'k')).toThrow(EarError);
});

test('the form of a result is negotiated; JWT is the default', () => {
  expect(resultForm(undefined)).toBe('jwt');
  expect(resultForm('*/*')).toBe('jwt');
  expect(resultForm('application/eat+cwt')).toBe('cwt');
  expect(resultForm('application/eat+jwt, application/eat+cwt;q=0.5')).toBe('jwt');
  expect(resultForm('application/eat+jwt;q=0.1, application/EAT+CWT; q=0.5')).toBe('cwt');
});
