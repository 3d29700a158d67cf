/** Refusals to make objects. Part 3, sections 12.1, 12.9 and 24.1. */
import {
  encode,
  TPM_ALG,
  TPM_RH,
  TPM2B_PUBLIC,
  TPMA_OBJECT,
  TPMT_PUBLIC,
  TPMT_PUBLIC_DERIVE,
} from '../../structures/index.ts';
import {
  AES_CFB,
  type Bench,
  type Case,
  cipher,
  DECRYPT,
  ECDSA,
  EMPTY,
  ecc,
  FIXED,
  FIXED_PARENT,
  FIXED_TPM,
  HMAC,
  keyedHash,
  NO_SYMMETRIC,
  ORIGIN,
  RESTRICTED,
  rsa,
  SIGN,
  storage,
  text,
  without,
  XOR,
} from './bench.test-support.ts';

const KDF = { scheme: TPM_ALG.KDF1_SP800_56A, details: { hashAlg: TPM_ALG.SHA256 } } as const;
const FIVE = text('short');
const LONG_AUTH = new Uint8Array(33).fill(7);
const oddExponent = rsa(SIGN);
oddExponent.parameters.exponent = 3;
const small = rsa(SIGN);
small.parameters.keyBits = 1024;

/** Fill three slots. */
async function crowd(bench: Bench, slots = 3): Promise<number[]> {
  const handles: number[] = [];
  for (let i = 0; i < slots; i++) handles.push(await bench.primary(storage(FIXED)));
  return handles;
}

/** A template under each of the three commands that make objects. */
type Maker = readonly [
  'Create' | 'CreatePrimary' | 'CreateLoaded',
  (bench: Bench, area: TPMT_PUBLIC) => Promise<unknown>,
];
const MAKERS: readonly Maker[] = [
  ['Create', async (bench, area) => bench.create(await bench.primary(storage(FIXED)), area)],
  ['CreatePrimary', (bench, area) => bench.createPrimary(area)],
  [
    'CreateLoaded',
    async (bench, area) => createLoaded(bench, await bench.primary(storage(FIXED)), encode(TPMT_PUBLIC, area)),
  ],
];

const createLoaded = (bench: Bench, parentHandle: number, inPublic: Uint8Array, userAuth = EMPTY, data = EMPTY) =>
  bench.client.CreateLoaded({ parentHandle, inSensitive: { userAuth, data }, inPublic });

const TEMPLATES: readonly (readonly [Case[1], string, TPMT_PUBLIC])[] = [
  ['ATTRIBUTES', 'restricted to neither use', ecc(RESTRICTED)],
  ['ATTRIBUTES', 'restricted to both uses', ecc(RESTRICTED | SIGN | DECRYPT)],
  ['ATTRIBUTES', 'a key for nothing', ecc(0)],
  ['ATTRIBUTES', 'fixedTPM without fixedParent', ecc(SIGN | FIXED_TPM)],
  ['ATTRIBUTES', 'fixedParent without fixedTPM under a fixed parent', ecc(SIGN | FIXED_PARENT)],
  ['ATTRIBUTES', 'fixed, yet to be duplicated encrypted', ecc(SIGN | FIXED | TPMA_OBJECT.encryptedDuplication)],
  ['ATTRIBUTES', 'an asymmetric key of the caller', without(ecc(SIGN), ORIGIN)],
  ['ATTRIBUTES', 'the TPM is to invent sealed data', keyedHash(ORIGIN)],
  ['ATTRIBUTES', 'no data, and the TPM is not to invent it', keyedHash(SIGN, HMAC)],
  ['KDF', 'a key derivation in an ECC key', ecc(DECRYPT, { kdf: KDF })],
  ['SCHEME', 'a restricted signing key without a scheme', ecc(SIGN | RESTRICTED)],
  ['SCHEME', 'a scheme in a key of both uses', ecc(SIGN | DECRYPT, { scheme: ECDSA })],
  ['SCHEME', 'a signing scheme in a decryption key', ecc(DECRYPT, { scheme: ECDSA })],
  [
    'SCHEME',
    'a scheme in a storage key',
    storage(FIXED, { scheme: { scheme: TPM_ALG.ECDH, details: { hashAlg: TPM_ALG.SHA256 } } }),
  ],
  ['SCHEME', 'HMAC in a decryption key', keyedHash(DECRYPT | ORIGIN, HMAC)],
  ['SCHEME', 'XOR in a signing key', keyedHash(SIGN | ORIGIN, XOR)],
  ['SCHEME', 'a scheme in a key of both uses', keyedHash(SIGN | DECRYPT | ORIGIN, HMAC)],
  ['SCHEME', 'no scheme in an HMAC key', keyedHash(SIGN | ORIGIN)],
  ['SCHEME', 'no scheme in an XOR key', keyedHash(DECRYPT | ORIGIN)],
  [
    'SCHEME',
    'a derivation parent of another key derivation',
    keyedHash(DECRYPT | RESTRICTED | ORIGIN, { ...XOR, details: { ...XOR.details, kdf: TPM_ALG.MGF1 } }),
  ],
  ['ATTRIBUTES', 'a parent whose secret is the caller’s, yet fixed', cipher(DECRYPT | RESTRICTED | FIXED)],
  ['ATTRIBUTES', 'a cipher key for nothing', cipher(ORIGIN)],
  ['SCHEME', 'a MAC mode in a cipher key', cipher(DECRYPT | ORIGIN, { ...AES_CFB, mode: TPM_ALG.CMAC })],
  ['SIZE', 'a policy of no digest', ecc(SIGN, { authPolicy: FIVE })],
  ['SYMMETRIC', 'a storage key without symmetric algorithm', storage(FIXED, { symmetric: NO_SYMMETRIC })],
  ['SYMMETRIC', 'a symmetric algorithm in a signing key', ecc(SIGN, { symmetric: AES_CFB })],
];

const creations: Case[] = MAKERS.flatMap(([name, make]) => [
  ...TEMPLATES.map(([code, why, area]): Case => [name, code, 'p2', why, (bench) => make(bench, area)]),
  [name, 'RANGE', 'p2', 'an exponent that is not offered', (bench) => make(bench, oddExponent)],
  [name, 'VALUE', 'p2', 'RSA of 1024 bits', (bench) => make(bench, small)],
]);

/** CreatePrimary of a template of a type that there is not. */
const unknownType = () => {
  const inPublic = encode(TPM2B_PUBLIC, ecc(SIGN));
  inPublic[3] = 0x7f; // after the size: the type's low octet
  const inSensitive = { userAuth: EMPTY, data: EMPTY };
  return [{ inSensitive, outsideInfo: EMPTY, creationPCR: [] }, { inPublic }] as const;
};

export const creationCases: readonly Case[] = [
  [
    'Create',
    'ATTRIBUTES',
    'p2',
    'data, and the TPM is to make the secret',
    async (bench) => bench.create(await bench.primary(storage(FIXED)), ecc(SIGN), FIVE),
  ],
  ...creations,
  [
    'Create',
    'TYPE',
    'p2',
    'an unknown type',
    async (bench) => {
      const parentHandle = await bench.primary(storage(FIXED));
      const [args, octets] = unknownType();
      return bench.raw('Create', { parentHandle, ...args }, octets);
    },
  ],
  [
    'CreatePrimary',
    'TYPE',
    'p2',
    'an unknown type',
    (bench) => {
      const [args, octets] = unknownType();
      return bench.raw('CreatePrimary', { primaryHandle: TPM_RH.OWNER, ...args }, octets);
    },
  ],
  [
    'Create',
    'HASH',
    'p2',
    'a fixed storage key whose name algorithm is not its parent’s',
    async (bench) => bench.create(await bench.primary(storage(FIXED)), storage(FIXED, { nameAlg: TPM_ALG.SHA384 })),
  ],
  [
    'Create',
    'SYMMETRIC',
    'p2',
    'a fixed storage key whose symmetric algorithm is not its parent’s',
    async (bench) =>
      bench.create(await bench.primary(storage(FIXED)), storage(FIXED, { symmetric: { ...AES_CFB, keyBits: 256 } })),
  ],
  [
    'Create',
    'KEY_SIZE',
    'p1',
    'a cipher key of another size',
    async (bench) => bench.create(await bench.primary(storage(FIXED)), cipher(DECRYPT), FIVE),
  ],
  [
    'Create',
    'SIZE',
    'p1',
    'an authorisation value longer than the name algorithm’s digest',
    async (bench) => bench.create(await bench.primary(storage(FIXED)), ecc(SIGN), EMPTY, LONG_AUTH),
  ],
  [
    'Create',
    'TYPE',
    'h1',
    'the parent is none',
    async (bench) => bench.create(await bench.primary(ecc(SIGN)), ecc(SIGN)),
  ],
  [
    'CreatePrimary',
    'SIZE',
    'p1',
    'an authorisation value longer than the name algorithm’s digest',
    (bench) => bench.createPrimary(ecc(SIGN), EMPTY, TPM_RH.OWNER, LONG_AUTH),
  ],
  [
    'CreatePrimary',
    'OBJECT_MEMORY',
    '',
    'no slot is free',
    async (bench) => {
      await crowd(bench);
      return bench.createPrimary(ecc(SIGN));
    },
  ],
  [
    'CreateLoaded',
    'OBJECT_MEMORY',
    '',
    'no slot is free',
    async (bench) => {
      const [parent = 0] = await crowd(bench);
      return createLoaded(bench, parent, encode(TPMT_PUBLIC, ecc(SIGN)));
    },
  ],
  [
    'CreateLoaded',
    'SIZE',
    'p1',
    'an authorisation value longer than the name algorithm’s digest',
    async (bench) =>
      createLoaded(bench, await bench.primary(storage(FIXED)), encode(TPMT_PUBLIC, ecc(SIGN)), LONG_AUTH),
  ],
  [
    'CreateLoaded',
    'TYPE',
    'p2',
    'an RSA key cannot be derived',
    async (bench) => {
      const parent = await bench.primary(keyedHash(DECRYPT | RESTRICTED | FIXED | ORIGIN, XOR));
      const area = { ...without(rsa(SIGN | FIXED), ORIGIN), unique: { label: FIVE, context: EMPTY } };
      return createLoaded(bench, parent, encode(TPMT_PUBLIC_DERIVE, area));
    },
  ],
  [
    'CreateLoaded',
    'TYPE',
    'h1',
    'the parent is none',
    async (bench) => createLoaded(bench, await bench.primary(ecc(SIGN)), encode(TPMT_PUBLIC, ecc(SIGN))),
  ],
];
