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
const parentArea: Infer<typeof TPM2B_PUBLIC> = {
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
  parameters: { symmetric: AES, scheme: NULL, curveID: TPM_ECC.NIST_P256, kdf: NULL },
  unique: { x: EMPTY, y: EMPTY },
};

it('a sealed object moves to a new parent under both wraps, and not when it was changed', async () => {
  const tpm = await Tpm.create();
  tpm.powerOn();
  const client = await TpmClient.of(tpm);
  await client.Startup({ startupType: TPM_SU.CLEAR });
  const parent = await client.CreatePrimary({
    primaryHandle: TPM_RH.OWNER,
    inSensitive: { userAuth: EMPTY, data: EMPTY },
    inPublic: parentArea,
    outsideInfo: EMPTY,
    creationPCR: [],
  });
  const allow = async (type: 'policy' | 'trial') => {
    const session = await client.startSession({ type });
    await client.PolicyCommandCode({ policySession: session.handle, code: TPM_CC.Duplicate });
    return session;
  };
  const trial = await allow('trial');
  const { policyDigest } = await client.PolicyGetDigest({ policySession: trial.handle });
  const made = await client.Create({
    parentHandle: parent.objectHandle,
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
    parentHandle: parent.objectHandle,
    inPrivate: made.outPrivate,
    inPublic: made.outPublic,
  });
  const moved = await client.Duplicate(
    {
      objectHandle: child.objectHandle,
      newParentHandle: parent.objectHandle,
      encryptionKeyIn: EMPTY,
      symmetricAlg: AES,
    },
    { auth: { session: await allow('policy') } },
  );
  expect(moved.encryptionKeyOut).toHaveLength(16);
  const importing = {
    parentHandle: parent.objectHandle,
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
    parentHandle: parent.objectHandle,
    inPrivate: outPrivate,
    inPublic: made.outPublic,
  });
  expect((await client.Unseal({ itemHandle: again.objectHandle })).outData).toEqual(Uint8Array.of(1, 2, 3));
});
