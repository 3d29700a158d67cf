/** What a TPM keeps, loses and counts over shutdown, power loss and start-up. Part 1, sections 12.2.4, 19.8, 36, 37.7. */
import { beforeEach, describe, expect, it } from 'vitest';
import { TpmClient } from '../client/index.ts';
import { MemoryStore } from '../state/store.ts';
import { atParameter, nvAttributes, TPM_ALG, TPM_RC, TPM_RH, TPM_SU, TPMA_NV } from '../structures/index.ts';
import { Tpm } from '../tpm.ts';

const EMPTY = new Uint8Array(0);
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const { CLEAR, STATE } = TPM_SU;

let now = 0;
let tpm: Tpm;
let client: TpmClient;
beforeEach(async () => {
  now = 0;
  const onFault = (fault: unknown) => {
    throw fault;
  };
  tpm = await Tpm.create({ store: new MemoryStore(), clock: () => now, onFault });
  client = await TpmClient.of(tpm);
  await cycle(undefined, CLEAR);
});

type Su = typeof CLEAR | typeof STATE;
/** Shut down (or not), cut the power, switch it on, start up. */
async function cycle(shutdownType: Su | undefined, startupType: Su): Promise<void> {
  if (shutdownType !== undefined) await client.Shutdown({ shutdownType });
  tpm.powerOff();
  tpm.powerOn();
  await client.Startup({ startupType });
}

const code = (call: Promise<unknown>): Promise<number> =>
  call.then(
    () => TPM_RC.SUCCESS,
    (error: { code: number }) => error.code,
  );

describe('TPM2_Shutdown(STATE)', () => {
  const extend = () =>
    client.PCR_Extend({ pcrHandle: 0, digests: [{ hashAlg: TPM_ALG.SHA256, digest: new Uint8Array(32) }] });
  const start = async (startupType: Su) => {
    tpm.powerOff();
    tpm.powerOn();
    return code(client.Startup({ startupType }));
  };

  it('is taken back by a later extend: a PCR does not come back as it was before', async () => {
    await client.Shutdown({ shutdownType: STATE });
    await extend();
    expect(await start(STATE)).toBe(atParameter(TPM_RC.VALUE, 1));
    expect(await start(CLEAR)).toBe(TPM_RC.SUCCESS);
    expect((await client.ReadClock({})).currentTime.clockInfo.safe).toBe(false);
  });

  it('is taken back by a saved session context, which could be replayed; not by what changes nothing', async () => {
    const { handle: saveHandle } = await client.startSession();
    await client.Shutdown({ shutdownType: STATE });
    await client.ContextSave({ saveHandle });
    expect(await start(STATE)).toBe(atParameter(TPM_RC.VALUE, 1));
    expect(await start(CLEAR)).toBe(TPM_RC.SUCCESS);
    await client.Shutdown({ shutdownType: STATE });
    await client.GetRandom({ bytesRequested: 4 });
    expect(await code(client.PCR_Reset({ pcrHandle: 0 }))).not.toBe(TPM_RC.SUCCESS);
    expect(await start(STATE)).toBe(TPM_RC.SUCCESS);
  });

  it('keeps the authorisation value of PCR; a TPM Restart clears it', async () => {
    await client.PCR_SetAuthValue({ pcrHandle: 20, auth: text('pcr') });
    const reset = () => code(client.PCR_Reset({ pcrHandle: 20 }, { locality: 2, auth: text('pcr') }));
    await cycle(STATE, STATE);
    expect(await reset()).toBe(TPM_RC.SUCCESS);
    await cycle(STATE, CLEAR);
    expect(await reset()).not.toBe(TPM_RC.SUCCESS);
    expect(await code(client.PCR_Reset({ pcrHandle: 20 }, { locality: 2 }))).toBe(TPM_RC.SUCCESS);
  });

  it('lets no deadline of a saved policy session live on: Time starts again', async () => {
    const session = await client.startSession({ type: 'policy' });
    const secret = { nonceTPM: EMPTY, cpHashA: EMPTY, policyRef: EMPTY, expiration: 3600 };
    const authHandle = TPM_RH.ENDORSEMENT;
    await client.PolicySecret({ authHandle, policySession: session.handle, ...secret });
    const { policyDigest } = await client.PolicyGetDigest({ policySession: session.handle });
    await client.SetPrimaryPolicy({ authHandle: TPM_RH.OWNER, authPolicy: policyDigest, hashAlg: TPM_ALG.SHA256 });
    const use = () =>
      code(client.ClockSet({ auth: TPM_RH.OWNER, newTime: BigInt(now + 9_000_000) }, { auth: { session } }));
    const { context } = await client.ContextSave({ saveHandle: session.handle });
    await cycle(STATE, STATE);
    now += 10;
    await client.ContextLoad({ context });
    expect(await use()).toBe(0x9a3); // TPM_RC_EXPIRED, session 1
    await client.PolicyRestart({ sessionHandle: session.handle });
    await client.PolicySecret({ authHandle, policySession: session.handle, ...secret });
    expect(await use()).toBe(TPM_RC.SUCCESS);
  });
});

describe('dictionary attack protection over restarts', () => {
  const INDEX = 0x01500001;
  const guess = (pin: string) =>
    code(client.NV_Write({ authHandle: INDEX, nvIndex: INDEX, data: text('x'), offset: 0 }, { auth: text(pin) }));
  const settings = (lockoutRecovery: number) =>
    client.DictionaryAttackParameters({
      lockHandle: TPM_RH.LOCKOUT,
      newMaxTries: 1,
      newRecoveryTime: 10,
      lockoutRecovery,
    });
  beforeEach(async () => {
    const attributes = nvAttributes('ORDINARY', TPMA_NV.AUTHREAD, TPMA_NV.AUTHWRITE);
    const publicInfo = { nvIndex: INDEX, nameAlg: TPM_ALG.SHA256, attributes, authPolicy: EMPTY, dataSize: 8 };
    await client.NV_DefineSpace({ authHandle: TPM_RH.OWNER, auth: text('pw'), publicInfo });
  });

  it('counts the time that the TPM ran before an orderly restart, and not the time that it was off', async () => {
    await settings(20);
    await guess('wrong');
    now += 6_000;
    await client.Shutdown({ shutdownType: CLEAR });
    tpm.powerOff();
    now += 60_000;
    await cycle(undefined, CLEAR);
    now += 3_999;
    expect(await guess('pw')).toBe(TPM_RC.LOCKOUT);
    now += 1;
    expect(await guess('pw')).toBe(TPM_RC.SUCCESS);
  });

  it('goes on in a TPM that continues from volatile state', async () => {
    now = 50_000;
    await settings(20);
    await guess('wrong');
    now += 6_000;
    const volatile = tpm.exportVolatile();
    tpm.powerOff();
    await tpm.restore({ volatile });
    tpm.powerOn();
    now += 3_999;
    expect(await guess('pw')).toBe(TPM_RC.LOCKOUT);
    now += 1;
    expect(await guess('pw')).toBe(TPM_RC.SUCCESS);
  });

  it('brings the lockout authority back with a restart only, where lockoutRecovery is 0', async () => {
    await settings(0);
    const reset = (pin: string) =>
      code(client.DictionaryAttackLockReset({ lockHandle: TPM_RH.LOCKOUT }, { auth: text(pin) }));
    await reset('wrong');
    now += 1e9;
    expect(await reset('')).toBe(TPM_RC.LOCKOUT);
    await cycle(STATE, STATE);
    expect(await reset('')).toBe(TPM_RC.LOCKOUT);
    await cycle(CLEAR, CLEAR);
    expect(await reset('')).toBe(TPM_RC.SUCCESS);
  });
});

describe('TPM2_ClockRateAdjust', () => {
  it.each([
    [3, 1_010_000n],
    [-3, 990_000n],
    [2, 1_001_000n],
    [1, 1_000_100n],
  ])('step %i: 1,000 s of the host are %i ms of Time and Clock', async (rateAdjust, expected) => {
    await client.ClockRateAdjust({ auth: TPM_RH.OWNER, rateAdjust });
    now += 1_000_000;
    const { currentTime } = await client.ReadClock({});
    expect([currentTime.time, currentTime.clockInfo.clock]).toEqual([expected, expected]);
  });

  it('goes no further than 15 %, and does not move what has passed', async () => {
    now = 1_000_000;
    for (let i = 0; i < 20; i++) await client.ClockRateAdjust({ auth: TPM_RH.OWNER, rateAdjust: 3 });
    expect((await client.ReadClock({})).currentTime.time).toBe(1_000_000n);
    now += 1_000_000;
    expect((await client.ReadClock({})).currentTime.time).toBe(2_150_000n);
  });
});

describe('orderly NV indices', () => {
  const INDEX = 0x01500002;
  const define = (kind: 'COUNTER' | 'BITS') => {
    const attributes = nvAttributes(kind, TPMA_NV.OWNERREAD, TPMA_NV.OWNERWRITE, TPMA_NV.ORDERLY);
    const publicInfo = { nvIndex: INDEX, nameAlg: TPM_ALG.SHA256, attributes, authPolicy: EMPTY, dataSize: 8 };
    return client.NV_DefineSpace({ authHandle: TPM_RH.OWNER, auth: EMPTY, publicInfo });
  };
  const at = { authHandle: TPM_RH.OWNER, nvIndex: INDEX };
  const read = async () => {
    const { data } = await client.NV_Read({ ...at, size: 8, offset: 0 });
    return Buffer.from(data).readBigUInt64BE();
  };

  it('a counter is exact after an orderly shutdown, and never lower than it was after a disorderly one', async () => {
    await define('COUNTER');
    for (let i = 0; i < 300; i++) await client.NV_Increment(at);
    const before = await read();
    await cycle(CLEAR, CLEAR);
    expect(await read()).toBe(before);
    await client.NV_Increment(at);
    await cycle(undefined, CLEAR);
    expect(await read()).toBe((before + 1n) | 0xffn);
    await client.NV_Increment(at);
    await cycle(undefined, CLEAR);
    expect(await read()).toBeGreaterThan((before + 1n) | 0xffn);
  });

  it('other contents are kept by an orderly shutdown, and unwritten after a disorderly one', async () => {
    await define('BITS');
    await client.NV_SetBits({ ...at, bits: 5n });
    await cycle(STATE, STATE);
    expect(await read()).toBe(5n);
    await client.NV_SetBits({ ...at, bits: 2n });
    await cycle(undefined, CLEAR);
    expect(await code(read())).toBe(TPM_RC.NV_UNINITIALIZED);
  });
});
