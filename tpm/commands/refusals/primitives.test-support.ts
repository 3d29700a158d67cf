/** Refusals of asymmetric and symmetric primitives, sequences and signing. Part 3, sections 14, 15, 17, 19 and 20. */
import { TPM_ALG, TPM_ECC, TPM_RH, TPM_ST } from '../../structures/index.ts';
import {
  AES_CFB,
  type Bench,
  type Case,
  changed,
  cipher,
  DECRYPT,
  ECDSA,
  EMPTY,
  ecc,
  FIXED,
  HMAC,
  keyedHash,
  NO_HASHCHECK,
  NULL,
  OFF_CURVE,
  ORIGIN,
  POINT,
  RESTRICTED,
  SIGN,
  storage,
  text,
  without,
  XOR,
} from './bench.test-support.ts';

const SHA256 = TPM_ALG.SHA256;
const OAEP = { scheme: TPM_ALG.OAEP, details: { hashAlg: SHA256 } } as const;
const RSAES = { scheme: TPM_ALG.RSAES } as const;
const RSASSA = { scheme: TPM_ALG.RSASSA, details: { hashAlg: SHA256 } } as const;
const ECDAA = (count: number) => ({ scheme: TPM_ALG.ECDAA, details: { hashAlg: SHA256, count } }) as const;
const KDF2 = { scheme: TPM_ALG.KDF2, details: { hashAlg: SHA256 } } as const;
const CBC = { ...AES_CFB, mode: TPM_ALG.CBC } as const;
const HIGH = new Uint8Array(256).fill(255);
const DIGEST: Uint8Array = new Uint8Array(32).fill(5);
const SCALAR = new Uint8Array(32).fill(3);
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

/** The two commands that encrypt, with the parameters' numbers. */
type Encrypt = readonly ['EncryptDecrypt' | 'EncryptDecrypt2', Readonly<Record<'mode' | 'ivIn' | 'inData', Case[2]>>];
const ENCRYPTIONS: readonly Encrypt[] = [
  ['EncryptDecrypt', { mode: 'p2', ivIn: 'p3', inData: 'p4' }],
  ['EncryptDecrypt2', { mode: 'p3', ivIn: 'p4', inData: 'p1' }],
];
const crypt = (
  bench: Bench,
  name: Encrypt[0],
  keyHandle: number,
  what: { mode?: typeof TPM_ALG.CTR; ivIn?: Uint8Array; inData?: Uint8Array } = {},
) =>
  bench.client[name]({
    keyHandle,
    decrypt: false,
    mode: what.mode ?? TPM_ALG.NULL,
    ivIn: what.ivIn ?? new Uint8Array(16),
    inData: what.inData ?? new Uint8Array(16),
  });

const macs: Case[] = (['HMAC', 'HMAC_Start'] as const).flatMap((name): Case[] => {
  const mac = (bench: Bench, handle: number, hashAlg: typeof TPM_ALG.SHA384 | typeof TPM_ALG.NULL = TPM_ALG.NULL) =>
    name === 'HMAC'
      ? bench.client.HMAC({ handle, buffer: text('m'), hashAlg })
      : bench.client.HMAC_Start({ handle, auth: EMPTY, hashAlg });
  return [
    [
      name,
      'ATTRIBUTES',
      'h1',
      'a restricted key',
      async (bench) => mac(bench, await hmacKey(bench, SIGN | RESTRICTED)),
    ],
    [
      name,
      'KEY',
      'h1',
      'the key does not sign',
      async (bench) => mac(bench, await bench.primary(keyedHash(DECRYPT | ORIGIN, XOR))),
    ],
    [name, 'TYPE', 'h1', 'no symmetric key', async (bench) => mac(bench, await bench.primary(ecc(SIGN)))],
    [
      name,
      'VALUE',
      'p2',
      'another hash than the key’s',
      async (bench) => mac(bench, await hmacKey(bench), TPM_ALG.SHA384),
    ],
  ];
});

const hashSequence = async (bench: Bench, hashAlg: typeof TPM_ALG.SHA256 | typeof TPM_ALG.NULL = SHA256) =>
  (await bench.client.HashSequenceStart({ auth: EMPTY, hashAlg })).sequenceHandle;

const sign = (
  bench: Bench,
  keyHandle: number,
  inScheme: Parameters<Bench['client']['Sign']>[0]['inScheme'] = NULL,
  digest = DIGEST,
  validation: Parameters<Bench['client']['Sign']>[0]['validation'] = NO_HASHCHECK,
) => bench.client.Sign({ keyHandle, digest, inScheme, validation });

async function verify(bench: Bench, keyHandle: number) {
  const { signature } = await sign(bench, await bench.primary(ecc(SIGN, { scheme: ECDSA })));
  if (signature.sigAlg !== TPM_ALG.ECDSA) throw new Error('another signature');
  const { signatureS } = signature.signature;
  const forged = {
    sigAlg: TPM_ALG.ECDSA,
    signature: { ...signature.signature, signatureS: changed(signatureS) },
  } as const;
  return bench.client.VerifySignature({ keyHandle, digest: DIGEST, signature: forged });
}

const commit = (bench: Bench, signHandle: number, what: { P1?: typeof POINT; s2?: Uint8Array; y2?: Uint8Array } = {}) =>
  bench.client.Commit({
    signHandle,
    P1: what.P1 ?? { x: EMPTY, y: EMPTY },
    s2: what.s2 ?? EMPTY,
    y2: what.y2 ?? EMPTY,
  });
const daaKey = (bench: Bench) => bench.primary(ecc(SIGN, { scheme: ECDAA(1) }));

const zgen = async (bench: Bench, keyA: number, what: { inQsB?: typeof POINT; inQeB?: typeof POINT } = {}) => {
  const { counter } = await bench.client.EC_Ephemeral({ curveID: TPM_ECC.NIST_P256 });
  return bench.client.ZGen_2Phase({ keyA, inQsB: POINT, inQeB: POINT, inScheme: TPM_ALG.ECDH, counter, ...what });
};

export const primitiveCases: readonly Case[] = [
  ['Sign', 'KEY', 'h1', 'a cipher key', async (bench) => sign(bench, await bench.primary(cipher(SIGN | ORIGIN)))],
  [
    'Sign',
    'TICKET',
    'p3',
    'a restricted key, no ticket, and no digest',
    async (bench) => sign(bench, await bench.primary(ecc(SIGN | RESTRICTED, { scheme: ECDSA })), NULL, text('short')),
  ],
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

  ...ENCRYPTIONS.flatMap(([name, at]): Case[] => [
    [name, 'KEY', 'h1', 'no cipher key', async (bench) => crypt(bench, name, await hmacKey(bench))],
    [
      name,
      'ATTRIBUTES',
      'h1',
      'a restricted key',
      async (bench) => crypt(bench, name, await bench.primary(cipher(DECRYPT | RESTRICTED | ORIGIN))),
    ],
    [
      name,
      'ATTRIBUTES',
      'h1',
      'a key for decryption alone',
      async (bench) => crypt(bench, name, await bench.primary(cipher(DECRYPT | ORIGIN))),
    ],
    [
      name,
      'MODE',
      at.mode,
      'another mode than the key’s',
      async (bench) => crypt(bench, name, await bench.primary(cipher(SIGN | DECRYPT | ORIGIN)), { mode: TPM_ALG.CTR }),
    ],
    [
      name,
      'SIZE',
      at.ivIn,
      'an IV of another size than the block',
      async (bench) =>
        crypt(bench, name, await bench.primary(cipher(SIGN | DECRYPT | ORIGIN)), { ivIn: text('short') }),
    ],
    [
      name,
      'SIZE',
      at.inData,
      'parts of a block',
      async (bench) =>
        crypt(bench, name, await bench.primary(cipher(SIGN | DECRYPT | ORIGIN, CBC)), { inData: text('short') }),
    ],
  ]),
  ...macs,

  [
    'HMAC_Start',
    'OBJECT_MEMORY',
    '',
    'no slot is free',
    async (bench) => {
      const handle = await hmacKey(bench);
      for (let i = 0; i < 2; i++) await hashSequence(bench);
      return bench.client.HMAC_Start({ handle, auth: EMPTY, hashAlg: TPM_ALG.NULL });
    },
  ],
  [
    'HashSequenceStart',
    'OBJECT_MEMORY',
    '',
    'no slot is free',
    async (bench) => {
      for (let i = 0; i < 3; i++) await hashSequence(bench);
      return hashSequence(bench);
    },
  ],
  [
    'SequenceUpdate',
    'MODE',
    'h1',
    'no sequence',
    async (bench) => bench.client.SequenceUpdate({ sequenceHandle: await hmacKey(bench), buffer: EMPTY }),
  ],
  [
    'SequenceComplete',
    'MODE',
    'h1',
    'no sequence',
    async (bench) =>
      bench.client.SequenceComplete({ sequenceHandle: await hmacKey(bench), buffer: EMPTY, hierarchy: TPM_RH.NULL }),
  ],
  [
    'SequenceComplete',
    'MODE',
    'h1',
    'an event sequence',
    async (bench) =>
      bench.client.SequenceComplete({
        sequenceHandle: await hashSequence(bench, TPM_ALG.NULL),
        buffer: EMPTY,
        hierarchy: TPM_RH.NULL,
      }),
  ],
  [
    'EventSequenceComplete',
    'MODE',
    'h2',
    'a hash sequence',
    async (bench) =>
      bench.client.EventSequenceComplete({ pcrHandle: 16, sequenceHandle: await hashSequence(bench), buffer: EMPTY }),
  ],
  [
    'EventSequenceComplete',
    'LOCALITY',
    '',
    'a PCR of another locality',
    async (bench) =>
      bench.client.EventSequenceComplete({
        pcrHandle: 18,
        sequenceHandle: await hashSequence(bench, TPM_ALG.NULL),
        buffer: EMPTY,
      }),
  ],

  [
    'Commit',
    'ECC_POINT',
    'p1',
    'a point off the curve',
    async (bench) => commit(bench, await daaKey(bench), { P1: OFF_CURVE }),
  ],
  [
    'Commit',
    'ECC_POINT',
    'p2',
    'a derived point off the curve',
    async (bench) => commit(bench, await daaKey(bench), { s2: text('base'), y2: POINT.y }),
  ],
  [
    'Commit',
    'HASH',
    'h1',
    'the key has no name algorithm',
    async (bench) => {
      const area = { ...without(ecc(SIGN, { scheme: ECDAA(1) }), ORIGIN), nameAlg: TPM_ALG.NULL };
      const inPublic = { ...area, unique: bench.client.crypto.ecPublic(TPM_ECC.NIST_P256, SCALAR) };
      const inPrivate = { sensitiveType: TPM_ALG.ECC, authValue: EMPTY, seedValue: EMPTY, sensitive: SCALAR } as const;
      const { objectHandle } = await bench.client.LoadExternal({ inPrivate, inPublic, hierarchy: TPM_RH.NULL });
      return commit(bench, objectHandle, { s2: text('base'), y2: POINT.y });
    },
  ],
  ['Commit', 'KEY', 'h1', 'no ECC key', async (bench) => commit(bench, await hmacKey(bench))],
  [
    'Commit',
    'SCHEME',
    'h1',
    'a scheme that is not anonymous',
    async (bench) => commit(bench, await bench.primary(ecc(SIGN, { scheme: ECDSA }))),
  ],
  ['Commit', 'SIZE', 'p3', 's2 without y2', async (bench) => commit(bench, await daaKey(bench), { s2: text('base') })],
  ['Commit', 'SIZE', 'p3', 'y2 without s2', async (bench) => commit(bench, await daaKey(bench), { y2: POINT.y })],

  [
    'VerifySignature',
    'ATTRIBUTES',
    'h1',
    'the key does not sign',
    async (bench) => verify(bench, await bench.primary(ecc(DECRYPT))),
  ],
  [
    'VerifySignature',
    'SIGNATURE',
    'p2',
    'a forged one',
    async (bench) => verify(bench, await bench.primary(ecc(SIGN, { scheme: ECDSA }))),
  ],
  [
    'VerifySignature',
    'SCHEME',
    'p2',
    'an ECC signature by an RSA key',
    async (bench) => verify(bench, await bench.rsaKey(SIGN)),
  ],
  [
    'VerifySignature',
    'HANDLE',
    'p2',
    'an HMAC key without its secret',
    async (bench) => {
      const keyHandle = await bench.publicOnly({ ...keyedHash(SIGN, HMAC), unique: DIGEST });
      const signature = { sigAlg: TPM_ALG.HMAC, signature: { hashAlg: SHA256, digest: DIGEST } } as const;
      return bench.client.VerifySignature({ keyHandle, digest: DIGEST, signature });
    },
  ],
  ['Sign', 'KEY', 'h1', 'the key does not sign', async (bench) => sign(bench, await bench.primary(ecc(DECRYPT)))],
  [
    'Sign',
    'SCHEME',
    'p2',
    'neither key nor caller names one',
    async (bench) => sign(bench, await bench.primary(ecc(SIGN))),
  ],
  [
    'Sign',
    'SCHEME',
    'p2',
    'another than the key’s',
    async (bench) =>
      sign(bench, await bench.primary(ecc(SIGN, { scheme: ECDSA })), {
        ...ECDSA,
        details: { hashAlg: TPM_ALG.SHA384 },
      }),
  ],
  ['Sign', 'SCHEME', 'p2', 'an RSA scheme for an HMAC key', async (bench) => sign(bench, await hmacKey(bench), RSASSA)],
  [
    'Sign',
    'SIZE',
    'p1',
    'no digest of the scheme',
    async (bench) => sign(bench, await bench.primary(ecc(SIGN, { scheme: ECDSA })), NULL, text('short')),
  ],
  [
    'Sign',
    'TICKET',
    'p3',
    'a restricted key, and no ticket',
    async (bench) => sign(bench, await bench.primary(ecc(SIGN | RESTRICTED, { scheme: ECDSA }))),
  ],
  [
    'Sign',
    'TICKET',
    'p3',
    'a ticket of another digest',
    async (bench) =>
      sign(bench, await bench.primary(ecc(SIGN | RESTRICTED, { scheme: ECDSA })), NULL, DIGEST, {
        tag: TPM_ST.HASHCHECK,
        hierarchy: TPM_RH.OWNER,
        digest: DIGEST,
      }),
  ],
  ['Sign', 'VALUE', '', 'a counter of no commit', async (bench) => sign(bench, await daaKey(bench), ECDAA(77))],
];
