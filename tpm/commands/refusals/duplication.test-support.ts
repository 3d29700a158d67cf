/** Refusals of duplication commands. Part 3, section 13. */
import {
  encode,
  objectName,
  TPM_ALG,
  TPM_CC,
  TPM_ECC,
  TPM_RH,
  TPM2B_SENSITIVE,
  TPMA_OBJECT,
  TPMS_ECC_POINT,
  type TPMT_PUBLIC,
  type TPMT_SYM_DEF_OBJECT,
} from '../../structures/index.ts';
import { wrap } from '../protection.ts';
import { protectSecret } from '../secrets.ts';
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
  NO_SYMMETRIC,
  NULL,
  OFF_CURVE,
  ORIGIN,
  POINT,
  RESTRICTED,
  rsa,
  SIGN,
  storage,
  text,
  without,
} from './bench.test-support.ts';

const ENCRYPTED = TPMA_OBJECT.encryptedDuplication;
const SCALAR = new Uint8Array(32).fill(3);
const eccSecret = { sensitiveType: TPM_ALG.ECC, authValue: EMPTY, seedValue: EMPTY, sensitive: SCALAR } as const;

/** Try to duplicate a key of the owner, by a policy that allows it. */
async function duplicate(
  bench: Bench,
  attributes: number,
  newParentHandle: number,
  symmetricAlg: TPMT_SYM_DEF_OBJECT = NO_SYMMETRIC,
  encryptionKeyIn = EMPTY,
) {
  const { client } = bench;
  const trial = await bench.policy('trial');
  await client.PolicyCommandCode({ policySession: trial.handle, code: TPM_CC.Duplicate });
  const { policyDigest: authPolicy } = await client.PolicyGetDigest({ policySession: trial.handle });
  const objectHandle = await bench.primary(ecc(SIGN | attributes, { authPolicy }));
  const session = await bench.policy();
  await client.PolicyCommandCode({ policySession: session.handle, code: TPM_CC.Duplicate });
  return client.Duplicate({ objectHandle, newParentHandle, encryptionKeyIn, symmetricAlg }, bench.by(session));
}

const EMPTY_POLICY_NAME = new Uint8Array(0);
type RewrapArguments = Parameters<Bench['client']['Rewrap']>[0];
const rewrap = (bench: Bench, what: Partial<RewrapArguments>) =>
  bench.client.Rewrap({
    oldParent: TPM_RH.NULL,
    newParent: TPM_RH.NULL,
    inDuplicate: text('whatever it is'),
    name: EMPTY_POLICY_NAME,
    inSymSeed: EMPTY,
    ...what,
  });

/** A duplicate for a storage key, in its outer wrapper. */
async function wrapped(bench: Bench, parent: TPMT_PUBLIC = storage(FIXED)) {
  const { objectHandle, outPublic } = await bench.createPrimary(parent);
  const { seed, encrypted } = protectSecret(bench.client.crypto, outPublic, 'DUPLICATE');
  const area = own(bench, ecc(SIGN));
  const name = objectName(area);
  const protector = { hashAlg: TPM_ALG.SHA256, seed, symmetric: AES_CFB };
  return {
    parent: objectHandle,
    area,
    name,
    blob: wrap(bench.client, protector, name, encode(TPM2B_SENSITIVE, eccSecret)),
    encrypted,
  };
}

const own = <T extends ReturnType<typeof ecc>>(bench: Bench, area: T) => ({
  ...without(area, ORIGIN),
  unique: bench.client.crypto.ecPublic(TPM_ECC.NIST_P256, SCALAR),
});

type ImportArguments = Parameters<Bench['client']['Import']>[0];
/** Import of a key in the clear, otherwise than it should be. */
async function importing(bench: Bench, what: Partial<ImportArguments>, parent: TPMT_PUBLIC = storage(FIXED)) {
  const parentHandle = what.parentHandle ?? (await bench.primary(parent));
  return bench.client.Import({
    encryptionKey: EMPTY,
    objectPublic: own(bench, ecc(SIGN)),
    duplicate: encode(TPM2B_SENSITIVE, eccSecret),
    inSymSeed: EMPTY,
    symmetricAlg: NO_SYMMETRIC,
    ...what,
    parentHandle,
  });
}
const importKey = (bench: Bench, area: ReturnType<typeof ecc>) => importing(bench, { objectPublic: own(bench, area) });

export const duplicationCases: readonly Case[] = [
  ['Duplicate', 'ATTRIBUTES', 'h1', 'its parent is fixed', (bench) => duplicate(bench, FIXED, TPM_RH.NULL)],
  [
    'Duplicate',
    'HIERARCHY',
    'h2',
    'encrypted only, to nobody',
    (bench) => duplicate(bench, ENCRYPTED, TPM_RH.NULL, AES_CFB),
  ],
  [
    'Duplicate',
    'SIZE',
    'p1',
    'a key of another size',
    (bench) => duplicate(bench, 0, TPM_RH.NULL, AES_CFB, text('short')),
  ],
  [
    'Duplicate',
    'SIZE',
    'p1',
    'a key for no algorithm',
    (bench) => duplicate(bench, 0, TPM_RH.NULL, NO_SYMMETRIC, new Uint8Array(16)),
  ],
  [
    'Duplicate',
    'SYMMETRIC',
    'p2',
    'encrypted only, without an algorithm',
    async (bench) => duplicate(bench, ENCRYPTED, await bench.primary(storage(FIXED))),
  ],
  [
    'Duplicate',
    'TYPE',
    'h2',
    'the new parent is none',
    async (bench) => duplicate(bench, 0, await bench.primary(ecc(SIGN))),
  ],

  ['Rewrap', 'HANDLE', 'h1', 'a seed, and no old parent', (bench) => rewrap(bench, { inSymSeed: text('seed') })],
  [
    'Duplicate',
    'HASH',
    'h2',
    'an RSA key too small for its digest',
    async (bench) => {
      const small = rsa(RESTRICTED | DECRYPT, NULL, AES_CFB);
      const unique = new Uint8Array(128).fill(255);
      const area = {
        ...small,
        nameAlg: TPM_ALG.SHA512,
        parameters: { ...small.parameters, keyBits: 1024 as const },
        unique,
      };
      return duplicate(bench, 0, await bench.publicOnly(area));
    },
  ],
  [
    'Rewrap',
    'HANDLE',
    'h1',
    'an old parent, and no seed',
    async (bench) => rewrap(bench, { oldParent: await bench.primary(storage(FIXED)) }),
  ],
  [
    'Rewrap',
    'INTEGRITY',
    'p1',
    'it was changed',
    async (bench) => {
      const { parent, blob, name, encrypted } = await wrapped(bench);
      return rewrap(bench, { oldParent: parent, inDuplicate: changed(blob), name, inSymSeed: encrypted });
    },
  ],
  [
    'Rewrap',
    'TYPE',
    'h1',
    'the old parent is none',
    async (bench) =>
      rewrap(bench, { oldParent: await bench.primary(ecc(SIGN)), inSymSeed: encode(TPMS_ECC_POINT, POINT) }),
  ],
  [
    'Rewrap',
    'TYPE',
    'h2',
    'the new parent is none',
    async (bench) => {
      const { parent, blob, name, encrypted } = await wrapped(bench);
      const newParent = await bench.primary(ecc(SIGN));
      return rewrap(bench, { oldParent: parent, newParent, inDuplicate: blob, name, inSymSeed: encrypted });
    },
  ],
  [
    'Rewrap',
    'VALUE',
    'p3',
    'an RSA seed above the modulus',
    async (bench) =>
      rewrap(bench, {
        oldParent: await bench.primary(rsa(RESTRICTED | DECRYPT | FIXED, NULL, AES_CFB)),
        inSymSeed: new Uint8Array(256).fill(255),
      }),
  ],

  ['Import', 'ATTRIBUTES', 'p2', 'a key that is fixed', (bench) => importKey(bench, ecc(SIGN | FIXED))],
  [
    'Import',
    'ATTRIBUTES',
    'p1',
    'encrypted only, without inner wrapper',
    (bench) => importKey(bench, ecc(SIGN | ENCRYPTED)),
  ],
  [
    'Import',
    'ATTRIBUTES',
    'p4',
    'encrypted only, without outer wrapper',
    (bench) =>
      importing(bench, {
        objectPublic: own(bench, ecc(SIGN | ENCRYPTED)),
        symmetricAlg: AES_CFB,
        encryptionKey: new Uint8Array(16),
      }),
  ],
  [
    'Import',
    'ATTRIBUTES',
    'p2',
    'restricted to both uses',
    (bench) => importKey(bench, ecc(RESTRICTED | SIGN | DECRYPT)),
  ],
  [
    'Import',
    'BINDING',
    'p3',
    'the point is of another scalar',
    (bench) => importing(bench, { objectPublic: { ...own(bench, ecc(SIGN)), unique: POINT } }),
  ],
  [
    'Import',
    'ECC_POINT',
    'p4',
    'a seed off the curve',
    (bench) => importing(bench, { inSymSeed: encode(TPMS_ECC_POINT, OFF_CURVE) }),
  ],
  [
    'Import',
    'HASH',
    'p2',
    'no name algorithm',
    (bench) => importKey(bench, ecc(SIGN, { nameAlg: TPM_ALG.NULL as typeof TPM_ALG.SHA256 })),
  ],
  [
    'Import',
    'INSUFFICIENT',
    'p4',
    'half a point',
    (bench) => importing(bench, { inSymSeed: encode(TPMS_ECC_POINT, POINT).subarray(0, 20) }),
  ],
  [
    'Import',
    'INTEGRITY',
    'p3',
    'the outer wrapper was changed',
    async (bench) => {
      const { parent, area, blob, encrypted } = await wrapped(bench);
      return importing(bench, {
        parentHandle: parent,
        objectPublic: area,
        duplicate: changed(blob),
        inSymSeed: encrypted,
      });
    },
  ],
  [
    'Import',
    'INTEGRITY',
    'p3',
    'the inner wrapper was changed',
    (bench) =>
      importing(bench, {
        symmetricAlg: AES_CFB,
        encryptionKey: new Uint8Array(16),
        // An empty digest, encrypted under this key and a zero IV; then what its digest should be of.
        duplicate: bench.client.crypto.aes('cfb', true, new Uint8Array(16), new Uint8Array(16), new Uint8Array(40)),
      }),
  ],
  [
    'Import',
    'KDF',
    'p2',
    'a key derivation in an ECC key',
    (bench) =>
      importKey(bench, ecc(DECRYPT, { kdf: { scheme: TPM_ALG.KDF1_SP800_56A, details: { hashAlg: TPM_ALG.SHA256 } } })),
  ],
  [
    'Import',
    'KEY',
    'p2',
    'a modulus of another size',
    (bench) =>
      importing(bench, {
        objectPublic: { ...without(rsa(SIGN), ORIGIN), unique: new Uint8Array(100).fill(255) },
        duplicate: encode(TPM2B_SENSITIVE, {
          ...eccSecret,
          sensitiveType: TPM_ALG.RSA,
          sensitive: new Uint8Array(128).fill(255),
        }),
      }),
  ],
  [
    'Import',
    'SCHEME',
    'p2',
    'a restricted signing key without a scheme',
    (bench) => importKey(bench, ecc(SIGN | RESTRICTED)),
  ],
  [
    'Import',
    'SCHEME',
    'p2',
    'a signing scheme in a decryption key',
    (bench) => importKey(bench, ecc(DECRYPT, { scheme: ECDSA })),
  ],
  [
    'Import',
    'SIZE',
    'p2',
    'a policy of no digest',
    (bench) => importKey(bench, ecc(SIGN, { authPolicy: text('short') })),
  ],
  [
    'Import',
    'SIZE',
    'p1',
    'a key for no algorithm',
    (bench) => importing(bench, { encryptionKey: new Uint8Array(16) }),
  ],
  [
    'Import',
    'SYMMETRIC',
    'p2',
    'a storage key without symmetric algorithm',
    (bench) => importKey(bench, storage(0, { symmetric: NO_SYMMETRIC })),
  ],
  ['Import', 'TYPE', 'h1', 'the parent is none', (bench) => importing(bench, {}, ecc(SIGN))],
  [
    'Import',
    'TYPE',
    'p3',
    'a secret of another type',
    (bench) =>
      importing(bench, {
        duplicate: encode(TPM2B_SENSITIVE, {
          ...eccSecret,
          sensitiveType: TPM_ALG.KEYEDHASH,
          seedValue: new Uint8Array(32),
        }),
      }),
  ],
  [
    'Import',
    'VALUE',
    'p4',
    'an RSA seed above the modulus',
    (bench) =>
      importing(bench, { inSymSeed: new Uint8Array(256).fill(255) }, rsa(RESTRICTED | DECRYPT | FIXED, NULL, AES_CFB)),
  ],
];
