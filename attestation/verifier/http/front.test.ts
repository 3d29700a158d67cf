import { createServer } from 'node:http';
import { request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  type Authority,
  authority,
  der,
  issue,
  newKeys,
  pem,
  privatePem,
} from '../../../test/support/certificate-authority.ts';
import { toyFormat } from '../../../test/support/toy-evidence.ts';
import { createVerifier, type Verifier, type VerifierOptions } from '../verifier.ts';

const json = async (response: Response) => (await response.json()) as Record<string, unknown>;

describe('the front of the verifier', () => {
  let verifier: Verifier | undefined;
  afterEach(async () => {
    await verifier?.close();
    verifier = undefined;
  });

  async function start(options: Partial<VerifierOptions>): Promise<string> {
    verifier = await createVerifier({
      database: { memory: true },
      manufacturers: [],
      formats: [toyFormat],
      ...options,
    });
    return verifier.listen();
  }

  it('limits the rate of each caller, and refills with time', async () => {
    let now = Date.now();
    const base = await start({ rateLimit: { perSecond: 1, burst: 3 }, clock: () => new Date(now) });
    const challenge = () => fetch(`${base}/v1/challenges`, { method: 'POST' });
    for (let count = 0; count < 3; count += 1) expect((await challenge()).status).toBe(201);
    const refused = await challenge();
    expect(refused.status).toBe(429);
    expect(await json(refused)).toMatchObject({ code: 'rate-limited', remedy: expect.stringContaining('1 s') });
    expect((await fetch(`${base}/healthz`)).status).toBe(200);
    now += 1000;
    expect((await challenge()).status).toBe(201);
  });

  it('counts clients behind a proxy that it trusts one by one, and believes no other', async () => {
    const statuses = async (trustedProxies: readonly string[]) => {
      await verifier?.close();
      const base = await start({ rateLimit: { perSecond: 1, burst: 1 }, clock: () => new Date(0), trustedProxies });
      const from = (client: string) =>
        fetch(`${base}/v1/challenges`, { method: 'POST', headers: { 'x-forwarded-for': client } });
      return [(await from('192.0.2.1')).status, (await from('192.0.2.2')).status, (await from('192.0.2.2')).status];
    };
    expect(await statuses(['127.0.0.0/8'])).toEqual([201, 201, 429]);
    expect(await statuses(['10.0.0.0/8'])).toEqual([201, 429, 429]);
    expect(await statuses([])).toEqual([201, 429, 429]);
  });

  it('limits the size of a body', async () => {
    const base = await start({ bodyLimit: 1000 });
    const response = await fetch(`${base}/v1/attestations`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ challenge: 'x', evidence: 'A'.repeat(2000) }),
    });
    expect(await json(response)).toMatchObject({ status: 413, code: 'payload-too-large' });
  });

  it('serves Prometheus metrics to an auditor', async () => {
    const base = await start({});
    expect((await fetch(`${base}/metrics`)).status).toBe(401);
    await fetch(`${base}/v1/challenges`, { method: 'POST' });
    const token = await verifier?.createToken('prometheus', ['auditor']);
    const text = await (await fetch(`${base}/metrics`, { headers: { authorization: `Bearer ${token}` } })).text();
    expect(text).toContain(
      'nexus_verifier_http_request_seconds_count{method="POST",route="/v1/challenges",status="201"} 1',
    );
  });

  it('keeps tenants apart', async () => {
    const base = await start({});
    const root = await verifier?.createToken('root', ['admin']);
    const call = (token: unknown, method: string, path: string, body?: object) =>
      fetch(`${base}${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
        ...(body && { body: JSON.stringify(body) }),
      });
    const { token } = await json(
      await call(root, 'POST', '/v1/tokens', { name: 'a', roles: ['admin'], tenant: 'acme' }),
    );
    expect((await call(token, 'PUT', '/v1/references/default', { pcr: 'theirs' })).status).toBe(200);
    expect(await json(await call(root, 'GET', '/v1/references'))).toEqual([]);
    expect(await json(await call(token, 'GET', '/v1/references'))).toMatchObject([{ body: { pcr: 'theirs' } }]);
    const other = await call(token, 'POST', '/v1/tokens', { name: 'b', roles: ['admin'], tenant: 'default' });
    expect(other.status).toBe(403);
    const trail = (await (await call(token, 'GET', '/v1/audit')).text()).trimEnd().split('\n');
    expect(trail.map((line) => JSON.parse(line).tenant)).toEqual(expect.not.arrayContaining(['default']));
  });

  describe('OpenID Connect', () => {
    const provider = createServer();
    let issuer: string;
    let keys: Awaited<ReturnType<typeof generateKeyPair>>;
    beforeAll(async () => {
      keys = await generateKeyPair('ES256');
      const jwk = { ...(await exportJWK(keys.publicKey)), alg: 'ES256', kid: 'k' };
      provider.on('request', (incoming, outgoing) => {
        const discovery = incoming.url?.includes('openid-configuration');
        outgoing.setHeader('content-type', 'application/json');
        outgoing.end(JSON.stringify(discovery ? { issuer, jwks_uri: `${issuer}/keys` } : { keys: [jwk] }));
      });
      await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve));
      issuer = `http://127.0.0.1:${(provider.address() as AddressInfo).port}`;
    });
    afterAll(() => provider.close());

    const tokenOf = (claims: { aud: string; exp: string; roles: string[] }) =>
      new SignJWT({ roles: claims.roles, org: 'acme' })
        .setProtectedHeader({ alg: 'ES256', kid: 'k' })
        .setIssuer(issuer)
        .setSubject('alice')
        .setAudience(claims.aud)
        .setIssuedAt()
        .setExpirationTime(claims.exp)
        .sign(keys.privateKey);

    it('maps the roles and the tenant of a token that the provider signed, and refuses others', async () => {
      const base = await start({ oidc: [{ issuer, audience: 'verifier', tenantClaim: 'org' }] });
      const list = async (token: string) =>
        (await fetch(`${base}/v1/references`, { headers: { authorization: `Bearer ${token}` } })).status;
      const good = { aud: 'verifier', exp: '5m', roles: ['operator', 'unheard-of'] };
      expect(await list(await tokenOf(good))).toBe(200);
      expect(await list(await tokenOf({ ...good, roles: ['broker'] }))).toBe(403);
      expect(await list(await tokenOf({ ...good, aud: 'other' }))).toBe(401);
      expect(await list(await tokenOf({ ...good, exp: '-1m' }))).toBe(401);
      expect(await list(`${(await tokenOf(good)).slice(0, -6)}AAAAAA`)).toBe(401);
      const unsigned = `${btoa('{"alg":"none"}')}.${btoa(JSON.stringify({ iss: issuer, aud: 'verifier', sub: 'x', exp: 9e9 }))}.`;
      expect(await list(unsigned.replaceAll('=', ''))).toBe(401);
    });
  });

  describe('mutual TLS', () => {
    let ca: Authority;
    beforeAll(async () => {
      ca = await authority('Clients');
    });

    it('gives roles to the certificate that a rule names, and none to a stranger', async () => {
      const [server, client] = [await newKeys(), await newKeys()];
      const serverCertificate = await issue(ca, server.publicKey, '1.3.6.1.5.5.7.3.1');
      const clientCertificate = await issue(ca, client.publicKey, '1.3.6.1.5.5.7.3.2');
      const base = await start({
        tls: { key: await privatePem(server), cert: pem(der(serverCertificate)), clientCa: pem(der(ca.certificate)) },
        certificates: [{ commonName: 'EK', roles: ['operator'] }],
      });
      const status = (credentials: object) =>
        new Promise<number | undefined>((resolve, reject) => {
          const options = { ...credentials, ca: pem(der(ca.certificate)), checkServerIdentity: () => undefined };
          request(`${base}/v1/references`, options, (response) => {
            response.resume();
            resolve(response.statusCode);
          })
            .on('error', reject)
            .end();
        });
      expect(base).toMatch(/^https:/);
      expect(await status({ key: await privatePem(client), cert: pem(der(clientCertificate)) })).toBe(200);
      expect(await status({})).toBe(401);
      const stranger = await authority('Clients');
      const forged = await issue(stranger, client.publicKey, '1.3.6.1.5.5.7.3.2');
      expect(await status({ key: await privatePem(client), cert: pem(der(forged)) })).toBe(401);
    });
  });
});
