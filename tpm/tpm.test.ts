import { describe, expect, it } from 'vitest';
import { TpmClient } from './client/index.ts';
import { PROFILES } from './state/profile.ts';
import { MemoryStore } from './state/store.ts';
import {
  decode,
  type Infer,
  TPM_ALG,
  TPM_CAP,
  TPM_ECC,
  TPM_RC,
  TPM_RH,
  TPM_ST,
  TPM_SU,
  type TPM2B_PUBLIC,
  TPMA_OBJECT,
  TPMS_ATTEST,
} from './structures/index.ts';
import { Tpm, type TpmOptions } from './tpm.ts';

const EMPTY = new Uint8Array(0);
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const storageAttributes =
  TPMA_OBJECT.fixedTPM |
  TPMA_OBJECT.fixedParent |
  TPMA_OBJECT.sensitiveDataOrigin |
  TPMA_OBJECT.userWithAuth |
  TPMA_OBJECT.noDA |
  TPMA_OBJECT.restricted |
  TPMA_OBJECT.decrypt;

type Public = Infer<typeof TPM2B_PUBLIC>;
const aes = { algorithm: TPM_ALG.AES, keyBits: 128, mode: TPM_ALG.CFB } as const;
const eccStorage = {
  type: TPM_ALG.ECC,
  nameAlg: TPM_ALG.SHA256,
  objectAttributes: storageAttributes,
  authPolicy: EMPTY,
  parameters: {
    symmetric: aes,
    scheme: { scheme: TPM_ALG.NULL },
    curveID: TPM_ECC.NIST_P256,
    kdf: { scheme: TPM_ALG.NULL },
  },
  unique: { x: EMPTY, y: EMPTY },
} as const satisfies Public;
const rsaStorage = {
  type: TPM_ALG.RSA,
  nameAlg: TPM_ALG.SHA256,
  objectAttributes: storageAttributes,
  authPolicy: EMPTY,
  parameters: { symmetric: aes, scheme: { scheme: TPM_ALG.NULL }, keyBits: 2048, exponent: 0 },
  unique: EMPTY,
} as const satisfies Public;
const sealed: Public = {
  type: TPM_ALG.KEYEDHASH,
  nameAlg: TPM_ALG.SHA256,
  objectAttributes: TPMA_OBJECT.fixedTPM | TPMA_OBJECT.fixedParent | TPMA_OBJECT.userWithAuth,
  authPolicy: EMPTY,
  parameters: { scheme: { scheme: TPM_ALG.NULL } },
  unique: EMPTY,
};
const signingAttributes = (storageAttributes & ~TPMA_OBJECT.decrypt) | TPMA_OBJECT.sign;
const eccSigning: Public = {
  ...eccStorage,
  objectAttributes: signingAttributes,
  parameters: {
    ...eccStorage.parameters,
    symmetric: { algorithm: TPM_ALG.NULL },
    scheme: { scheme: TPM_ALG.ECDSA, details: { hashAlg: TPM_ALG.SHA256 } },
  },
};
const rsaSigning: Public = {
  ...rsaStorage,
  objectAttributes: signingAttributes,
  parameters: {
    ...rsaStorage.parameters,
    symmetric: { algorithm: TPM_ALG.NULL },
    scheme: { scheme: TPM_ALG.RSAPSS, details: { hashAlg: TPM_ALG.SHA256 } },
  },
};
/** Names of three primary keys of the endorsement hierarchy of a TPM whose entropy is all 0x5a. Never to change. */
const GOLDEN: readonly string[] = [
  '000bd83da73258a6803db350a20e6a8c88aadc647c3db351e2f2309476d4ee165f45',
  '000bddd92b6261316ca1cad603e70b27d8ba80aa6498a92a0585a8b9427074ec17ee',
  '000b96e6bfedefc34833d65a643ebf2ac74fd600c9f0f6806580952bca391ceb8d16',
];
const noAuth = { userAuth: EMPTY, data: EMPTY };
const creation = { outsideInfo: EMPTY, creationPCR: [] };

/** A started TPM and a client of it. */
async function started(options: TpmOptions = {}): Promise<{ tpm: Tpm; client: TpmClient }> {
  const tpm = await Tpm.create({
    onFault: (fault) => {
      throw fault;
    },
    ...options,
  });
  tpm.powerOn();
  const client = await TpmClient.of(tpm);
  await client.Startup({ startupType: TPM_SU.CLEAR });
  return { tpm, client };
}

/** The response code that a command is refused with. */
async function code(call: Promise<unknown>): Promise<number> {
  try {
    await call;
    return TPM_RC.SUCCESS;
  } catch (error) {
    if (error instanceof Error && 'code' in error) return error.code as number;
    throw error;
  }
}

describe('a TPM in this process', () => {
  it('refuses commands before TPM2_Startup, and a second start-up', async () => {
    const tpm = await Tpm.create();
    tpm.powerOn();
    const client = await TpmClient.of(tpm);
    expect(await code(client.GetRandom({ bytesRequested: 8 }))).toBe(TPM_RC.INITIALIZE);
    await client.Startup({ startupType: TPM_SU.CLEAR });
    expect((await client.GetRandom({ bytesRequested: 8 })).randomBytes).toHaveLength(8);
    expect(await code(client.Startup({ startupType: TPM_SU.CLEAR }))).toBe(TPM_RC.INITIALIZE);
  });

  it('extends and reads PCR, and resets those of the late launch from locality 4 only', async () => {
    const { tpm, client } = await started();
    const digest = new Uint8Array(32).fill(7);
    await client.PCR_Extend({ pcrHandle: 16, digests: [{ hashAlg: TPM_ALG.SHA256, digest }] });
    const select = (pcr: number) => [{ hash: TPM_ALG.SHA256, pcrSelect: [pcr] }];
    const { pcrValues } = await client.PCR_Read({ pcrSelectionIn: select(16) });
    expect(pcrValues[0]).toEqual(client.crypto.hash(TPM_ALG.SHA256, new Uint8Array(32), digest));
    expect((await client.PCR_Read({ pcrSelectionIn: select(17) })).pcrValues[0]).toEqual(new Uint8Array(32).fill(255));
    expect(await code(client.PCR_Reset({ pcrHandle: 17 }))).toBe(TPM_RC.LOCALITY);
    tpm.hashStart();
    tpm.hashData(text('nexus'));
    tpm.hashEnd();
    const measured = client.crypto.hash(TPM_ALG.SHA256, text('nexus'));
    const expected = client.crypto.hash(TPM_ALG.SHA256, new Uint8Array(32), measured);
    expect((await client.PCR_Read({ pcrSelectionIn: select(17) })).pcrValues[0]).toEqual(expected);
    expect(tpm.established).toBe(true);
  });

  it('derives the same primary from the same seed, also after a restart', async () => {
    const store = new MemoryStore();
    const { tpm, client } = await started({ store });
    const make = (of: TpmClient, inPublic: Public) =>
      of.CreatePrimary({ primaryHandle: TPM_RH.OWNER, inSensitive: noAuth, inPublic, ...creation });
    const ecc = await make(client, eccStorage);
    const rsa = await make(client, rsaStorage);
    expect(ecc.name).not.toEqual(rsa.name);
    await tpm.close();
    const again = await started({ store });
    expect((await make(again.client, eccStorage)).name).toEqual(ecc.name);
    expect((await make(again.client, rsaStorage)).name).toEqual(rsa.name);
  });

  it('seals under a password, and unseals over a salted session with encryption', async () => {
    const { client } = await started();
    const primary = await client.CreatePrimary({
      primaryHandle: TPM_RH.OWNER,
      inSensitive: noAuth,
      inPublic: rsaStorage,
      ...creation,
    });
    const userAuth = text('sesame');
    const made = await client.Create({
      parentHandle: primary.objectHandle,
      inSensitive: { userAuth, data: text('the secret') },
      inPublic: sealed,
      ...creation,
    });
    const { objectHandle } = await client.Load({
      parentHandle: primary.objectHandle,
      inPrivate: made.outPrivate,
      inPublic: made.outPublic,
    });
    const { outData } = await client.Unseal({ itemHandle: objectHandle }, { auth: userAuth });
    expect(outData).toEqual(text('the secret'));
    expect(await code(client.Unseal({ itemHandle: objectHandle }, { auth: text('wrong') }))).toBe(0x98e);
    const session = await client.startSession({
      salt: { handle: primary.objectHandle, publicArea: primary.outPublic },
      encrypt: true,
    });
    const over = await client.Unseal({ itemHandle: objectHandle }, { auth: { session, authValue: userAuth } });
    expect(over.outData).toEqual(text('the secret'));
    const bound = await client.startSession({ bind: { entity: objectHandle, authValue: userAuth }, encrypt: true });
    const again = await client.Unseal({ itemHandle: objectHandle }, { auth: { session: bound, authValue: userAuth } });
    expect(again.outData).toEqual(text('the secret'));
  });

  it('keeps persistent objects over a power cycle and gives object memory back', async () => {
    const store = new MemoryStore();
    const { tpm, client } = await started({ store });
    const { objectHandle } = await client.CreatePrimary({
      primaryHandle: TPM_RH.OWNER,
      inSensitive: noAuth,
      inPublic: eccStorage,
      ...creation,
    });
    await client.EvictControl({ auth: TPM_RH.OWNER, objectHandle, persistentHandle: 0x81000001 });
    await client.FlushContext({ flushHandle: objectHandle });
    tpm.powerOff();
    tpm.powerOn();
    await client.Startup({ startupType: TPM_SU.CLEAR });
    const { outPublic } = await client.ReadPublic({ objectHandle: 0x81000001 });
    expect(outPublic.type).toBe(TPM_ALG.ECC);
    expect(await code(client.ReadPublic({ objectHandle }))).toBe(TPM_RC.REFERENCE_H0);
  });

  it('saves and loads contexts, each session context once', async () => {
    const { client } = await started();
    const session = await client.startSession();
    const { context } = await client.ContextSave({ saveHandle: session.handle });
    expect(await code(client.ContextSave({ saveHandle: session.handle }))).toBe(TPM_RC.REFERENCE_H0);
    expect((await client.ContextLoad({ context })).loadedHandle).toBe(session.handle);
    expect(await code(client.ContextLoad({ context }))).toBe(0x1cb);
    const { objectHandle } = await client.CreatePrimary({
      primaryHandle: TPM_RH.NULL,
      inSensitive: noAuth,
      inPublic: eccStorage,
      ...creation,
    });
    const object = await client.ContextSave({ saveHandle: objectHandle });
    const { loadedHandle } = await client.ContextLoad({ context: object.context });
    expect(loadedHandle).not.toBe(objectHandle);
    const [a, b] = [await client.ReadPublic({ objectHandle }), await client.ReadPublic({ objectHandle: loadedHandle })];
    expect(a.name).toEqual(b.name);
  });

  it('activates a credential', async () => {
    const { client } = await started();
    const key = await client.CreatePrimary({
      primaryHandle: TPM_RH.ENDORSEMENT,
      inSensitive: noAuth,
      inPublic: rsaStorage,
      ...creation,
    });
    const credential = text('only you');
    const { credentialBlob, secret } = await client.MakeCredential({
      handle: key.objectHandle,
      credential,
      objectName: key.name,
    });
    const { certInfo } = await client.ActivateCredential({
      activateHandle: key.objectHandle,
      keyHandle: key.objectHandle,
      credentialBlob,
      secret,
    });
    expect(certInfo).toEqual(credential);
  });

  it('quotes PCR with a restricted key, so that the signature verifies and the structure decodes', async () => {
    const { client } = await started();
    for (const inPublic of [eccSigning, rsaSigning]) {
      const key = await client.CreatePrimary({
        primaryHandle: TPM_RH.ENDORSEMENT,
        inSensitive: noAuth,
        inPublic,
        ...creation,
      });
      const { quoted, signature } = await client.Quote({
        signHandle: key.objectHandle,
        qualifyingData: text('nonce'),
        inScheme: { scheme: TPM_ALG.NULL },
        PCRselect: [{ hash: TPM_ALG.SHA256, pcrSelect: [0, 1, 2] }],
      });
      const attest = decode(TPMS_ATTEST, quoted);
      expect(attest.extraData).toEqual(text('nonce'));
      if (attest.type !== TPM_ST.ATTEST_QUOTE) throw new Error('not a quote');
      expect(attest.attested.pcrDigest).toEqual(client.crypto.hash(TPM_ALG.SHA256, new Uint8Array(96)));
      const digest = client.crypto.hash(TPM_ALG.SHA256, quoted);
      if (signature.sigAlg === TPM_ALG.NULL) throw new Error('not signed');
      const { validation } = await client.VerifySignature({ keyHandle: key.objectHandle, digest, signature });
      expect(validation.digest.length).toBeGreaterThan(0);
      const wrong = digest.map((octet) => octet ^ 1);
      expect(await code(client.VerifySignature({ keyHandle: key.objectHandle, digest: wrong, signature }))).toBe(0x2db);
      // A restricted key signs no digest without a ticket that the TPM made it.
      const ticket = { tag: TPM_ST.HASHCHECK, hierarchy: TPM_RH.NULL, digest: EMPTY } as const;
      const signing = client.Sign({
        keyHandle: key.objectHandle,
        digest,
        inScheme: { scheme: TPM_ALG.NULL },
        validation: ticket,
      });
      expect(await code(signing)).toBe(0x3e0);
    }
  });

  it('unseals under a PCR policy until the PCR changes', async () => {
    const { client } = await started();
    const pcrs = [{ hash: TPM_ALG.SHA256, pcrSelect: [7] }] as const;
    const trial = await client.startSession({ type: 'trial' });
    await client.PolicyPCR({ policySession: trial, pcrDigest: EMPTY, pcrs: [...pcrs] });
    await client.PolicyAuthValue({ policySession: trial });
    const { policyDigest } = await client.PolicyGetDigest({ policySession: trial });
    await client.FlushContext({ flushHandle: trial.handle });
    const { objectHandle: parentHandle } = await client.CreatePrimary({
      primaryHandle: TPM_RH.OWNER,
      inSensitive: noAuth,
      inPublic: eccStorage,
      ...creation,
    });
    const userAuth = text('pin');
    const made = await client.Create({
      parentHandle,
      inSensitive: { userAuth, data: text('pcr secret') },
      inPublic: {
        ...sealed,
        objectAttributes: TPMA_OBJECT.fixedTPM | TPMA_OBJECT.fixedParent,
        authPolicy: policyDigest,
      },
      ...creation,
    });
    const { objectHandle } = await client.Load({ parentHandle, inPrivate: made.outPrivate, inPublic: made.outPublic });
    expect(await code(client.Unseal({ itemHandle: objectHandle }, { auth: userAuth }))).toBe(TPM_RC.AUTH_UNAVAILABLE);
    const session = await client.startSession({ type: 'policy', encrypt: true });
    const assert = async (): Promise<void> => {
      await client.PolicyPCR({ policySession: session, pcrDigest: EMPTY, pcrs: [...pcrs] });
      await client.PolicyAuthValue({ policySession: session });
    };
    await assert();
    const { outData } = await client.Unseal({ itemHandle: objectHandle }, { auth: { session, authValue: userAuth } });
    expect(outData).toEqual(text('pcr secret'));
    await assert();
    await client.PCR_Event({ pcrHandle: 7, eventData: text('other firmware') });
    const after = client.Unseal({ itemHandle: objectHandle }, { auth: { session, authValue: userAuth } });
    expect(await code(after)).toBe(TPM_RC.PCR_CHANGED);
  });

  it('pages through capabilities', async () => {
    const { client } = await started();
    const { capabilityData, moreData } = await client.GetCapability({
      capability: TPM_CAP.TPM_PROPERTIES,
      property: 0x100,
      propertyCount: 3,
    });
    expect(moreData).toBe(true);
    if (capabilityData.capability !== TPM_CAP.TPM_PROPERTIES) throw new Error('another capability');
    expect(capabilityData.data.map(({ property }) => property)).toEqual([0x100, 0x101, 0x102]);
  });

  it('moves a running TPM to another process: objects, sessions and PCR go on', async () => {
    const { tpm, client } = await started();
    const { objectHandle, name } = await client.CreatePrimary({
      primaryHandle: TPM_RH.OWNER,
      inSensitive: noAuth,
      inPublic: eccStorage,
      ...creation,
    });
    await client.PCR_Event({ pcrHandle: 17 - 1, eventData: text('measured') });
    const session = await client.startSession({ encrypt: true });
    const state = { permanent: tpm.exportPermanent(), volatile: tpm.exportVolatile() };
    const other = await Tpm.create();
    await other.restore(state);
    other.powerOn();
    const moved = await TpmClient.of(other);
    expect((await moved.ReadPublic({ objectHandle })).name).toEqual(name);
    expect((await moved.ReadPublic({ objectHandle }, { sessions: [session] })).name).toEqual(name);
    expect(other.exportPermanent()).toEqual(state.permanent);
    const select = [{ hash: TPM_ALG.SHA256, pcrSelect: [16] }] as const;
    const [a, b] = await Promise.all([client, moved].map((c) => c.PCR_Read({ pcrSelectionIn: [...select] })));
    expect(a).toEqual(b);
    other.powerOff();
    await expect(other.restore({ permanent: state.permanent.subarray(1) })).rejects.toThrow(/not the state of a TPM/);
    await expect(other.restore({ volatile: Uint8Array.of(1, 2) })).rejects.toThrow();
  });

  it('derives from a known seed the keys it always has derived (golden: docs/tpm-derivation.md)', async () => {
    const { client } = await started({ entropy: (size) => new Uint8Array(size).fill(0x5a) });
    const keyedHash: Public = {
      type: TPM_ALG.KEYEDHASH,
      nameAlg: TPM_ALG.SHA256,
      objectAttributes: signingAttributes & ~TPMA_OBJECT.restricted,
      authPolicy: EMPTY,
      parameters: { scheme: { scheme: TPM_ALG.HMAC, details: { hashAlg: TPM_ALG.SHA256 } } },
      unique: EMPTY,
    };
    const names: string[] = [];
    for (const inPublic of [eccStorage, rsaStorage, keyedHash]) {
      const made = await client.CreatePrimary({
        primaryHandle: TPM_RH.ENDORSEMENT,
        inSensitive: noAuth,
        inPublic,
        ...creation,
      });
      names.push(Buffer.from(made.name).toString('hex'));
      await client.FlushContext({ flushHandle: made.objectHandle });
    }
    expect(names).toEqual(GOLDEN);
  });

  it('offers what its profile allows: no SHA-1 under fips, one bank and one curve under minimal', async () => {
    const { client } = await started({ profile: PROFILES.fips });
    expect(await code(client.HashSequenceStart({ auth: EMPTY, hashAlg: TPM_ALG.SHA1 }))).toBe(0x2c3);
    const minimal = await started({ profile: PROFILES.minimal });
    const p384 = { ...eccStorage, parameters: { ...eccStorage.parameters, curveID: TPM_ECC.NIST_P384 } };
    const made = minimal.client.CreatePrimary({
      primaryHandle: TPM_RH.OWNER,
      inSensitive: noAuth,
      inPublic: p384,
      ...creation,
    });
    expect(await code(made)).toBe(0x2e6);
    const { capabilityData } = await minimal.client.GetCapability({ capability: 5, property: 0, propertyCount: 1 });
    expect(capabilityData.data).toHaveLength(1);
  });

  it('answers a failing disk with TPM_RC_FAILURE, and nothing else until the power is cycled', async () => {
    class FailingStore extends MemoryStore {
      broken = false;
      override async commit(batch: Parameters<MemoryStore['commit']>[0]): Promise<void> {
        if (this.broken) throw new Error('no space left on device');
        return super.commit(batch);
      }
    }
    const store = new FailingStore();
    const faults: unknown[] = [];
    const { tpm, client } = await started({ store, onFault: (fault) => faults.push(fault) });
    store.broken = true;
    const change = client.HierarchyChangeAuth({ authHandle: TPM_RH.OWNER, newAuth: text('new') });
    expect(await code(change)).toBe(TPM_RC.FAILURE);
    expect(await code(client.GetRandom({ bytesRequested: 1 }))).toBe(TPM_RC.FAILURE);
    expect(faults).toHaveLength(1);
    store.broken = false;
    tpm.powerOn();
    await client.Startup({ startupType: TPM_SU.CLEAR });
    expect(await code(client.HierarchyChangeAuth({ authHandle: TPM_RH.OWNER, newAuth: EMPTY }))).toBe(TPM_RC.SUCCESS);
  });

  it('resumes after Shutdown(STATE) with PCR 0-15, and resets without it', async () => {
    const { tpm, client } = await started();
    await client.PCR_Event({ pcrHandle: 4, eventData: text('loader') });
    const select = [{ hash: TPM_ALG.SHA256, pcrSelect: [4] } as const];
    const value = async () => (await client.PCR_Read({ pcrSelectionIn: [...select] })).pcrValues[0];
    const before = await value();
    await client.Shutdown({ shutdownType: TPM_SU.STATE });
    tpm.powerOn();
    await client.Startup({ startupType: TPM_SU.STATE });
    expect(await value()).toEqual(before);
    tpm.powerOn();
    expect(await code(client.Startup({ startupType: TPM_SU.STATE }))).toBe(0x1c4);
    await client.Startup({ startupType: TPM_SU.CLEAR });
    expect(await value()).toEqual(new Uint8Array(32));
  });

  it('what CMD_GET_INFO tells of a TPM is what its capabilities say', async () => {
    const { info } = await Tpm.create();
    expect(info).toEqual({
      TPMSpecification: { family: '2.0', level: 0, revision: 159 },
      TPMAttributes: { manufacturer: 'id:4E585553', version: 'id:20261122', model: 'nexus-tcb TPM' },
    });
  });

  it('does not open under a profile without algorithms of its PCR banks', async () => {
    const store = new MemoryStore();
    await Tpm.create({ store });
    await expect(Tpm.create({ store, profile: PROFILES.fips })).rejects.toMatchObject({ code: 'E_STATE_PROFILE' });
    const fips = new MemoryStore();
    await Tpm.create({ store: fips, profile: PROFILES.fips });
    await Tpm.create({ store: fips, profile: PROFILES.fips });
  });
});
