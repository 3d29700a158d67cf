import { beforeEach, describe, expect, it } from 'vitest';
import { TpmClient } from '../client/index.ts';
import { MemoryStore } from '../state/store.ts';
import {
  atParameter,
  atSession,
  nvAttributes,
  TPM_ALG,
  TPM_CC,
  TPM_RC,
  TPM_RH,
  TPM_SU,
  TPMA_NV,
} from '../structures/index.ts';
import { Tpm } from '../tpm.ts';

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const EMPTY = new Uint8Array(0);

let now = 0;
let tpm: Tpm;
let client: TpmClient;
beforeEach(async () => {
  now = 0;
  const onFault = (fault: unknown) => {
    throw fault;
  };
  tpm = await Tpm.create({ store: new MemoryStore(), clock: () => now, onFault });
  await restart();
});

async function restart(): Promise<void> {
  tpm.powerOff();
  tpm.powerOn();
  client = await TpmClient.of(tpm);
  await client.Startup({ startupType: TPM_SU.CLEAR });
}

async function code(call: Promise<unknown>): Promise<number> {
  try {
    await call;
    return TPM_RC.SUCCESS;
  } catch (error) {
    if (error instanceof Error && 'code' in error) return error.code as number;
    throw error;
  }
}

const INDEX = 0x01500001;
const define = (attributes: number, authHandle: number = TPM_RH.OWNER) =>
  client.NV_DefineSpace({
    authHandle,
    auth: text('pw'),
    publicInfo: { nvIndex: INDEX, nameAlg: TPM_ALG.SHA256, attributes, authPolicy: EMPTY, dataSize: 8 },
  });

describe('hierarchies', () => {
  it('switch themselves off; the platform alone switches them on again', async () => {
    const control = (authHandle: number, enable: typeof TPM_RH.OWNER | typeof TPM_RH.ENDORSEMENT, state: boolean) =>
      code(client.HierarchyControl({ authHandle, enable, state }));
    expect(await control(TPM_RH.ENDORSEMENT, TPM_RH.OWNER, false)).toBe(TPM_RC.AUTH_TYPE);
    expect(await control(TPM_RH.OWNER, TPM_RH.OWNER, false)).toBe(TPM_RC.SUCCESS);
    expect(await control(TPM_RH.OWNER, TPM_RH.OWNER, true)).toBe(0x185); // TPM_RC_HIERARCHY, handle 1
    expect(await control(TPM_RH.PLATFORM, TPM_RH.OWNER, true)).toBe(TPM_RC.SUCCESS);
    expect(await control(TPM_RH.OWNER, TPM_RH.OWNER, false)).toBe(TPM_RC.SUCCESS);
    await restart();
    expect(await control(TPM_RH.OWNER, TPM_RH.OWNER, false)).toBe(TPM_RC.SUCCESS);
  });

  it('keep a new authorisation value over a restart, save the platform, until Clear', async () => {
    for (const authHandle of [TPM_RH.OWNER, TPM_RH.PLATFORM])
      await client.HierarchyChangeAuth({ authHandle, newAuth: text('new\0\0') });
    const clear = (auth: Uint8Array) => code(client.Clear({ authHandle: TPM_RH.PLATFORM }, { auth }));
    expect(await clear(EMPTY)).toBe(0x9a2); // TPM_RC_BAD_AUTH, session 1
    await restart();
    const attributes = nvAttributes('ORDINARY', TPMA_NV.AUTHREAD, TPMA_NV.AUTHWRITE);
    expect(await code(define(attributes))).toBe(0x9a2);
    expect(await clear(EMPTY)).toBe(TPM_RC.SUCCESS);
    expect(await code(define(attributes))).toBe(TPM_RC.SUCCESS);
  });

  it('lose what they own by Clear, unless that is switched off', async () => {
    await define(nvAttributes('ORDINARY', TPMA_NV.AUTHREAD, TPMA_NV.AUTHWRITE));
    await client.ClearControl({ auth: TPM_RH.LOCKOUT, disable: true });
    expect(await code(client.Clear({ authHandle: TPM_RH.LOCKOUT }))).toBe(TPM_RC.DISABLED);
    expect(await code(client.ClearControl({ auth: TPM_RH.LOCKOUT, disable: false }))).toBe(TPM_RC.AUTH_FAIL);
    await client.ClearControl({ auth: TPM_RH.PLATFORM, disable: false });
    await client.Clear({ authHandle: TPM_RH.LOCKOUT });
    expect(await code(client.NV_ReadPublic({ nvIndex: INDEX }))).toBe(0x18b); // TPM_RC_HANDLE, handle 1
    const { currentTime } = await client.ReadClock({});
    expect(currentTime.clockInfo).toMatchObject({ resetCount: 0, restartCount: 0, safe: true });
  });

  it('take a policy whose size fits its algorithm', async () => {
    const set = (authPolicy: Uint8Array, hashAlg: typeof TPM_ALG.SHA256 | typeof TPM_ALG.NULL) =>
      code(client.SetPrimaryPolicy({ authHandle: TPM_RH.OWNER, authPolicy, hashAlg }));
    expect(await set(new Uint8Array(32), TPM_ALG.SHA256)).toBe(TPM_RC.SUCCESS);
    expect(await set(new Uint8Array(20), TPM_ALG.SHA256)).toBe(atParameter(TPM_RC.SIZE, 1));
    expect(await set(new Uint8Array(32), TPM_ALG.NULL)).toBe(atParameter(TPM_RC.SIZE, 1));
    expect(await set(EMPTY, TPM_ALG.NULL)).toBe(TPM_RC.SUCCESS);
  });
});

describe('wrong guesses', () => {
  it('lock, are forgiven with time or by the lockout authority', async () => {
    await define(nvAttributes('ORDINARY', TPMA_NV.AUTHREAD, TPMA_NV.AUTHWRITE));
    const lockHandle = TPM_RH.LOCKOUT;
    await client.DictionaryAttackParameters({ lockHandle, newMaxTries: 2, newRecoveryTime: 10, lockoutRecovery: 20 });
    const guess = (pin: string) =>
      code(client.NV_Write({ authHandle: INDEX, nvIndex: INDEX, data: text('x'), offset: 0 }, { auth: text(pin) }));
    expect([await guess('a'), await guess('b'), await guess('pw')]).toEqual([0x98e, 0x98e, TPM_RC.LOCKOUT]);
    now += 10_000;
    expect(await guess('pw')).toBe(TPM_RC.SUCCESS);
    expect([await guess('a'), await guess('pw')]).toEqual([0x98e, TPM_RC.LOCKOUT]);
    await client.DictionaryAttackLockReset({ lockHandle });
    expect(await guess('pw')).toBe(TPM_RC.SUCCESS);
    expect(await code(client.DictionaryAttackLockReset({ lockHandle }, { auth: text('no') }))).toBe(0x98e);
    expect(await code(client.DictionaryAttackLockReset({ lockHandle }))).toBe(TPM_RC.LOCKOUT);
    now += 20_000;
    expect(await code(client.DictionaryAttackLockReset({ lockHandle }))).toBe(TPM_RC.SUCCESS);
  });
});

describe('clocks', () => {
  it('go forward only, and go on after a restart', async () => {
    now = 5000;
    expect((await client.ReadClock({})).currentTime.time).toBe(5000n);
    await client.ClockSet({ auth: TPM_RH.OWNER, newTime: 100_000n });
    expect(await code(client.ClockSet({ auth: TPM_RH.OWNER, newTime: 99_999n }))).toBe(atParameter(TPM_RC.VALUE, 1));
    expect(await code(client.ClockRateAdjust({ auth: TPM_RH.OWNER, rateAdjust: 4 }))).toBe(
      atParameter(TPM_RC.VALUE, 1),
    );
    now = 6000;
    await restart();
    const { currentTime } = await client.ReadClock({});
    expect(currentTime.time).toBe(0n);
    expect(currentTime.clockInfo.clock).toBeGreaterThanOrEqual(100_000n);
  });
});

describe('the platform', () => {
  it('has to show physical presence where it is asked for', async () => {
    const set = { auth: TPM_RH.PLATFORM, setList: [TPM_CC.Clear, TPM_CC.GetRandom], clearList: [] };
    const absent = atSession(TPM_RC.PP, 1);
    expect(await code(client.PP_Commands(set))).toBe(absent);
    tpm.setPhysicalPresence(true);
    await client.PP_Commands(set);
    tpm.setPhysicalPresence(false);
    expect(await code(client.Clear({ authHandle: TPM_RH.PLATFORM }))).toBe(absent);
    expect(await code(client.GetRandom({ bytesRequested: 1 }))).toBe(TPM_RC.SUCCESS);
    tpm.setPhysicalPresence(true);
    expect(await code(client.Clear({ authHandle: TPM_RH.PLATFORM }))).toBe(TPM_RC.SUCCESS);
  });

  it('gives PCR 20 to 22 an authorisation value, and others none', async () => {
    await client.PCR_SetAuthValue({ pcrHandle: 20, auth: text('pcr') });
    expect(await code(client.PCR_Reset({ pcrHandle: 20 }, { locality: 2 }))).toBe(0x9a2);
    expect(await code(client.PCR_Reset({ pcrHandle: 20 }, { locality: 2, auth: text('pcr') }))).toBe(TPM_RC.SUCCESS);
    expect(await code(client.PCR_SetAuthValue({ pcrHandle: 16, auth: text('pcr') }))).toBe(0x184);
    const policy = { authHandle: TPM_RH.PLATFORM, authPolicy: new Uint8Array(32), hashAlg: TPM_ALG.SHA256, pcrNum: 0 };
    expect(await code(client.PCR_SetAuthPolicy(policy))).toBe(atParameter(TPM_RC.VALUE, 3));
  });
});
