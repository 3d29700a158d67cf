import { expect, it } from 'vitest';
import { TpmClient } from '../client/index.ts';
import { TPM_RC, TPM_SU, TPMA_SESSION } from '../structures/index.ts';
import { Tpm } from '../tpm.ts';

/** TPM2_ReadClock, audited by a session, with no caller's nonce and this HMAC. */
function auditedReadClock(session: number, hmac: readonly number[]): Uint8Array {
  const attributes = TPMA_SESSION.audit | TPMA_SESSION.continueSession;
  const area = [...u32(session), 0, 0, attributes, 0, hmac.length, ...hmac];
  const body = [...u32(0x181), ...u32(area.length), ...area];
  return Uint8Array.of(0x80, 0x02, ...u32(6 + body.length), ...body);
}

const u32 = (value: number): number[] => [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];

it('without a key a session needs no HMAC and gives none; a wrong one is refused', async () => {
  const tpm = await Tpm.create();
  tpm.powerOn();
  const client = await TpmClient.of(tpm);
  await client.Startup({ startupType: TPM_SU.CLEAR });
  const { handle } = await client.startSession({ type: 'hmac' });
  const bare = await tpm.execute(auditedReadClock(handle, []));
  expect(bare.subarray(6, 10)).toEqual(Uint8Array.from(u32(TPM_RC.SUCCESS)));
  expect(bare.subarray(-2)).toEqual(Uint8Array.of(0, 0));
  const wrong = await tpm.execute(auditedReadClock(handle, new Array(32).fill(1)));
  expect(wrong.subarray(6)).toEqual(Uint8Array.from(u32(TPM_RC.BAD_AUTH | 0x900)));
});
