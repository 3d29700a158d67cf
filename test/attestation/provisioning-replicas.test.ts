/** CoRIM on PostgreSQL: what one replica is told, every other goes by at its next appraisal. */
import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { VerifierClient } from '../../attestation/client.ts';
import { SHA256 } from '../../attestation/hash.ts';
import { createVerifier, type Verifier } from '../../attestation/verifier/verifier.ts';
import { Postgres, postgresPrograms } from '../support/postgres.ts';
import { base64, signedCorim } from './corim.ts';
import { type EnrolledMachine, enrolledMachine } from './enrolled-machine.ts';

const programs = postgresPrograms();
const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const keyEncryptionKey = { passphrase: 'the same on each' };
let server: Postgres;
let host: EnrolledMachine;
let other: Verifier;
let operator: VerifierClient;

beforeAll(async () => {
  if (programs === undefined) return;
  server = await Postgres.start(programs);
  const database = { url: server.url };
  host = await enrolledMachine({ clock: () => new Date(), database, keyEncryptionKey });
  other = await createVerifier({ database, keyEncryptionKey, manufacturers: [], jobs: false });
  operator = new VerifierClient(await other.listen(), { token: await other.createToken('operator', ['operator']) });
}, 120_000);
afterAll(async () => {
  await other?.close();
  await host?.verifier.close();
  await server?.stop();
});

test.skipIf(programs === undefined)(
  'provisioned, revoked and removed on one, it counts so on the other (skipped without PostgreSQL)',
  async () => {
    const state = async () => (await host.attest()).state;
    const pcr7 = host.machine.parts().pcrs.get(SHA256.id)?.get(7) ?? new Uint8Array();
    const bytes = signedCorim({ registers: { 7: [pcr7] } }, privateKey);
    await operator.putReference('default', host.reference({ endorsements: [{ endorser: 'acme' }] }));
    expect(await state()).toBe('contraindicated');
    await operator.putEndorser('acme', { keys: [base64(publicKey.export({ format: 'der', type: 'spki' }))] });
    // Sent to both at once it is one record.
    const sent = await Promise.all([operator.provision(bytes), host.admin.provision(bytes), operator.provision(bytes)]);
    expect(new Set(sent.map(({ id }) => id)).size).toBe(1);
    const [{ id }] = sent;
    expect(await host.admin.endorsements()).toMatchObject([{ id, endorser: 'acme', state: 'in-force' }]);
    expect(await state()).toBe('affirming');
    await operator.revokeEndorsement(id, 'recalled');
    expect(await state()).toBe('revoked');
    await operator.removeEndorsement(id);
    expect(await state()).toBe('contraindicated');
  },
  120_000,
);
