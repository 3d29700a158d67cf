import { beforeEach, describe, expect, it } from 'vitest';
import { TpmClient, TpmResponseError } from '../client/index.ts';
import { nvAttributes, TPM_ALG, TPM_CAP, TPM_PT, TPM_RC, TPM_RH, TPM_SU, TPMA_NV } from '../structures/index.ts';
import { Tpm } from '../tpm.ts';
import { NOT_IN_READ_ONLY } from './read-only.ts';

const EMPTY = new Uint8Array(0);
const INDEX = 0x01500020;
const own = { authHandle: INDEX, nvIndex: INDEX };
const data = Uint8Array.of(1, 2, 3, 4);

let tpm: Tpm;
let client: TpmClient;
beforeEach(async () => {
  tpm = await Tpm.create();
  tpm.powerOn();
  client = await TpmClient.of(tpm);
  await client.Startup({ startupType: TPM_SU.CLEAR });
});

const readOnly = (state: boolean) => client.ReadOnlyControl({ authHandle: TPM_RH.PLATFORM, state });
const code = (call: Promise<unknown>): Promise<number> =>
  call.then(
    () => TPM_RC.SUCCESS,
    (error: unknown) => (error instanceof TpmResponseError ? error.code : Promise.reject(error)),
  );
const define = (...more: number[]) => {
  const attributes = nvAttributes('ORDINARY', TPMA_NV.AUTHREAD, TPMA_NV.AUTHWRITE, TPMA_NV.NO_DA, ...more);
  const publicInfo = { nvIndex: INDEX, nameAlg: TPM_ALG.SHA256, attributes, authPolicy: EMPTY, dataSize: 4 };
  return client.NV_DefineSpace({ authHandle: TPM_RH.OWNER, auth: EMPTY, publicInfo });
};
const write = () => code(client.NV_Write({ ...own, data, offset: 0 }));
const reported = async () => {
  const query = { capability: TPM_CAP.TPM_PROPERTIES, property: TPM_PT.STARTUP_CLEAR, propertyCount: 1 };
  const { data: properties } = (await client.GetCapability(query)).capabilityData;
  return ((properties as { value: number }[])[0]?.value ?? 0) & 0x10;
};

describe('read-only mode', () => {
  it('is reported, and ends when the platform says so', async () => {
    expect(await reported()).toBe(0);
    await readOnly(true);
    expect(await reported()).toBe(0x10);
    expect(await code(define())).toBe(TPM_RC.READ_ONLY);
    await readOnly(false);
    expect(await code(define())).toBe(TPM_RC.SUCCESS);
  });

  it('refuses every command that it forbids before anything else', async () => {
    await readOnly(true);
    for (const forbidden of NOT_IN_READ_ONLY) {
      const bytes = Uint8Array.of(0x80, 1, 0, 0, 0, 10, 0, 0, forbidden >> 8, forbidden);
      const answer = await tpm.execute(bytes);
      expect(new DataView(answer.buffer, answer.byteOffset).getUint32(6)).toBe(TPM_RC.READ_ONLY);
    }
  });

  it('lets an index be read, and one be written that lives in memory until the next start', async () => {
    await define();
    expect(await write()).toBe(TPM_RC.SUCCESS);
    await readOnly(true);
    expect(await write()).toBe(TPM_RC.READ_ONLY);
    expect((await client.NV_Read({ ...own, size: 4, offset: 0 })).data).toEqual(data);
    await readOnly(false);
    await client.NV_UndefineSpace({ authHandle: TPM_RH.OWNER, nvIndex: INDEX });
    await define(TPMA_NV.ORDERLY, TPMA_NV.CLEAR_STCLEAR);
    await readOnly(true);
    expect(await write()).toBe(TPM_RC.SUCCESS);
  });

  it('refuses the use of a PIN, which would be counted', async () => {
    const attributes = nvAttributes('PIN_PASS', TPMA_NV.AUTHREAD, TPMA_NV.OWNERWRITE, TPMA_NV.NO_DA);
    const publicInfo = { nvIndex: INDEX, nameAlg: TPM_ALG.SHA256, attributes, authPolicy: EMPTY, dataSize: 8 };
    await client.NV_DefineSpace({ authHandle: TPM_RH.OWNER, auth: EMPTY, publicInfo });
    const limit = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 9);
    await client.NV_Write({ authHandle: TPM_RH.OWNER, nvIndex: INDEX, data: limit, offset: 0 });
    await readOnly(true);
    const { handle: policySession } = await client.startSession({ type: 'policy' });
    const rest = { nonceTPM: EMPTY, cpHashA: EMPTY, policyRef: EMPTY, expiration: 0 };
    expect(await code(client.PolicySecret({ authHandle: INDEX, policySession, ...rest }))).toBe(TPM_RC.READ_ONLY);
  });

  it('lasts over Startup(STATE), and ends with a restart', async () => {
    await readOnly(true);
    for (const [startupType, expected] of [
      [TPM_SU.STATE, 0x10],
      [TPM_SU.CLEAR, 0],
    ] as const) {
      await client.Shutdown({ shutdownType: TPM_SU.STATE });
      tpm.powerOn();
      await client.Startup({ startupType });
      expect(await reported()).toBe(expected);
    }
  });
});
