/** Refusals of symmetric primitives and sequences. Part 3, sections 15 and 17. */
import { TPM_ALG, TPM_RH } from '../../structures/index.ts';
import {
  AES_CFB,
  type Bench,
  type Case,
  cipher,
  DECRYPT,
  EMPTY,
  ecc,
  HMAC,
  keyedHash,
  ORIGIN,
  RESTRICTED,
  SIGN,
  text,
  XOR,
} from './bench.test-support.ts';

const SHA256 = TPM_ALG.SHA256;
const CBC = { ...AES_CFB, mode: TPM_ALG.CBC } as const;

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

export const symmetricCases: readonly Case[] = [
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
];
