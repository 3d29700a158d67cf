import { expect, it } from 'vitest';
import { TpmClient } from '../client/index.ts';
import {
  atParameter,
  type Infer,
  TPM_ALG,
  TPM_CC,
  TPM_ECC,
  TPM_RC,
  TPM_RH,
  TPM_SU,
  type TPM2B_PUBLIC,
  TPMA_OBJECT,
} from '../structures/index.ts';
import { Tpm } from '../tpm.ts';

const EMPTY = new Uint8Array(0);
const NULL = { scheme: TPM_ALG.NULL } as const;
const AES = { algorithm: TPM_ALG.AES, keyBits: 128, mode: TPM_ALG.CFB } as const;
type Mode = typeof TPM_ALG.CFB | typeof TPM_ALG.CBC;
const parentArea = (mode: Mode): Infer<typeof TPM2B_PUBLIC> => ({
  type: TPM_ALG.ECC,
  nameAlg: TPM_ALG.SHA256,
  objectAttributes:
    TPMA_OBJECT.fixedTPM |
    TPMA_OBJECT.fixedParent |
    TPMA_OBJECT.sensitiveDataOrigin |
    TPMA_OBJECT.userWithAuth |
    TPMA_OBJECT.restricted |
    TPMA_OBJECT.decrypt,
  authPolicy: EMPTY,
  parameters: { symmetric: { ...AES, mode }, scheme: NULL, curveID: TPM_ECC.NIST_P256, kdf: NULL },
  unique: { x: EMPTY, y: EMPTY },
});

async function startedWithParent(mode: Mode = TPM_ALG.CFB) {
  const tpm = await Tpm.create();
  tpm.powerOn();
  const client = await TpmClient.of(tpm);
  await client.Startup({ startupType: TPM_SU.CLEAR });
  const { objectHandle: parentHandle } = await client.CreatePrimary({
    primaryHandle: TPM_RH.OWNER,
    inSensitive: { userAuth: EMPTY, data: EMPTY },
    inPublic: parentArea(mode),
    outsideInfo: EMPTY,
    creationPCR: [],
  });
  return { client, parentHandle };
}

it('a sealed object moves to a new parent under both wraps, and not when it was changed', async () => {
  const { client, parentHandle } = await startedWithParent();
  const allow = async (type: 'policy' | 'trial') => {
    const session = await client.startSession({ type });
    await client.PolicyCommandCode({ policySession: session.handle, code: TPM_CC.Duplicate });
    return session;
  };
  const trial = await allow('trial');
  const { policyDigest } = await client.PolicyGetDigest({ policySession: trial.handle });
  const made = await client.Create({
    parentHandle,
    inSensitive: { userAuth: EMPTY, data: Uint8Array.of(1, 2, 3) },
    inPublic: {
      type: TPM_ALG.KEYEDHASH,
      nameAlg: TPM_ALG.SHA256,
      objectAttributes: TPMA_OBJECT.userWithAuth | TPMA_OBJECT.encryptedDuplication,
      authPolicy: policyDigest,
      parameters: { scheme: NULL },
      unique: EMPTY,
    },
    outsideInfo: EMPTY,
    creationPCR: [],
  });
  const child = await client.Load({
    parentHandle,
    inPrivate: made.outPrivate,
    inPublic: made.outPublic,
  });
  const moved = await client.Duplicate(
    {
      objectHandle: child.objectHandle,
      newParentHandle: parentHandle,
      encryptionKeyIn: EMPTY,
      symmetricAlg: AES,
    },
    { auth: { session: await allow('policy') } },
  );
  expect(moved.encryptionKeyOut).toHaveLength(16);
  const importing = {
    parentHandle,
    encryptionKey: moved.encryptionKeyOut,
    objectPublic: made.outPublic,
    duplicate: moved.duplicate,
    inSymSeed: moved.outSymSeed,
    symmetricAlg: AES,
  };
  const changed = { ...importing, duplicate: moved.duplicate.map((octet, i) => (i === 60 ? octet ^ 1 : octet)) };
  await expect(client.Import(changed)).rejects.toMatchObject({ code: atParameter(TPM_RC.INTEGRITY, 3) });
  const { outPrivate } = await client.Import(importing);
  await client.FlushContext({ flushHandle: child.objectHandle });
  const again = await client.Load({
    parentHandle,
    inPrivate: outPrivate,
    inPublic: made.outPublic,
  });
  expect((await client.Unseal({ itemHandle: again.objectHandle })).outData).toEqual(Uint8Array.of(1, 2, 3));
});

const keyedHash: Infer<typeof TPM2B_PUBLIC> = {
  type: TPM_ALG.KEYEDHASH,
  nameAlg: TPM_ALG.SHA256,
  objectAttributes: TPMA_OBJECT.userWithAuth,
  authPolicy: EMPTY,
  parameters: { scheme: NULL },
  unique: EMPTY,
};

it('the size of a private area does not tell how long its authorisation value is', async () => {
  const { client, parentHandle } = await startedWithParent();
  const sizes = new Set<number>();
  for (const length of [0, 1, 31, 32]) {
    const { outPrivate } = await client.Create({
      parentHandle,
      inSensitive: { userAuth: new Uint8Array(length).fill(7), data: Uint8Array.of(1) },
      inPublic: keyedHash,
      outsideInfo: EMPTY,
      creationPCR: [],
    });
    sizes.add(outPrivate.length);
  }
  expect(sizes.size).toBe(1);
});

it('an authorisation value that another TPM filled with zeros is used without them', async () => {
  const { client } = await startedWithParent();
  const userAuth = Uint8Array.of(0x70, 0x77);
  const seedValue = new Uint8Array(32).fill(1);
  const sensitive = Uint8Array.of(1, 2, 3);
  const { outHash } = await client.Hash({
    data: Uint8Array.of(...seedValue, ...sensitive),
    hashAlg: TPM_ALG.SHA256,
    hierarchy: TPM_RH.NULL,
  });
  const { objectHandle } = await client.LoadExternal({
    inPrivate: {
      sensitiveType: TPM_ALG.KEYEDHASH,
      authValue: Uint8Array.of(...userAuth, ...new Uint8Array(30)),
      seedValue,
      sensitive,
    },
    inPublic: { ...keyedHash, unique: outHash },
    hierarchy: TPM_RH.NULL,
  });
  const session = await client.startSession({ type: 'hmac' });
  for (const auth of [userAuth, { session, authValue: userAuth }])
    expect((await client.Unseal({ itemHandle: objectHandle }, { auth })).outData).toEqual(sensitive);
});

it('a parent that names another mode than CFB protects nevertheless', async () => {
  const { client, parentHandle } = await startedWithParent(TPM_ALG.CBC);
  const { outPrivate, outPublic } = await client.Create({
    parentHandle,
    inSensitive: { userAuth: EMPTY, data: Uint8Array.of(1) },
    inPublic: keyedHash,
    outsideInfo: EMPTY,
    creationPCR: [],
  });
  const { objectHandle } = await client.Load({ parentHandle, inPrivate: outPrivate, inPublic: outPublic });
  expect((await client.Unseal({ itemHandle: objectHandle })).outData).toEqual(Uint8Array.of(1));
});
