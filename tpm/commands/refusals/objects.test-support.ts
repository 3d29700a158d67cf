/** Refusals of object commands. Part 3, section 12, and CreatePrimary of section 24. */

import {
  encode,
  objectName,
  TPM_ALG,
  TPM_ECC,
  TPM_RH,
  TPM2B_PUBLIC,
  TPM2B_SENSITIVE,
  TPMA_OBJECT,
  TPMS_ECC_POINT,
  TPMT_PUBLIC,
  TPMT_PUBLIC_DERIVE,
  type TPMT_SENSITIVE,
} from '../../structures/index.ts';
import { makeCredential } from '../credential.ts';
import { wrap } from '../protection.ts';
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
  FIXED_PARENT,
  FIXED_TPM,
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
  XOR,
} from './bench.test-support.ts';

const KDF = { scheme: TPM_ALG.KDF1_SP800_56A, details: { hashAlg: TPM_ALG.SHA256 } } as const;
const FIVE = text('short');
const LONG_AUTH = new Uint8Array(33).fill(7);
const NOT_A_HASH = TPM_ALG.NULL as typeof TPM_ALG.SHA256; // what the type forbids, and the wire does not
const oddExponent = rsa(SIGN);
oddExponent.parameters.exponent = 3;
const small = rsa(SIGN);
small.parameters.keyBits = 1024;

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

const external = (bench: Bench, inPublic: TPMT_PUBLIC, inPrivate?: TPMT_SENSITIVE, hierarchy: number = TPM_RH.NULL) =>
  bench.client.LoadExternal({ inPrivate, inPublic, hierarchy: hierarchy as typeof TPM_RH.NULL }); // one of them
const own = (area: ReturnType<typeof ecc>, bench: Bench) => ({
  ...without(area, ORIGIN),
  unique: bench.client.crypto.ecPublic(TPM_ECC.NIST_P256, SCALAR),
});

/** A credential for a key, changed on its way. */
async function activate(
  bench: Bench,
  area: TPMT_PUBLIC,
  change: (made: { credentialBlob: Uint8Array; secret: Uint8Array }) => object = () => ({}),
) {
  const { objectHandle, outPublic, name } = await bench.createPrimary(area);
  const target = area.type === TPM_ALG.KEYEDHASH ? storage(FIXED) : area;
  const of = target === area ? outPublic : (await bench.createPrimary(target)).outPublic;
  const made = makeCredential(bench.client, of, text('credential'), name);
  return bench.client.ActivateCredential({
    activateHandle: objectHandle,
    keyHandle: objectHandle,
    ...made,
    ...change(made),
  });
}

/** CreatePrimary of a template of a type that there is not. */
const unknownType = () => {
  const inPublic = encode(TPM2B_PUBLIC, ecc(SIGN));
  inPublic[3] = 0x7f; // after the size: the type's low octet
  const inSensitive = { userAuth: EMPTY, data: EMPTY };
  return [{ inSensitive, outsideInfo: EMPTY, creationPCR: [] }, { inPublic }] as const;
};

export const objectCases: readonly Case[] = [
  [
    'Create',
    'ATTRIBUTES',
    'p2',
    'data, and the TPM is to make the secret',
    async (bench) => bench.create(await bench.primary(storage(FIXED)), ecc(SIGN), FIVE),
  ],
  ['LoadExternal', 'KEY', 'p2', 'no point', (bench) => external(bench, ecc(SIGN))],
  ['LoadExternal', 'KEY', 'p2', 'no digest of the secret', (bench) => external(bench, keyedHash(SIGN, HMAC))],
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

  [
    'ActivateCredential',
    'TYPE',
    'h2',
    'the key does not decrypt',
    async (bench) => {
      const { objectHandle } = await bench.createPrimary(ecc(SIGN));
      const secret = encode(TPMS_ECC_POINT, OFF_CURVE);
      return bench.client.ActivateCredential({
        activateHandle: objectHandle,
        keyHandle: objectHandle,
        credentialBlob: FIVE,
        secret,
      });
    },
  ],
  [
    'ActivateCredential',
    'ECC_POINT',
    'p2',
    'a point off the curve',
    (bench) => activate(bench, storage(FIXED), () => ({ secret: encode(TPMS_ECC_POINT, OFF_CURVE) })),
  ],
  [
    'ActivateCredential',
    'INSUFFICIENT',
    'p2',
    'half a point',
    (bench) => activate(bench, storage(FIXED), ({ secret }) => ({ secret: secret.subarray(0, 20) })),
  ],
  [
    'ActivateCredential',
    'INTEGRITY',
    'p1',
    'the blob was changed',
    (bench) => activate(bench, storage(FIXED), ({ credentialBlob }) => ({ credentialBlob: changed(credentialBlob) })),
  ],
  [
    'ActivateCredential',
    'SIZE',
    'p2',
    'an RSA secret of another size',
    (bench) =>
      activate(bench, rsa(RESTRICTED | DECRYPT | FIXED, { scheme: TPM_ALG.NULL }, AES_CFB), ({ secret }) => ({
        secret: secret.subarray(1),
      })),
  ],
  [
    'ActivateCredential',
    'TYPE',
    'h2',
    'the key is not asymmetric',
    (bench) => activate(bench, keyedHash(SIGN | ORIGIN, HMAC)),
  ],
  [
    'ActivateCredential',
    'VALUE',
    'p2',
    'an RSA secret with other padding',
    (bench) =>
      activate(bench, rsa(RESTRICTED | DECRYPT | FIXED, { scheme: TPM_ALG.NULL }, AES_CFB), ({ secret }) => ({
        secret: changed(secret),
      })),
  ],

  [
    'MakeCredential',
    'SIZE',
    'p1',
    'longer than the key’s digest',
    async (bench) => {
      const handle = await bench.primary(storage(FIXED));
      return bench.client.MakeCredential({ handle, credential: LONG_AUTH, objectName: EMPTY });
    },
  ],
  [
    'MakeCredential',
    'TYPE',
    'h1',
    'no restricted decryption key',
    async (bench) =>
      bench.client.MakeCredential({ handle: await bench.primary(ecc(SIGN)), credential: FIVE, objectName: EMPTY }),
  ],

  [
    'Unseal',
    'ATTRIBUTES',
    'h1',
    'a key, not data',
    async (bench) => bench.client.Unseal({ itemHandle: await bench.primary(keyedHash(SIGN | ORIGIN, HMAC)) }),
  ],
  [
    'Unseal',
    'TYPE',
    'h1',
    'an asymmetric key',
    async (bench) => bench.client.Unseal({ itemHandle: await bench.primary(ecc(SIGN)) }),
  ],

  [
    'ObjectChangeAuth',
    'SIZE',
    'p1',
    'longer than the name algorithm’s digest',
    async (bench) => {
      const parentHandle = await bench.primary(storage(FIXED));
      const objectHandle = await bench.child(parentHandle, ecc(SIGN));
      return bench.client.ObjectChangeAuth({ objectHandle, parentHandle, newAuth: LONG_AUTH });
    },
  ],
  [
    'ObjectChangeAuth',
    'TYPE',
    'h2',
    'another parent',
    async (bench) => {
      const parentHandle = await bench.primary(storage(FIXED));
      const objectHandle = await bench.child(parentHandle, ecc(SIGN));
      const other = await bench.primary(storage(FIXED, { nameAlg: TPM_ALG.SHA384 }));
      return bench.client.ObjectChangeAuth({ objectHandle, parentHandle: other, newAuth: FIVE });
    },
  ],
];
