/** What object commands allow. What they refuse: `refusals/`. */
import { beforeEach, describe, expect, it } from 'vitest';
import { TpmClient } from '../client/index.ts';
import { TPM_RH, TPM_SU, type TPMT_PUBLIC } from '../structures/index.ts';
import { Tpm } from '../tpm.ts';
import { ECDSA, EMPTY, ecc, HMAC, keyedHash, ORIGIN, rsa, SIGN, text } from './refusals/bench.test-support.ts';

let client: TpmClient;
beforeEach(async () => {
  const tpm = await Tpm.create();
  tpm.powerOn();
  client = await TpmClient.of(tpm);
  await client.Startup({ startupType: TPM_SU.CLEAR });
});

async function primary(inPublic: TPMT_PUBLIC, data = EMPTY, userAuth = EMPTY) {
  const rest = { inPublic, outsideInfo: EMPTY, creationPCR: [] };
  const made = await client.CreatePrimary({ primaryHandle: TPM_RH.OWNER, inSensitive: { userAuth, data }, ...rest });
  await client.FlushContext({ flushHandle: made.objectHandle });
  return made.name;
}

describe('primary keys', () => {
  it.each<[string, TPMT_PUBLIC]>([
    ['ECC', ecc(SIGN, { scheme: ECDSA })],
    ['RSA', rsa(SIGN)],
    ['HMAC', keyedHash(SIGN | ORIGIN, HMAC)],
  ])('%s: the caller’s data make another key, the same data the same', async (_, area) => {
    const plain = await primary(area);
    const mine = await primary(area, text('mine'));
    expect(mine).not.toEqual(plain);
    expect(await primary(area, text('yours'))).not.toEqual(mine);
    expect(await primary(area, text('mine'))).toEqual(mine);
    expect(await primary(area)).toEqual(plain);
  });
});

it('zeros at the end of an authorisation value do not count against its size', async () => {
  const padded = Uint8Array.of(1, 2, ...new Uint8Array(62));
  const inPublic = ecc(SIGN, { scheme: ECDSA });
  const inSensitive = { userAuth: padded, data: EMPTY };
  const rest = { inPublic, outsideInfo: EMPTY, creationPCR: [] };
  const { objectHandle } = await client.CreatePrimary({ primaryHandle: TPM_RH.OWNER, inSensitive, ...rest });
  const inScheme = { scheme: 0x10 } as const;
  const PCRselect: [] = [];
  const quote = { signHandle: objectHandle, qualifyingData: EMPTY, inScheme, PCRselect };
  await client.Quote(quote, { auth: Uint8Array.of(1, 2) });
});
