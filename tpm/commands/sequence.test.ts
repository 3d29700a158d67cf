/** Sequences in progress leave a TPM, in a saved context or with the TPM's own state, and go on in another. */
import { createHash, createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { TpmClient } from '../client/index.ts';
import { atParameter, TPM_ALG, TPM_RC, TPM_RH, TPM_SU, TPMA_OBJECT } from '../structures/index.ts';
import { Tpm } from '../tpm.ts';

const EMPTY = new Uint8Array(0);
const auth = new TextEncoder().encode('its own');
const message = Uint8Array.from({ length: 1000 }, (_, i) => i);
const KEY = new Uint8Array(32).fill(9);
const plain = (bytes: Uint8Array): Uint8Array => Uint8Array.from(bytes);

async function running(): Promise<{ tpm: Tpm; client: TpmClient }> {
  const tpm = await Tpm.create();
  tpm.powerOn();
  const client = await TpmClient.of(tpm);
  await client.Startup({ startupType: TPM_SU.CLEAR });
  return { tpm, client };
}

/** Another TPM with the same state, running on. */
async function migrated(from: Tpm): Promise<TpmClient> {
  const tpm = await Tpm.create();
  await tpm.restore({ permanent: from.exportPermanent(), volatile: from.exportVolatile() });
  tpm.powerOn();
  return TpmClient.of(tpm);
}

async function keyOf(client: TpmClient): Promise<number> {
  const { objectHandle } = await client.CreatePrimary({
    primaryHandle: TPM_RH.OWNER,
    inSensitive: { userAuth: EMPTY, data: KEY },
    inPublic: {
      type: TPM_ALG.KEYEDHASH,
      nameAlg: TPM_ALG.SHA256,
      objectAttributes: TPMA_OBJECT.sign | TPMA_OBJECT.userWithAuth | TPMA_OBJECT.fixedTPM | TPMA_OBJECT.fixedParent,
      authPolicy: EMPTY,
      parameters: { scheme: { scheme: TPM_ALG.HMAC, details: { hashAlg: TPM_ALG.SHA384 } } },
      unique: EMPTY,
    },
    outsideInfo: EMPTY,
    creationPCR: [],
  });
  return objectHandle;
}

const starts: [string, (client: TpmClient) => Promise<{ sequenceHandle: number }>, Uint8Array][] = [
  [
    'a hash',
    (client) => client.HashSequenceStart({ auth, hashAlg: TPM_ALG.SHA3_256 }),
    createHash('sha3-256').update(message).digest(),
  ],
  [
    'an HMAC',
    async (client) => client.HMAC_Start({ handle: await keyOf(client), auth, hashAlg: TPM_ALG.NULL }),
    createHmac('sha384', KEY).update(message).digest(),
  ],
];

const update = (client: TpmClient, sequenceHandle: number) =>
  client.SequenceUpdate({ sequenceHandle, buffer: message.subarray(0, 333) }, { auth });

async function finish(client: TpmClient, sequenceHandle: number): Promise<Uint8Array> {
  const rest = { sequenceHandle, buffer: message.subarray(333), hierarchy: TPM_RH.NULL };
  return (await client.SequenceComplete(rest, { auth })).result;
}

describe('a sequence in progress', () => {
  it.each(starts)('%s goes on where the TPM has moved to', async (_, start, expected) => {
    const { tpm, client } = await running();
    const { sequenceHandle } = await start(client);
    await update(client, sequenceHandle);
    expect(await finish(await migrated(tpm), sequenceHandle)).toEqual(plain(expected));
    expect(await finish(client, sequenceHandle)).toEqual(plain(expected));
  });

  it.each(starts)('%s goes on from its saved context, also where the TPM has moved to', async (_, start, expected) => {
    const { tpm, client } = await running();
    const { sequenceHandle } = await start(client);
    await update(client, sequenceHandle);
    const { context } = await client.ContextSave({ saveHandle: sequenceHandle });
    await client.FlushContext({ flushHandle: sequenceHandle });
    for (const where of [client, await migrated(tpm)]) {
      const { loadedHandle } = await where.ContextLoad({ context });
      expect(await finish(where, loadedHandle)).toEqual(plain(expected));
    }
  });

  it('an event sequence keeps a state for every bank', async () => {
    const { client } = await running();
    const { sequenceHandle } = await client.HashSequenceStart({ auth, hashAlg: TPM_ALG.NULL });
    await update(client, sequenceHandle);
    const { context } = await client.ContextSave({ saveHandle: sequenceHandle });
    const { loadedHandle } = await client.ContextLoad({ context });
    const end = { pcrHandle: 16, sequenceHandle: loadedHandle, buffer: message.subarray(333) };
    const { results } = await client.EventSequenceComplete(end, { auth: [{}, { authValue: auth }] });
    const expected = ['sha1', 'sha256', 'sha384', 'sha512'].map((name) => createHash(name).update(message).digest());
    expect(results.map(({ digest }) => digest)).toEqual(expected.map(plain));
  });

  it('a context of before a TPM Reset is refused: TPM_RC_INTEGRITY', async () => {
    const { tpm, client } = await running();
    const { sequenceHandle } = await client.HashSequenceStart({ auth, hashAlg: TPM_ALG.SHA256 });
    const { context } = await client.ContextSave({ saveHandle: sequenceHandle });
    tpm.powerOff();
    tpm.powerOn();
    await client.Startup({ startupType: TPM_SU.CLEAR });
    await expect(client.ContextLoad({ context })).rejects.toMatchObject({ code: atParameter(TPM_RC.INTEGRITY, 1) });
  });
});
