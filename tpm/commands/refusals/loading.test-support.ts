/** Refusals to load objects. Part 3, sections 12.2 to 12.4. */
import {
  encode,
  objectName,
  TPM_ALG,
  TPM_ECC,
  TPM_RH,
  TPM2B_SENSITIVE,
  type TPMT_PUBLIC,
  type TPMT_SENSITIVE,
} from '../../structures/index.ts';
import { wrap } from '../protection.ts';
import {
  AES_CFB,
  type Bench,
  type Case,
  changed,
  DECRYPT,
  ECDSA,
  EMPTY,
  ecc,
  FIXED,
  HMAC,
  keyedHash,
  NO_SYMMETRIC,
  OFF_CURVE,
  ORIGIN,
  RESTRICTED,
  rsa,
  SIGN,
  storage,
  text,
  without,
} from './bench.test-support.ts';

const KDF = { scheme: TPM_ALG.KDF1_SP800_56A, details: { hashAlg: TPM_ALG.SHA256 } } as const;
const FIVE = text('short');
const NOT_A_HASH = TPM_ALG.NULL as typeof TPM_ALG.SHA256; // what the type forbids, and the wire does not

const SCALAR = new Uint8Array(32).fill(3);
const SEED = new Uint8Array(32).fill(9);

/** Fill three slots. */
async function crowd(bench: Bench, slots = 3): Promise<number[]> {
  const handles: number[] = [];
  for (let i = 0; i < slots; i++) handles.push(await bench.primary(storage(FIXED)));
  return handles;
}

/** A storage parent whose seed is known, so that whatever private area can be made for it. */
async function openParent(bench: Bench) {
  const { client } = bench;
  const above = await bench.primary(storage());
  const area = { ...without(storage(), ORIGIN), unique: client.crypto.ecPublic(TPM_ECC.NIST_P256, SCALAR) };
  const secret = { sensitiveType: TPM_ALG.ECC, authValue: EMPTY, seedValue: SEED, sensitive: SCALAR } as const;
  const { outPrivate } = await client.Import({
    parentHandle: above,
    encryptionKey: EMPTY,
    objectPublic: area,
    duplicate: encode(TPM2B_SENSITIVE, secret),
    inSymSeed: EMPTY,
    symmetricAlg: NO_SYMMETRIC,
  });
  const { objectHandle } = await bench.load(above, { outPrivate, outPublic: area });
  await bench.flush(above);
  return { handle: objectHandle, protector: { hashAlg: TPM_ALG.SHA256, seed: SEED, symmetric: AES_CFB } };
}

const hmacSecret = { sensitiveType: TPM_ALG.KEYEDHASH, authValue: EMPTY, seedValue: SEED, sensitive: FIVE } as const;
const eccSecret = { sensitiveType: TPM_ALG.ECC, authValue: EMPTY, seedValue: EMPTY, sensitive: SCALAR } as const;

/** Load what its parent never made: with a right integrity value, so that the checks behind it are met. */
async function loadForged(
  bench: Bench,
  area: TPMT_PUBLIC,
  secret: TPMT_SENSITIVE | Uint8Array = eccSecret,
  iv: Uint8Array = new Uint8Array(16),
) {
  const { handle, protector } = await openParent(bench);
  const unique = area.type === TPM_ALG.ECC ? bench.client.crypto.ecPublic(TPM_ECC.NIST_P256, SCALAR) : area.unique;
  const inPublic = { ...area, unique } as TPMT_PUBLIC; // of its type still
  const clear = secret instanceof Uint8Array ? secret : encode(TPM2B_SENSITIVE, secret);
  const inPrivate = wrap(bench.client, protector, objectName(inPublic), clear, iv);
  return bench.client.Load({ parentHandle: handle, inPrivate, inPublic });
}

const external = (bench: Bench, inPublic: TPMT_PUBLIC, inPrivate?: TPMT_SENSITIVE, hierarchy: number = TPM_RH.NULL) =>
  bench.client.LoadExternal({ inPrivate, inPublic, hierarchy: hierarchy as typeof TPM_RH.NULL }); // one of them
const own = (area: ReturnType<typeof ecc>, bench: Bench) => ({
  ...without(area, ORIGIN),
  unique: bench.client.crypto.ecPublic(TPM_ECC.NIST_P256, SCALAR),
});

export const loadingCases: readonly Case[] = [
  ['LoadExternal', 'KEY', 'p2', 'no point', (bench) => external(bench, ecc(SIGN))],
  ['LoadExternal', 'KEY', 'p2', 'no digest of the secret', (bench) => external(bench, keyedHash(SIGN, HMAC))],
  ['Load', 'ATTRIBUTES', 'p2', 'fixedTPM under a parent that is not', (bench) => loadForged(bench, ecc(SIGN | FIXED))],
  [
    'Load',
    'BINDING',
    'p1',
    'the public area is of another secret',
    (bench) => loadForged(bench, { ...keyedHash(SIGN, HMAC), unique: new Uint8Array(32) }, hmacSecret),
  ],
  [
    'Load',
    'HASH',
    'p2',
    'no name algorithm',
    async (bench) => {
      const parent = await bench.primary(storage(FIXED));
      return bench.load(parent, { outPrivate: FIVE, outPublic: ecc(SIGN, { nameAlg: NOT_A_HASH }) });
    },
  ],
  [
    'Load',
    'INTEGRITY',
    'p1',
    'the private area was changed',
    async (bench) => {
      const parent = await bench.primary(storage(FIXED));
      const made = await bench.create(parent, ecc(SIGN));
      return bench.load(parent, { ...made, outPrivate: changed(made.outPrivate) });
    },
  ],
  [
    'Load',
    'INTEGRITY',
    'p1',
    'the public area was changed',
    async (bench) => {
      const parent = await bench.primary(storage(FIXED));
      const made = await bench.create(parent, ecc(SIGN));
      return bench.load(parent, { ...made, outPublic: ecc(DECRYPT) });
    },
  ],
  ['Load', 'KDF', 'p2', 'a key derivation in an ECC key', (bench) => loadForged(bench, ecc(DECRYPT, { kdf: KDF }))],
  [
    'Load',
    'KEY',
    'p2',
    'a modulus of another size',
    (bench) =>
      loadForged(
        bench,
        { ...rsa(SIGN), unique: new Uint8Array(100).fill(255) },
        {
          sensitiveType: TPM_ALG.RSA,
          authValue: EMPTY,
          seedValue: EMPTY,
          sensitive: new Uint8Array(128).fill(255),
        },
      ),
  ],
  [
    'Load',
    'OBJECT_MEMORY',
    '',
    'no slot is free',
    async (bench) => {
      const [parent = 0] = await crowd(bench, 2);
      const made = await bench.create(parent, ecc(SIGN));
      await crowd(bench, 1);
      return bench.load(parent, made);
    },
  ],
  [
    'Load',
    'SCHEME',
    'p2',
    'a restricted signing key without a scheme',
    (bench) => loadForged(bench, ecc(SIGN | RESTRICTED)),
  ],
  ['Load', 'SENSITIVE', '', 'the private area holds no sensitive area', (bench) => loadForged(bench, ecc(SIGN), FIVE)],
  [
    'Load',
    'SENSITIVE',
    '',
    'the private area holds more than a sensitive area',
    (bench) => loadForged(bench, ecc(SIGN), Uint8Array.of(...encode(TPM2B_SENSITIVE, eccSecret), 0)),
  ],
  [
    'Load',
    'SIZE',
    'p1',
    'no private area',
    async (bench) => bench.load(await bench.primary(storage(FIXED)), { outPrivate: EMPTY, outPublic: ecc(SIGN) }),
  ],
  ['Load', 'SIZE', 'p2', 'a policy of no digest', (bench) => loadForged(bench, ecc(SIGN, { authPolicy: FIVE }))],
  [
    'Load',
    'SYMMETRIC',
    'p2',
    'a storage key without symmetric algorithm',
    (bench) => loadForged(bench, storage(0, { symmetric: NO_SYMMETRIC }), { ...eccSecret, seedValue: SEED }),
  ],
  [
    'Load',
    'TYPE',
    'h1',
    'the parent is none',
    async (bench) => {
      const made = await bench.create(await bench.primary(storage(FIXED)), ecc(SIGN));
      return bench.load(await bench.primary(ecc(SIGN)), made);
    },
  ],
  [
    'Load',
    'VALUE',
    'p1',
    'an IV of another size than the block',
    (bench) => loadForged(bench, ecc(SIGN), eccSecret, new Uint8Array(8)),
  ],

  [
    'LoadExternal',
    'ATTRIBUTES',
    'p2',
    'a secret that says that it never left a TPM',
    (bench) => external(bench, own(ecc(SIGN | FIXED), bench), eccSecret),
  ],
  [
    'LoadExternal',
    'ATTRIBUTES',
    'p2',
    'a secret of a restricted key',
    (bench) => external(bench, own(ecc(SIGN | RESTRICTED, { scheme: ECDSA }), bench), eccSecret),
  ],
  [
    'LoadExternal',
    'BINDING',
    'p1',
    'the point is of another scalar',
    (bench) => external(bench, own(ecc(SIGN), bench), { ...eccSecret, sensitive: new Uint8Array(32).fill(4) }),
  ],
  [
    'LoadExternal',
    'BINDING',
    'p1',
    'the digest is of another secret',
    (bench) => external(bench, { ...keyedHash(SIGN, HMAC), unique: new Uint8Array(32) }, hmacSecret),
  ],
  [
    'LoadExternal',
    'HASH',
    'p2',
    'a signing scheme without hash',
    (bench) =>
      external(bench, own(ecc(SIGN, { scheme: { scheme: TPM_ALG.ECDSA, details: { hashAlg: NOT_A_HASH } } }), bench)),
  ],
  [
    'LoadExternal',
    'HIERARCHY',
    'p3',
    'a secret, not for the null hierarchy',
    (bench) => external(bench, own(ecc(SIGN), bench), eccSecret, TPM_RH.OWNER),
  ],
  [
    'LoadExternal',
    'HIERARCHY',
    'p3',
    'the hierarchy is switched off',
    async (bench) => {
      await bench.client.HierarchyControl({ authHandle: TPM_RH.OWNER, enable: TPM_RH.OWNER, state: false });
      return external(bench, own(ecc(SIGN), bench), undefined, TPM_RH.OWNER);
    },
  ],
  [
    'LoadExternal',
    'KDF',
    'p2',
    'a key derivation in an ECC key',
    (bench) => external(bench, own(ecc(DECRYPT, { kdf: KDF }), bench), eccSecret),
  ],
  [
    'LoadExternal',
    'KEY',
    'p2',
    'a modulus of another size',
    (bench) => external(bench, { ...rsa(SIGN), unique: new Uint8Array(100).fill(255) }),
  ],
  [
    'LoadExternal',
    'OBJECT_MEMORY',
    '',
    'no slot is free',
    async (bench) => {
      await crowd(bench);
      return external(bench, own(ecc(SIGN), bench));
    },
  ],
  [
    'LoadExternal',
    'ECC_POINT',
    'p2',
    'a point off its curve',
    (bench) => external(bench, { ...ecc(SIGN), unique: OFF_CURVE }),
  ],
  [
    'LoadExternal',
    'SCHEME',
    'p2',
    'a signing scheme in a decryption key',
    (bench) => external(bench, own(ecc(DECRYPT, { scheme: ECDSA }), bench), eccSecret),
  ],
  [
    'LoadExternal',
    'SIZE',
    'p2',
    'a policy of no digest',
    (bench) => external(bench, own(ecc(SIGN, { authPolicy: FIVE }), bench), eccSecret),
  ],
  [
    'LoadExternal',
    'SYMMETRIC',
    'p2',
    'a symmetric algorithm in a signing key',
    (bench) => external(bench, own(ecc(SIGN, { symmetric: AES_CFB }), bench), eccSecret),
  ],
  [
    'LoadExternal',
    'TYPE',
    'p1',
    'the secret of another type',
    (bench) => external(bench, own(ecc(SIGN), bench), hmacSecret),
  ],

  [
    'ReadPublic',
    'SEQUENCE',
    '',
    'a sequence has no public area',
    async ({ client }) => {
      const { sequenceHandle } = await client.HashSequenceStart({ auth: EMPTY, hashAlg: TPM_ALG.SHA256 });
      return client.ReadPublic({ objectHandle: sequenceHandle });
    },
  ],
];
