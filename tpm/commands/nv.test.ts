import { beforeEach, describe, expect, it } from 'vitest';
import { TpmClient } from '../client/index.ts';
import { MemoryStore } from '../state/store.ts';
import { atHandle, atParameter, nvAttributes, TPM_ALG, TPM_RC, TPM_RH, TPM_SU, TPMA_NV } from '../structures/index.ts';
import { Tpm } from '../tpm.ts';

const EMPTY = new Uint8Array(0);
const INDEX = 0x01500001;
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const AUTH_RW = [TPMA_NV.AUTHREAD, TPMA_NV.AUTHWRITE, TPMA_NV.NO_DA] as const;

let tpm: Tpm;
let client: TpmClient;
beforeEach(async () => {
  tpm = await Tpm.create({
    store: new MemoryStore(),
    onFault: (fault) => {
      throw fault;
    },
  });
  await restart();
});

async function restart(): Promise<void> {
  tpm.powerOff();
  tpm.powerOn();
  client = await TpmClient.of(tpm);
  await client.Startup({ startupType: TPM_SU.CLEAR });
}

function define(attributes: number, dataSize: number, more: { authHandle?: number; authPolicy?: Uint8Array } = {}) {
  const { authHandle = TPM_RH.OWNER, authPolicy = EMPTY } = more;
  const publicInfo = { nvIndex: INDEX, nameAlg: TPM_ALG.SHA256, attributes, authPolicy, dataSize } as const;
  return client.NV_DefineSpace({ authHandle, auth: text('pw'), publicInfo });
}

const own = { authHandle: INDEX, nvIndex: INDEX };
const byOwner = { authHandle: TPM_RH.OWNER, nvIndex: INDEX };
const password = { auth: text('pw') };
const read = async (size: number, offset = 0) => (await client.NV_Read({ ...own, size, offset }, password)).data;

async function code(call: Promise<unknown>): Promise<number> {
  try {
    await call;
    return TPM_RC.SUCCESS;
  } catch (error) {
    if (error instanceof Error && 'code' in error) return error.code as number;
    throw error;
  }
}

describe('an ordinary index', () => {
  it('is written, read in parts, and survives a power cycle', async () => {
    await define(nvAttributes('ORDINARY', ...AUTH_RW), 16);
    expect(await code(read(1))).toBe(TPM_RC.NV_UNINITIALIZED);
    await client.NV_Write({ ...own, data: text('abcd'), offset: 4 }, password);
    expect(await read(10)).toEqual(Uint8Array.of(255, 255, 255, 255, 97, 98, 99, 100, 255, 255));
    await restart();
    expect(await read(4, 4)).toEqual(text('abcd'));
    await client.NV_UndefineSpace(byOwner);
    expect(await code(client.NV_ReadPublic({ nvIndex: INDEX }))).toBe(atHandle(TPM_RC.HANDLE, 1));
  });

  it('is defined and described by the newer commands alike', async () => {
    const attributes = nvAttributes('ORDINARY', ...AUTH_RW);
    const nvIndex = { nvIndex: INDEX, nameAlg: TPM_ALG.SHA256, attributes, authPolicy: EMPTY, dataSize: 4 } as const;
    const publicInfo = { handleType: 1, nvIndex } as const;
    await client.NV_DefineSpace2({ authHandle: TPM_RH.OWNER, auth: EMPTY, publicInfo });
    const [old, newer] = [
      await client.NV_ReadPublic({ nvIndex: INDEX }),
      await client.NV_ReadPublic2({ nvIndex: INDEX }),
    ];
    expect(newer.nvPublic.nvIndex).toEqual(old.nvPublic);
    expect(newer.nvName).toEqual(old.nvName);
  });

  it('refuses what lies outside it', async () => {
    await define(nvAttributes('ORDINARY', ...AUTH_RW, TPMA_NV.WRITEALL), 8);
    const write = (size: number, offset: number) =>
      code(client.NV_Write({ ...own, data: new Uint8Array(size), offset }, password));
    expect(await write(4, 0)).toBe(TPM_RC.NV_RANGE);
    expect(await write(9, 0)).toBe(TPM_RC.NV_RANGE);
    expect(await write(0, 9)).toBe(atParameter(TPM_RC.VALUE, 2));
    expect(await write(8, 0)).toBe(TPM_RC.SUCCESS);
    expect(await code(read(1, 8))).toBe(TPM_RC.NV_RANGE);
    expect(await code(read(0, 9))).toBe(atParameter(TPM_RC.VALUE, 2));
    expect(await code(read(1025))).toBe(atParameter(TPM_RC.VALUE, 1));
  });

  it('lets owner and platform in by their attributes alone', async () => {
    await define(nvAttributes('ORDINARY', TPMA_NV.OWNERREAD, TPMA_NV.PPWRITE), 4);
    const data = text('1234');
    expect(await code(client.NV_Write({ ...byOwner, data, offset: 0 }))).toBe(TPM_RC.NV_AUTHORIZATION);
    await client.NV_Write({ authHandle: TPM_RH.PLATFORM, nvIndex: INDEX, data, offset: 0 });
    expect((await client.NV_Read({ ...byOwner, size: 4, offset: 0 })).data).toEqual(data);
    const platform = { authHandle: TPM_RH.PLATFORM, nvIndex: INDEX };
    expect(await code(client.NV_Read({ ...platform, size: 4, offset: 0 }))).toBe(TPM_RC.NV_AUTHORIZATION);
  });

  it('counts a wrong password where that is not switched off', async () => {
    await define(nvAttributes('ORDINARY', TPMA_NV.AUTHREAD, TPMA_NV.AUTHWRITE), 4);
    const wrong = client.NV_Write({ ...own, data: text('x'), offset: 0 }, { auth: text('no') });
    expect(await code(wrong)).toBe(0x98e); // TPM_RC_AUTH_FAIL, session 1
  });
});

describe('locks', () => {
  it('hold until the next start, or for ever with WRITEDEFINE once written', async () => {
    await define(nvAttributes('ORDINARY', ...AUTH_RW, TPMA_NV.WRITE_STCLEAR, TPMA_NV.READ_STCLEAR), 4);
    const write = () => code(client.NV_Write({ ...own, data: text('abcd'), offset: 0 }, password));
    expect(await write()).toBe(TPM_RC.SUCCESS);
    await client.NV_WriteLock(own, password);
    await client.NV_WriteLock(own, password);
    expect(await write()).toBe(TPM_RC.NV_LOCKED);
    await client.NV_ReadLock(own, password);
    expect(await code(read(1))).toBe(TPM_RC.NV_LOCKED);
    await restart();
    expect([await write(), await code(read(1))]).toEqual([TPM_RC.SUCCESS, TPM_RC.SUCCESS]);
    await client.NV_UndefineSpace(byOwner);
    await define(nvAttributes('ORDINARY', ...AUTH_RW, TPMA_NV.WRITEDEFINE), 4);
    await write();
    await client.NV_WriteLock(own, password);
    await restart();
    expect(await write()).toBe(TPM_RC.NV_LOCKED);
  });

  it('are refused where the index has none, and set on all with GLOBALLOCK', async () => {
    await define(nvAttributes('ORDINARY', ...AUTH_RW, TPMA_NV.GLOBALLOCK), 4);
    expect(await code(client.NV_WriteLock(own, password))).toBe(atHandle(TPM_RC.ATTRIBUTES, 2));
    expect(await code(client.NV_ReadLock(own, password))).toBe(atHandle(TPM_RC.ATTRIBUTES, 2));
    await client.NV_GlobalWriteLock({ authHandle: TPM_RH.OWNER });
    const write = client.NV_Write({ ...own, data: text('a'), offset: 0 }, password);
    expect(await code(write)).toBe(TPM_RC.NV_LOCKED);
  });
});

describe('special kinds', () => {
  it('a counter only rises, also over its own deletion', async () => {
    const counter = nvAttributes('COUNTER', ...AUTH_RW);
    await define(counter, 8);
    for (let i = 0; i < 3; i++) await client.NV_Increment(own, password);
    expect((await read(8))[7]).toBe(3);
    expect(await code(client.NV_Write({ ...own, data: text('x'), offset: 0 }, password))).toBe(TPM_RC.ATTRIBUTES);
    await client.NV_UndefineSpace(byOwner);
    await restart();
    await define(counter, 8);
    await client.NV_Increment(own, password);
    expect((await read(8))[7]).toBe(4);
  });

  it('bits are only added, an extend index is a hash chain', async () => {
    await define(nvAttributes('BITS', ...AUTH_RW), 8);
    await client.NV_SetBits({ ...own, bits: 5n }, password);
    await client.NV_SetBits({ ...own, bits: 1n << 63n }, password);
    expect(await read(8)).toEqual(Uint8Array.of(128, 0, 0, 0, 0, 0, 0, 5));
    await client.NV_UndefineSpace(byOwner);
    await define(nvAttributes('EXTEND', ...AUTH_RW), 32);
    await client.NV_Extend({ ...own, data: text('abc') }, password);
    expect(await read(32)).toEqual(client.crypto.hash(TPM_ALG.SHA256, new Uint8Array(32), text('abc')));
    expect(await code(client.NV_Increment(own, password))).toBe(atHandle(TPM_RC.ATTRIBUTES, 2));
  });

  it('an index by PIN fail closes its authorisation at the limit', async () => {
    await define(nvAttributes('PIN_FAIL', TPMA_NV.OWNERWRITE, TPMA_NV.AUTHREAD, TPMA_NV.NO_DA), 8);
    await client.NV_Write({ ...byOwner, data: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 2), offset: 0 });
    const guess = (pin: string) => code(client.NV_Read({ ...own, size: 8, offset: 0 }, { auth: text(pin) }));
    expect(await guess('pw')).toBe(TPM_RC.SUCCESS);
    expect([await guess('no'), await guess('no')]).toEqual([0x9a2, 0x9a2]); // TPM_RC_BAD_AUTH, session 1
    expect(await guess('pw')).toBe(TPM_RC.AUTH_UNAVAILABLE);
    await client.NV_Write({ ...byOwner, data: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 2), offset: 0 });
    expect(await guess('pw')).toBe(TPM_RC.SUCCESS);
  });
});

describe('NV_DefineSpace refuses', () => {
  const rw = AUTH_RW.reduce((all, bit) => all | bit, 0);
  it.each([
    ['no writer', nvAttributes('ORDINARY', TPMA_NV.AUTHREAD), 4],
    ['no reader', nvAttributes('ORDINARY', TPMA_NV.AUTHWRITE), 4],
    ['WRITTEN by the caller', nvAttributes('ORDINARY', rw, TPMA_NV.WRITTEN), 4],
    ['an unknown kind', (rw | 0x30) >>> 0, 4],
    ['a counter that start-up clears', nvAttributes('COUNTER', rw, TPMA_NV.CLEAR_STCLEAR), 8],
    ['POLICY_DELETE by the owner', nvAttributes('ORDINARY', rw, TPMA_NV.POLICY_DELETE), 4],
    ['a PIN that its own auth writes', nvAttributes('PIN_PASS', rw), 8],
  ])('%s', async (_, attributes, size) => {
    expect(await code(define(attributes, size))).toBe(atParameter(TPM_RC.ATTRIBUTES, 2));
  });

  it('PLATFORMCREATE by the owner, which is about the authority', async () => {
    const attributes = nvAttributes('ORDINARY', rw, TPMA_NV.PLATFORMCREATE);
    expect(await code(define(attributes, 4))).toBe(atHandle(TPM_RC.ATTRIBUTES, 1));
  });

  it('sizes that do not fit, and an index that exists', async () => {
    const size = atParameter(TPM_RC.SIZE, 2);
    expect(await code(define(nvAttributes('COUNTER', rw), 7))).toBe(size);
    expect(await code(define(nvAttributes('EXTEND', rw), 20))).toBe(size);
    expect(await code(define(nvAttributes('ORDINARY', rw), 2049))).toBe(size);
    expect(await code(define(nvAttributes('ORDINARY', rw), 4, { authPolicy: text('short') }))).toBe(size);
    await define(nvAttributes('ORDINARY', rw), 4);
    expect(await code(define(nvAttributes('ORDINARY', rw), 4))).toBe(TPM_RC.NV_DEFINED);
  });

  it('to let the owner delete what the platform made', async () => {
    const attributes = nvAttributes('ORDINARY', rw, TPMA_NV.PLATFORMCREATE);
    await define(attributes, 4, { authHandle: TPM_RH.PLATFORM });
    expect(await code(client.NV_UndefineSpace(byOwner))).toBe(TPM_RC.NV_AUTHORIZATION);
    await client.NV_UndefineSpace({ authHandle: TPM_RH.PLATFORM, nvIndex: INDEX });
  });
});
