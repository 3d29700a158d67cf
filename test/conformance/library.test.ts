/** docs/tpm.md's example: a TPM in a test, without any process. Copy it. */
import { MemoryStore, TPM_ALG, TPM_RH, TPM_SU, TPMA_OBJECT, Tpm, TpmClient } from 'nexus-tcb/tpm';
import { expect, test } from 'vitest';

test('seal a secret to PCR 16, and lose it when PCR 16 changes', async () => {
  let now = 0;
  const store = new MemoryStore();
  const tpm = await Tpm.create({ store, clock: () => now });
  const client = await TpmClient.of(tpm);
  tpm.powerOn();
  await client.Startup({ startupType: TPM_SU.CLEAR });

  const pcrs = [{ hash: TPM_ALG.SHA256, pcrSelect: [16] }];
  const trial = await client.startSession({ type: 'trial' });
  await client.PolicyPCR({ policySession: trial.handle, pcrDigest: new Uint8Array(0), pcrs });
  const { policyDigest } = await client.PolicyGetDigest({ policySession: trial.handle });
  await client.FlushContext({ flushHandle: trial.handle });

  const none = new Uint8Array(0);
  const { objectHandle: parent } = await client.CreatePrimary({
    primaryHandle: TPM_RH.OWNER,
    inSensitive: { userAuth: none, data: none },
    inPublic: {
      type: TPM_ALG.ECC,
      nameAlg: TPM_ALG.SHA256,
      objectAttributes:
        TPMA_OBJECT.fixedTPM |
        TPMA_OBJECT.fixedParent |
        TPMA_OBJECT.sensitiveDataOrigin |
        TPMA_OBJECT.userWithAuth |
        TPMA_OBJECT.restricted |
        TPMA_OBJECT.decrypt,
      authPolicy: none,
      parameters: {
        symmetric: { algorithm: TPM_ALG.AES, keyBits: 128, mode: TPM_ALG.CFB },
        scheme: { scheme: TPM_ALG.NULL },
        curveID: 3,
        kdf: { scheme: TPM_ALG.NULL },
      },
      unique: { x: none, y: none },
    },
    outsideInfo: none,
    creationPCR: [],
  });
  const secret = new TextEncoder().encode('the combination is 12345');
  const { outPrivate, outPublic } = await client.Create({
    parentHandle: parent,
    inSensitive: { userAuth: none, data: secret },
    inPublic: {
      type: TPM_ALG.KEYEDHASH,
      nameAlg: TPM_ALG.SHA256,
      objectAttributes: TPMA_OBJECT.fixedTPM | TPMA_OBJECT.fixedParent,
      authPolicy: policyDigest,
      parameters: { scheme: { scheme: TPM_ALG.NULL } },
      unique: none,
    },
    outsideInfo: none,
    creationPCR: [],
  });
  const { objectHandle: sealed } = await client.Load({
    parentHandle: parent,
    inPrivate: outPrivate,
    inPublic: outPublic,
  });

  const unseal = async () => {
    const session = await client.startSession({ type: 'policy' });
    await client.PolicyPCR({ policySession: session.handle, pcrDigest: none, pcrs });
    try {
      return (await client.Unseal({ itemHandle: sealed }, { auth: { session } })).outData;
    } finally {
      await client.FlushContext({ flushHandle: session.handle }).catch(() => {}); // Unseal may have ended it.
    }
  };
  expect(await unseal()).toEqual(secret);

  // Snapshots: the TPM goes back to where it was, time included.
  const permanent = tpm.exportPermanent();
  const volatile = tpm.exportVolatile();
  const digests = [{ hashAlg: TPM_ALG.SHA256, digest: new Uint8Array(32) }];
  await client.PCR_Extend({ pcrHandle: 16, digests });
  await expect(unseal()).rejects.toMatchObject({ code: 0x99d }); // TPM_RC_POLICY_FAIL, session 1
  now += 60_000;
  tpm.powerOff();
  await tpm.restore({ permanent, volatile });
  tpm.powerOn();
  expect(await unseal()).toEqual(secret);
  await tpm.close();
});
