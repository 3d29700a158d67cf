import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type Authority,
  authority,
  der,
  issue,
  newKeys,
  pem,
  privatePem,
} from '../../test/support/certificate-authority.ts';
import { type SoftwareTpm, softwareTpm } from '../../test/support/software-tpm.ts';
import { encodeToy, toyFormat } from '../../test/support/toy-evidence.ts';
import { serveAgent } from '../agent/serve.ts';
import { VerifierClient } from '../client.ts';
import { askAgentOver } from './ask-agent.ts';
import { pollNonce } from './nonces.ts';
import { createVerifier, type Verifier } from './verifier.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const SERVER_USAGE = '1.3.6.1.5.5.7.3.1';
const CLIENT_USAGE = '1.3.6.1.5.5.7.3.2';
const TOKEN = 'a token of the agent';

describe('polled agents', () => {
  let verifier: Verifier;
  let tpm: SoftwareTpm;
  let other: SoftwareTpm;
  let now = new Date('2026-01-01T00:00:00Z');
  /** What the agent does with a nonce. */
  let answer: (nonce: Uint8Array) => Promise<Uint8Array>;
  let agent: Awaited<ReturnType<typeof serveAgent>>;
  let call: (method: string, path: string, body?: object) => Promise<Response>;

  const evidenceOf = (from: SoftwareTpm) => async (nonce: Uint8Array) =>
    encodeToy({ akName: hex(from.akName), nonce: hex(nonce), pcr: 'good' });
  const state = async () => {
    const rows = (await (await call('GET', '/v1/platforms')).json()) as { id: string; state: string }[];
    return rows.find(({ id }) => id === 'host-1')?.state;
  };
  const poll = async () =>
    ((await (await call('GET', '/v1/polls')).json()) as { failures: number; lastError: string; nextAt: string }[])[0];
  const waits = async () => new Date((await poll())?.nextAt ?? 0).getTime() - now.getTime();

  beforeEach(async () => {
    const manufacturer: Authority = await authority('Manufacturer');
    verifier = await createVerifier({
      database: { memory: true },
      manufacturers: [der(manufacturer.certificate)],
      formats: [toyFormat],
      clock: () => now,
      jobs: false,
    });
    const base = await verifier.listen();
    const client = new VerifierClient(base);
    tpm = await softwareTpm(manufacturer);
    other = await softwareTpm(manufacturer);
    await client.enrol(tpm, 'host-1');
    await client.enrol(other, 'host-2');
    const token = await verifier.createToken('admin', ['admin']);
    await new VerifierClient(base, { token }).putReference('default', { pcr: 'good' });
    call = (method, path, body) =>
      fetch(`${base}${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
        ...(body && { body: JSON.stringify(body) }),
      });
    answer = evidenceOf(tpm);
    agent = await serveAgent({ agent: { evidence: (nonce) => answer(nonce) }, token: TOKEN });
  });
  afterEach(async () => {
    await agent.close();
    await verifier.close();
  });

  it('are asked when they are due, and no sooner', async () => {
    const put = await call('PUT', '/v1/platforms/host-1/poll', { url: agent.url, token: TOKEN, everySeconds: 60 });
    expect(put.status).toBe(204);
    expect(await verifier.service.polls.run()).toBe(1);
    expect(await state()).toBe('affirming');
    expect(await waits()).toBeGreaterThanOrEqual(54_000);
    expect(await waits()).toBeLessThanOrEqual(66_000);
    expect(await verifier.service.polls.run()).toBe(0);
    now = new Date(now.getTime() + 66_000);
    expect(await verifier.service.polls.run()).toBe(1);
    expect((await call('DELETE', '/v1/platforms/host-1/poll')).status).toBe(204);
    now = new Date(now.getTime() + 66_000);
    expect(await verifier.service.polls.run()).toBe(0);
  });

  it('that fail are asked again later and later, and their state is not touched', async () => {
    await call('PUT', '/v1/platforms/host-1/poll', { url: agent.url, token: TOKEN });
    await verifier.service.polls.run();
    answer = async () => Promise.reject(new Error('no TPM'));
    for (let failures = 1; failures <= 5; failures += 1) {
      now = new Date(now.getTime() + 15 * 60_000);
      expect(await verifier.service.polls.run()).toBe(0);
      expect(await poll()).toMatchObject({ failures, lastError: 'the agent answered with HTTP 500' });
      expect(await waits()).toBeGreaterThanOrEqual(1_000);
      expect(await waits()).toBeLessThanOrEqual(1_000 * 2 ** failures);
    }
    expect(await state()).not.toBe('contraindicated');
    answer = evidenceOf(tpm);
    now = new Date(now.getTime() + 15 * 60_000);
    expect(await verifier.service.polls.run()).toBe(1);
    expect(await poll()).toMatchObject({ failures: 0, lastError: null });
  });

  it('that answer for another machine are reported', async () => {
    answer = evidenceOf(other);
    await call('PUT', '/v1/platforms/host-1/poll', { url: agent.url, token: TOKEN });
    expect(await verifier.service.polls.run()).toBe(0);
    expect(await poll()).toMatchObject({ lastError: 'host-2 answers at this URL' });
    expect(await state()).toBe('unverified');
  });

  it('cannot be had to quote a nonce of the asker’s choice', async () => {
    const quoted: string[] = [];
    answer = async (nonce) => {
      quoted.push(hex(nonce));
      return evidenceOf(tpm)(nonce);
    };
    const nonce = new Uint8Array(32).fill(7);
    await askAgentOver()({ url: agent.url, token: TOKEN, nonce });
    expect(quoted).toEqual([hex(pollNonce(nonce))]);
    expect(quoted).not.toContain(hex(nonce));
  });

  it('hear nobody without their token, and do not start without one', async () => {
    const nonce = new Uint8Array(32);
    await expect(askAgentOver()({ url: agent.url, token: 'another', nonce })).rejects.toThrow('HTTP 401');
    await expect(askAgentOver()({ url: agent.url, token: undefined, nonce })).rejects.toThrow('HTTP 401');
    await expect(serveAgent({ agent: { evidence: answer } })).rejects.toMatchObject({ code: 'E_AGENT_OPEN' });
  });

  it('hear only certificates of their CA, where they have one', async () => {
    const ca = await authority('Fleet');
    const identity = async (issuer: Authority, usage: string) => {
      const keys = await newKeys();
      return { key: await privatePem(keys), cert: pem(der(await issue(issuer, keys.publicKey, usage))) };
    };
    const trusted = { ca: pem(der(ca.certificate)), checkServerIdentity: () => undefined };
    const serving = await serveAgent({
      agent: { evidence: (nonce) => answer(nonce) },
      tls: { ...(await identity(ca, SERVER_USAGE)), clientCa: trusted.ca },
    });
    const asked = { url: serving.url, token: undefined, nonce: new Uint8Array(32) };
    try {
      const mine = await identity(ca, CLIENT_USAGE);
      expect((await askAgentOver({ ...trusted, ...mine })(asked)).length).toBeGreaterThan(0);
      const forged = await identity(await authority('Fleet'), CLIENT_USAGE);
      await expect(askAgentOver({ ...trusted, ...forged })(asked)).rejects.toThrow();
      await expect(askAgentOver(trusted)(asked)).rejects.toThrow();
      // And an agent whose own certificate is of nobody's CA is not believed.
      await expect(askAgentOver({ ...mine })(asked)).rejects.toThrow();
    } finally {
      await serving.close();
    }
  });

  it('are enrolled ones, at a URL, asked for by an operator', async () => {
    expect((await call('PUT', '/v1/platforms/host-9/poll', { url: agent.url })).status).toBe(404);
    expect((await call('PUT', '/v1/platforms/host-1/poll', { url: 'file:///etc/shadow' })).status).toBe(400);
    expect((await call('DELETE', '/v1/platforms/host-1/poll')).status).toBe(404);
  });
});
