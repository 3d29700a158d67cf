/** Refusals of asymmetric primitives. Part 3, section 14. */
import { TPM_ALG, TPM_ECC } from '../../structures/index.ts';
import {
  type Bench,
  type Case,
  DECRYPT,
  EMPTY,
  ecc,
  FIXED,
  HMAC,
  keyedHash,
  NULL,
  OFF_CURVE,
  ORIGIN,
  POINT,
  SIGN,
  storage,
  text,
} from './bench.test-support.ts';

const SHA256 = TPM_ALG.SHA256;
const OAEP = { scheme: TPM_ALG.OAEP, details: { hashAlg: SHA256 } } as const;
const RSAES = { scheme: TPM_ALG.RSAES } as const;
const KDF2 = { scheme: TPM_ALG.KDF2, details: { hashAlg: SHA256 } } as const;
const HIGH = new Uint8Array(256).fill(255);
const DIGEST: Uint8Array = new Uint8Array(32).fill(5);
const LABEL = text('no zero');

const encrypt = (
  bench: Bench,
  keyHandle: number,
  message = text('m'),
  inScheme: typeof NULL | typeof OAEP | typeof RSAES = NULL,
  label = EMPTY,
) => bench.client.RSA_Encrypt({ keyHandle, message, inScheme, label });
const decrypt = (
  bench: Bench,
  keyHandle: number,
  cipherText: Uint8Array = new Uint8Array(256),
  inScheme: typeof NULL | typeof OAEP | typeof RSAES = NULL,
  label = EMPTY,
) => bench.client.RSA_Decrypt({ keyHandle, cipherText, inScheme, label });

const hmacKey = (bench: Bench, attributes: number = SIGN) => bench.primary(keyedHash(attributes | ORIGIN, HMAC));

const zgen = async (bench: Bench, keyA: number, what: { inQsB?: typeof POINT; inQeB?: typeof POINT } = {}) => {
  const { counter } = await bench.client.EC_Ephemeral({ curveID: TPM_ECC.NIST_P256 });
  return bench.client.ZGen_2Phase({ keyA, inQsB: POINT, inQeB: POINT, inScheme: TPM_ALG.ECDH, counter, ...what });
};

export const asymmetricCases: readonly Case[] = [
  [
    'ZGen_2Phase',
    'SCHEME',
    'p3',
    'no scheme of key exchange',
    async (bench) => {
      const args = { keyA: await bench.primary(ecc(DECRYPT)), inQsB: POINT, inQeB: POINT, counter: 77 };
      return bench.raw('ZGen_2Phase', args, { inScheme: Uint8Array.of(0, TPM_ALG.ECDSA) });
    },
  ],
  [
    'RSA_Encrypt',
    'ATTRIBUTES',
    'h1',
    'the key does not decrypt',
    async (bench) => encrypt(bench, await bench.rsaKey(SIGN)),
  ],
  ['RSA_Encrypt', 'KEY', 'h1', 'no RSA key', async (bench) => encrypt(bench, await bench.primary(ecc(DECRYPT)))],
  [
    'RSA_Encrypt',
    'SCHEME',
    'p2',
    'another scheme than the key’s',
    async (bench) => encrypt(bench, await bench.rsaKey(DECRYPT, RSAES), text('m'), OAEP),
  ],
  [
    'RSA_Encrypt',
    'VALUE',
    'p1',
    'a number above the modulus',
    async (bench) => encrypt(bench, await bench.rsaKey(DECRYPT), HIGH),
  ],
  [
    'RSA_Encrypt',
    'VALUE',
    'p1',
    'a message too long for its padding',
    async (bench) => encrypt(bench, await bench.rsaKey(DECRYPT), new Uint8Array(250), RSAES),
  ],
  [
    'RSA_Encrypt',
    'VALUE',
    'p3',
    'a label without a zero',
    async (bench) => encrypt(bench, await bench.rsaKey(DECRYPT), text('m'), OAEP, LABEL),
  ],
  [
    'RSA_Decrypt',
    'ATTRIBUTES',
    'h1',
    'the key does not decrypt',
    async (bench) => decrypt(bench, await bench.rsaKey(SIGN)),
  ],
  ['RSA_Decrypt', 'KEY', 'h1', 'no RSA key', async (bench) => decrypt(bench, await bench.primary(ecc(DECRYPT)))],
  [
    'RSA_Decrypt',
    'SCHEME',
    'p2',
    'another scheme than the key’s',
    async (bench) => decrypt(bench, await bench.rsaKey(DECRYPT, RSAES), HIGH, OAEP),
  ],
  [
    'RSA_Decrypt',
    'SIZE',
    'p1',
    'another size than the modulus',
    async (bench) => decrypt(bench, await bench.rsaKey(DECRYPT), text('short')),
  ],
  [
    'RSA_Decrypt',
    'VALUE',
    'p1',
    'a number above the modulus',
    async (bench) => decrypt(bench, await bench.rsaKey(DECRYPT), HIGH),
  ],
  [
    'RSA_Decrypt',
    'VALUE',
    'p1',
    'other padding',
    async (bench) => decrypt(bench, await bench.rsaKey(DECRYPT), new Uint8Array(256).fill(1), OAEP),
  ],
  [
    'RSA_Decrypt',
    'VALUE',
    'p3',
    'a label without a zero',
    async (bench) => decrypt(bench, await bench.rsaKey(DECRYPT), HIGH, OAEP, LABEL),
  ],
  [
    'ECDH_KeyGen',
    'KEY',
    'h1',
    'no ECC key',
    async (bench) => bench.client.ECDH_KeyGen({ keyHandle: await hmacKey(bench) }),
  ],
  [
    'ECDH_ZGen',
    'ATTRIBUTES',
    'h1',
    'the key does not decrypt',
    async (bench) => bench.client.ECDH_ZGen({ keyHandle: await bench.primary(ecc(SIGN)), inPoint: POINT }),
  ],
  [
    'ECDH_ZGen',
    'ATTRIBUTES',
    'h1',
    'a restricted key',
    async (bench) => bench.client.ECDH_ZGen({ keyHandle: await bench.primary(storage(FIXED)), inPoint: POINT }),
  ],
  [
    'ECDH_ZGen',
    'KEY',
    'h1',
    'no ECC key',
    async (bench) => bench.client.ECDH_ZGen({ keyHandle: await bench.rsaKey(DECRYPT), inPoint: POINT }),
  ],
  [
    'ECDH_ZGen',
    'ECC_POINT',
    'p1',
    'a point off the curve',
    async (bench) => bench.client.ECDH_ZGen({ keyHandle: await bench.primary(ecc(DECRYPT)), inPoint: OFF_CURVE }),
  ],
  [
    'ZGen_2Phase',
    'ATTRIBUTES',
    'h1',
    'the key does not decrypt',
    async (bench) => zgen(bench, await bench.primary(ecc(SIGN))),
  ],
  [
    'ZGen_2Phase',
    'ECC_POINT',
    'p1',
    'a static point off the curve',
    async (bench) => zgen(bench, await bench.primary(ecc(DECRYPT)), { inQsB: OFF_CURVE }),
  ],
  [
    'ZGen_2Phase',
    'ECC_POINT',
    'p2',
    'an ephemeral point off the curve',
    async (bench) => zgen(bench, await bench.primary(ecc(DECRYPT)), { inQeB: OFF_CURVE }),
  ],
  ['ZGen_2Phase', 'KEY', 'h1', 'no ECC key', async (bench) => zgen(bench, await bench.rsaKey(DECRYPT))],
  [
    'ZGen_2Phase',
    'VALUE',
    'p4',
    'a counter of no ephemeral key',
    async (bench) => {
      const keyA = await bench.primary(ecc(DECRYPT));
      return bench.client.ZGen_2Phase({ keyA, inQsB: POINT, inQeB: POINT, inScheme: TPM_ALG.ECDH, counter: 77 });
    },
  ],
  [
    'ECC_Encrypt',
    'ATTRIBUTES',
    'h1',
    'a restricted key',
    async (bench) =>
      bench.client.ECC_Encrypt({
        keyHandle: await bench.primary(storage(FIXED)),
        plainText: text('m'),
        inScheme: KDF2,
      }),
  ],
  [
    'ECC_Encrypt',
    'KEY',
    'h1',
    'no ECC key',
    async (bench) =>
      bench.client.ECC_Encrypt({ keyHandle: await hmacKey(bench), plainText: text('m'), inScheme: KDF2 }),
  ],
  ...(
    [
      ['ATTRIBUTES', 'h1', 'a restricted key', (bench: Bench) => bench.primary(storage(FIXED)), KDF2],
      ['KEY', 'h1', 'no ECC key', hmacKey, KDF2],
      ['SCHEME', 'p4', 'no scheme', (bench: Bench) => bench.primary(ecc(DECRYPT)), NULL],
      ['VALUE', '', 'not what was encrypted', (bench: Bench) => bench.primary(ecc(DECRYPT)), KDF2],
    ] as const
  ).map(
    ([code, at, why, key, inScheme]): Case => [
      'ECC_Decrypt',
      code,
      at,
      why,
      async (bench) =>
        bench.client.ECC_Decrypt({ keyHandle: await key(bench), C1: POINT, C2: text('m'), C3: DIGEST, inScheme }),
    ],
  ),
];
