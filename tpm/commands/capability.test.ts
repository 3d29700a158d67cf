import { expect, it } from 'vitest';
import { TpmClient } from '../client/index.ts';
import { atParameter, TPM_CAP, TPM_RC, TPM_SU } from '../structures/index.ts';
import { Tpm } from '../tpm.ts';

it('lists no countdown timer, and refuses to list them from what is none', async () => {
  const tpm = await Tpm.create();
  tpm.powerOn();
  const client = await TpmClient.of(tpm);
  await client.Startup({ startupType: TPM_SU.CLEAR });
  const list = (property: number) => client.GetCapability({ capability: TPM_CAP.ACT, property, propertyCount: 4 });
  expect(await list(0x4000_0110)).toEqual({ moreData: false, capabilityData: { capability: TPM_CAP.ACT, data: [] } });
  for (const property of [0, 0x4000_010f, 0x4000_0120])
    await expect(list(property)).rejects.toMatchObject({ code: atParameter(TPM_RC.VALUE, 2) });
});
