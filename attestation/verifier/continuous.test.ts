import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Authority, authority, der } from '../../test/support/certificate-authority.ts';
import { type SoftwareTpm, softwareTpm } from '../../test/support/software-tpm.ts';
import { encodeToy, toyFormat } from '../../test/support/toy-evidence.ts';
import { releaseUserData } from '../broker/release-binding.ts';
import { VerifierClient } from '../client.ts';
import { expireVerdicts } from './changes.ts';
import { createVerifier, type Verifier } from './verifier.ts';
import { webhookSignature } from './webhooks.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const PARTITION = { codeIdentity: 'aa'.repeat(32), signer: 'bb'.repeat(32), svn: 1, debug: false };
const KEY = new Uint8Array(32).fill(9);

describe('continuous attestation', () => {
  let verifier: Verifier;
  let base: string;
  let tpm: SoftwareTpm;
  let client: VerifierClient;
  let token: string;
  let now = new Date('2026-01-01T00:00:00Z');

  beforeEach(async () => {
    const manufacturer: Authority = await authority('Manufacturer');
    // Jobs are run by hand here: no test waits for a timer.
    verifier = await createVerifier({
      database: { memory: true },
      manufacturers: [der(manufacturer.certificate)],
      formats: [toyFormat],
      clock: () => now,
      jobs: false,
    });
    base = await verifier.listen();
    client = new VerifierClient(base);
    tpm = await softwareTpm(manufacturer);
    await client.enrol(tpm, 'host-1');
    token = await verifier.createToken('admin', ['admin']);
    const admin = new VerifierClient(base, { token });
    await admin.putReference('default', { pcr: 'good' });
    await admin.putResource('secret', { content: KEY, policy: { codeIdentity: [PARTITION.codeIdentity] } });
  });
  afterEach(() => verifier.close());

  async function ground(pcr = 'good') {
    const { id, nonce } = await client.challenge();
    const partition = { ...PARTITION, userData: hex(releaseUserData(KEY, nonce)) };
    return { challenge: id, evidence: encodeToy({ akName: hex(tpm.akName), nonce: hex(nonce), pcr, partition }) };
  }
  async function attest(pcr = 'good') {
    const { challenge, evidence } = await ground(pcr);
    return client.attest(challenge, evidence);
  }
  const call = (method: string, path: string, body?: object) =>
    fetch(`${base}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
    });
  const lease = async (id: string) => (await (await call('GET', `/v1/leases/${id}`)).json()) as { live: boolean };

  it('ends the leases of a platform that turns contraindicated, at once', async () => {
    const { lease: granted } = await client.release('secret', KEY, await ground());
    expect((await lease(granted.id)).live).toBe(true);
    expect((await attest('bad')).state).toBe('contraindicated');
    expect((await lease(granted.id)).live).toBe(false);
    const trail = await (await call('GET', '/v1/audit')).text();
    expect(trail).toContain('"action":"lease.revoke"');
  });

  it('does not take silence for tampering: an expired verdict ends no lease', async () => {
    const { lease: granted } = await client.release('secret', KEY, await ground());
    now = new Date(now.getTime() + 301_000);
    expect(await expireVerdicts(verifier.service.db, now)).toBe(1);
    expect(await expireVerdicts(verifier.service.db, now)).toBe(0);
    expect((await lease(granted.id)).live).toBe(true);
    const [platform] = (await (await call('GET', '/v1/platforms')).json()) as { state: string }[];
    expect(platform?.state).toBe('expired');
  });

  it('lets a lease run on, on a new verdict over its holder, and on nothing else', async () => {
    const { lease: granted } = await client.release('secret', KEY, await ground());
    now = new Date(now.getTime() + 3_000_000);
    const { result, state } = await attest();
    expect(state).toBe('affirming');
    expect((await client.renew(granted.id, result)).expiresAt).toEqual(new Date(now.getTime() + 3_600_000));
    now = new Date(now.getTime() + 3_000_000);
    expect((await lease(granted.id)).live).toBe(true);
    // The result is too old by now; and one without the partition is not of the holder.
    await expect(client.renew(granted.id, result)).rejects.toMatchObject({ code: 'result-refused' });
    const { id, nonce } = await client.challenge();
    const bare = await client.attest(id, encodeToy({ akName: hex(tpm.akName), nonce: hex(nonce), pcr: 'good' }));
    await expect(client.renew(granted.id, bare.result)).rejects.toMatchObject({
      code: 'release-refused',
      failed: ['code-identity', 'lease-holder'],
    });
    const before = await attest();
    await attest('bad');
    // Revoked is final: not even a good verdict from before brings the lease back.
    await expect(client.renew(granted.id, before.result)).rejects.toMatchObject({ code: 'lease-ended' });
    expect((await lease(granted.id)).live).toBe(false);
    await expect(client.renew('none', before.result)).rejects.toMatchObject({ code: 'lease-unknown' });
  });

  it('streams changes, and only changes, as server-sent events from where the listener stopped', async () => {
    await attest();
    await attest();
    await attest('bad');
    const stream = await fetch(`${base}/v1/events`, {
      headers: { authorization: `Bearer ${token}`, 'last-event-id': '0' },
    });
    expect(stream.headers.get('content-type')).toBe('text/event-stream');
    const reader = (stream.body as ReadableStream<Uint8Array>).getReader();
    let text = '';
    while (text.match(/^data: /gm)?.length !== 2) text += Buffer.from((await reader.read()).value ?? []).toString();
    await reader.cancel();
    const data = [...text.matchAll(/^data: (.*)$/gm)].map((match) => JSON.parse(match[1] ?? ''));
    expect(data.map(({ before, state }) => [before, state])).toEqual([
      ['unverified', 'affirming'],
      ['affirming', 'contraindicated'],
    ]);
    expect(data[1]).toMatchObject({ platform: 'host-1', failed: ['reference'] });
  });

  describe('webhooks', () => {
    let receiver: Server;
    let received: { id: string; signature: string; timestamp: number; body: string }[];
    let answer: number;
    let url: string;
    beforeEach(async () => {
      received = [];
      answer = 200;
      receiver = createServer((incoming, outgoing) => {
        let body = '';
        incoming.on('data', (chunk) => {
          body += chunk;
        });
        incoming.on('end', () => {
          const header = (name: string) => String(incoming.headers[name]);
          const timestamp = Number(header('webhook-timestamp'));
          received.push({ id: header('webhook-id'), signature: header('webhook-signature'), timestamp, body });
          outgoing.writeHead(answer).end();
        });
      });
      await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
      url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`;
    });
    afterEach(() => receiver.close());

    it('carry each change once, in order, signed with the secret of the hook', async () => {
      await attest();
      const { secret } = (await (await call('POST', '/v1/webhooks', { url })).json()) as { secret: string };
      await attest('bad');
      await attest('good');
      expect(await verifier.service.webhooks.deliver()).toBe(2);
      expect(await verifier.service.webhooks.deliver()).toBe(0);
      expect(received.map(({ body }) => JSON.parse(body).data.state)).toEqual(['contraindicated', 'affirming']);
      const key = Buffer.from(secret.replace('whsec_', ''), 'base64');
      for (const { id, timestamp, body, signature } of received) {
        expect(webhookSignature(key, id, timestamp, body)).toBe(signature);
      }
      expect(new Set(received.map(({ id }) => id)).size).toBe(2);
    });

    it('are tried again with a growing delay, and lose nothing', async () => {
      await call('POST', '/v1/webhooks', { url });
      answer = 500;
      await attest();
      expect(await verifier.service.webhooks.deliver()).toBe(0);
      expect(await verifier.service.webhooks.deliver()).toBe(0);
      expect(received).toHaveLength(1);
      answer = 200;
      now = new Date(now.getTime() + 16 * 60_000);
      expect(await verifier.service.webhooks.deliver()).toBe(1);
      expect(received.map(({ id }) => id)).toEqual([received[0]?.id, received[0]?.id]);
    });

    it('are refused for anything but HTTP', async () => {
      expect((await call('POST', '/v1/webhooks', { url: 'file:///etc/passwd' })).status).toBe(400);
    });
  });

  it('runs its jobs on the embedded database as on PostgreSQL', async () => {
    const { Jobs } = await import('./jobs.ts');
    let resolve = (): void => {};
    const ran = new Promise<void>((done) => {
      resolve = done;
    });
    const errors: unknown[] = [];
    const job = { name: 'once', everySeconds: 60, run: async () => resolve() };
    const jobs = new Jobs(verifier.service.db, [job], (_name, error) => errors.push(error));
    await jobs.start();
    await ran;
    await jobs.stop();
    expect(errors).toEqual([]);
  });
});
