import { createHash, randomBytes } from 'node:crypto';
import { x25519 } from '@noble/curves/ed25519.js';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Authority, authority } from '../../test/support/certificate-authority.ts';
import { publicArea, type SoftwareTpm, softwareTpm } from '../../test/support/software-tpm.ts';
import { encodeToy, toyFormat } from '../../test/support/toy-evidence.ts';
import { hpkeOpen } from '../broker/hpke.ts';
import { RELEASE_INFO, releaseUserData } from '../broker/release-binding.ts';
import { VerifierClient } from '../client.ts';
import { type PublicJwk, verification } from '../crypto/port.ts';
import { verifyEarCwt } from '../ear/cwt.ts';
import { verifyAudit } from './audit-chain.ts';
import { ATTRIBUTE } from './tpm-public.ts';
import { createVerifier, type Verifier } from './verifier.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const IDENTITY = 'aa'.repeat(32);
const SIGNER = 'bb'.repeat(32);

describe('the verifier, over HTTP', () => {
  let manufacturer: Authority;
  let verifier: Verifier;
  let base: string;
  let client: VerifierClient;
  let admin: VerifierClient;
  let adminToken: string;
  let tpm: SoftwareTpm;
  let offset = 0;

  beforeAll(async () => {
    manufacturer = await authority('Manufacturer');
    verifier = await createVerifier({
      database: { memory: true },
      manufacturers: [new Uint8Array(manufacturer.certificate.toSchema(true).toBER())],
      formats: [toyFormat],
      clock: () => new Date(Date.now() + offset),
    });
    base = await verifier.listen();
    client = new VerifierClient(base);
    adminToken = await verifier.createToken('admin', ['admin']);
    admin = new VerifierClient(base, { token: adminToken });
    tpm = await softwareTpm(manufacturer);
    await client.enrol(tpm, 'host-1');
    await admin.putReference('default', { pcr: 'good' });
  });
  afterAll(() => verifier.close());

  /** Evidence of `host-1` over a fresh nonce, for a guest with the given key. */
  async function evidenceFor(key: Uint8Array, change: object = {}) {
    const { id, nonce } = await client.challenge();
    const partition = {
      codeIdentity: IDENTITY,
      signer: SIGNER,
      svn: 3,
      debug: false,
      userData: hex(releaseUserData(key, nonce)),
    };
    const evidence = {
      akName: hex(tpm.akName),
      nonce: hex(nonce),
      pcr: 'good',
      partition: { ...partition, ...change },
    };
    return { challenge: id, evidence: encodeToy(evidence) };
  }

  describe('enrolment', () => {
    it.each(['ec', 'rsa'] as const)('accepts a platform whose TPM activates the credential (%s EK)', async (type) => {
      const other = await softwareTpm(manufacturer, type);
      const { platform } = await client.enrol(other);
      expect(platform).toMatch(/^ek-[0-9a-f]{32}$/);
    });

    it('stores nothing before proof of possession, and a wrong secret ends it', async () => {
      const other = await softwareTpm(manufacturer);
      const thief = { ...other, activate: async () => randomBytes(32) };
      await expect(client.enrol(thief, 'stolen')).rejects.toMatchObject({
        code: 'activation-refused',
        failed: ['proof-of-possession'],
      });
      const platforms = await verifier.service.platforms.list('default');
      expect(platforms.map((platform) => platform.id)).not.toContain('stolen');
    });

    it('lets one secret be tried once', async () => {
      const other = await softwareTpm(manufacturer);
      let path = '';
      const spy: typeof fetch = (url, init) => {
        path = String(url);
        return fetch(url, init);
      };
      const thief = { ...other, activate: async () => randomBytes(32) };
      await expect(new VerifierClient(base, { fetch: spy }).enrol(thief, 'twice')).rejects.toThrow();
      const again = await fetch(path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ secret: '' }),
      });
      expect(await again.json()).toMatchObject({ status: 404, code: 'enrolment-unknown' });
    });

    it('cannot be finished by one who only watched: no reply holds the secret or what would check it (CVE-2023-38201)', async () => {
      const other = await softwareTpm(manufacturer);
      const replies: string[] = [];
      const spy: typeof fetch = async (url, init) => {
        const response = await fetch(url, init);
        replies.push(await response.clone().text());
        return response;
      };
      let secret: Uint8Array = new Uint8Array(0);
      const honest = {
        ...other,
        async activate(credentialBlob: Uint8Array, encryptedSecret: Uint8Array) {
          secret = await other.activate(credentialBlob, encryptedSecret);
          const pending = await verifier.service.db.selectFrom('pending_enrolment').selectAll().execute();
          const [row] = pending.filter((candidate) => candidate.platform === 'watched');
          // Not even the database has it, so that its reader cannot finish the enrolment either.
          expect(Buffer.from(row?.secret_hash ?? []).equals(createHash('sha256').update(secret).digest())).toBe(true);
          return secret;
        },
      };
      await new VerifierClient(base, { fetch: spy }).enrol(honest, 'watched');
      const forms = [secret, createHash('sha256').update(secret).digest()].flatMap((bytes) => [
        Buffer.from(bytes).toString('base64url'),
        hex(bytes),
      ]);
      for (const reply of replies) for (const form of forms) expect(reply).not.toContain(form);
      // The proof is spent with its enrolment: what was overheard finishes no other.
      const thief = { ...(await softwareTpm(manufacturer)), activate: async () => secret };
      await expect(client.enrol(thief, 'thief')).rejects.toMatchObject({ code: 'activation-refused' });
    });

    it('never lets a second TPM take a name, nor one TPM two names (CVE-2025-13609)', async () => {
      const other = await softwareTpm(manufacturer);
      const taken = { code: 'platform-taken', failed: ['platform-identity'] };
      await expect(client.enrol(other, 'host-1')).rejects.toMatchObject(taken);
      await expect(client.enrol(tpm, 'host-2')).rejects.toMatchObject(taken);
      const { id, akName } = (await verifier.service.platforms.list('default')).find((p) => p.id === 'host-1') ?? {};
      expect([id, akName]).toEqual(['host-1', hex(tpm.akName)]);
    });

    it('of two TPMs that race for a name, one wins', async () => {
      const rivals = await Promise.all([1, 2, 3, 4].map(() => softwareTpm(manufacturer)));
      const results = await Promise.allSettled(rivals.map((rival) => client.enrol(rival, 'wanted')));
      expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(1);
      for (const result of results) {
        if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'platform-taken' });
      }
    });

    it('refuses an EK of a stranger, a certificate of another EK, and keys that are no EK or AK (CVE-2021-3406)', async () => {
      const stranger = await softwareTpm(await authority('Manufacturer'));
      await expect(client.enrol(stranger)).rejects.toMatchObject({ code: 'ek-untrusted' });
      const other = await softwareTpm(manufacturer);
      const borrowed = { ...stranger, ekCertificates: other.ekCertificates };
      await expect(client.enrol(borrowed)).rejects.toMatchObject({ code: 'ek-mismatch' });
      const unrestricted = { ...other, akPublic: await publicArea(other.ak, ATTRIBUTE.sign) };
      await expect(client.enrol(unrestricted)).rejects.toMatchObject({ code: 'ak-unsuitable' });
      await expect(client.enrol({ ...other, ekPublic: other.akPublic })).rejects.toMatchObject({
        code: 'ek-malformed',
      });
      await expect(client.enrol({ ...other, akPublic: Uint8Array.of(1) })).rejects.toMatchObject({
        code: 'ak-malformed',
      });
    });

    it('of an AK that is not in the TPM fails in that TPM: its name is bound into the credential', async () => {
      const other = await softwareTpm(manufacturer);
      const swapped = { ...other, akPublic: (await softwareTpm(manufacturer)).akPublic };
      await expect(client.enrol(swapped)).rejects.toThrow('TPM_RC_INTEGRITY');
    });
  });

  describe('attestation', () => {
    it('answers with a result that verifies against the published keys', async () => {
      const { challenge, evidence } = await evidenceFor(new Uint8Array(32));
      const reply = await client.attest(challenge, evidence);
      expect(reply).toMatchObject({ state: 'affirming', platform: 'host-1', failed: [] });
      const keys = createRemoteJWKSet(new URL(`${base}/.well-known/jwks.json`));
      const { payload, protectedHeader } = await jwtVerify(reply.result, keys, { issuer: 'nexus-tcb' });
      expect(protectedHeader).toMatchObject({ alg: 'ES256', typ: 'eat+jwt' });
      expect(payload).toMatchObject({ submods: { platform: { 'ear.status': 'affirming' } } });
    });

    it('answers with a CWT that says the same, where one is asked for', async () => {
      const { challenge, evidence } = await evidenceFor(new Uint8Array(32));
      const response = await fetch(`${base}/v1/attestations`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/eat+cwt' },
        body: JSON.stringify({ challenge, evidence: Buffer.from(evidence).toString('base64url') }),
      });
      expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/eat+cwt']);
      const { keys } = (await client.jwks()) as { keys: (PublicJwk & { kid: string })[] };
      const claims = verifyEarCwt(
        new Uint8Array(await response.arrayBuffer()),
        (kid) => {
          const jwk = keys.find((key) => key.kid === kid);
          return jwk && verification().importJwk(jwk);
        },
        verifier.service.clock(),
      );
      expect(claims).toMatchObject({ iss: 'nexus-tcb', nexus: { platform: 'host-1', state: 'affirming', failed: [] } });
    });

    it('keeps earlier results valid when the signing key is rotated', async () => {
      const { challenge, evidence } = await evidenceFor(new Uint8Array(32));
      const { result } = await client.attest(challenge, evidence);
      await verifier.service.keys.rotate('test');
      const second = await evidenceFor(new Uint8Array(32));
      const { result: later } = await client.attest(second.challenge, second.evidence);
      const keys = createRemoteJWKSet(new URL(`${base}/.well-known/jwks.json`));
      const kids = [];
      for (const jwt of [result, later]) kids.push((await jwtVerify(jwt, keys)).protectedHeader.kid);
      expect(new Set(kids).size).toBe(2);
    });

    it('takes a nonce once, and only with the evidence made over it', async () => {
      const { challenge, evidence } = await evidenceFor(new Uint8Array(32));
      await client.attest(challenge, evidence);
      const spent = { code: 'challenge-spent', failed: ['freshness'] };
      await expect(client.attest(challenge, evidence)).rejects.toMatchObject(spent);
      const fresh = await client.challenge();
      expect(await client.attest(fresh.id, evidence)).toMatchObject({ state: 'contraindicated', failed: ['nonce'] });
    });

    it('fails closed: unknown platform, malformed evidence, an appraisal that throws', async () => {
      const unknown = await client.challenge();
      const foreign = encodeToy({ akName: '000b'.padEnd(68, '0'), nonce: '' });
      await expect(client.attest(unknown.id, foreign)).rejects.toMatchObject({ code: 'platform-unknown' });
      const bad = await client.challenge();
      await expect(client.attest(bad.id, Uint8Array.of(1, 2))).rejects.toMatchObject({ code: 'evidence-malformed' });
      const thrown = await client.challenge();
      const explosive = encodeToy({ akName: hex(tpm.akName), nonce: '', explode: true });
      expect(await client.attest(thrown.id, explosive)).toMatchObject({
        state: 'contraindicated',
        failed: ['appraisal-completed'],
      });
    });

    it('refuses a revoked platform', async () => {
      const other = await softwareTpm(manufacturer);
      await client.enrol(other, 'to-revoke');
      await fetch(`${base}/v1/platforms/to-revoke/revocation`, {
        method: 'POST',
        headers: { authorization: `Bearer ${adminToken}` },
      });
      const { id } = await client.challenge();
      const evidence = encodeToy({ akName: hex(other.akName), nonce: '' });
      await expect(client.attest(id, evidence)).rejects.toMatchObject({ code: 'platform-revoked' });
      await expect(client.enrol(other, 'to-revoke')).rejects.toMatchObject({ code: 'platform-revoked' });
    });

    it('appraises against a new version of the reference values at once, and against the old one after revocation', async () => {
      const { version } = await admin.putReference('default', { pcr: 'newer' });
      const stale = await evidenceFor(new Uint8Array(32));
      expect(await client.attest(stale.challenge, stale.evidence)).toMatchObject({ failed: ['reference'] });
      await fetch(`${base}/v1/references/default/${version}`, {
        method: 'DELETE',
        headers: { authorization: `Bearer ${adminToken}` },
      });
      const good = await evidenceFor(new Uint8Array(32));
      expect(await client.attest(good.challenge, good.evidence)).toMatchObject({ state: 'affirming' });
    });
  });

  describe('release', () => {
    const secret = new TextEncoder().encode('the launch code');
    const privateKey = x25519.utils.randomSecretKey();
    const key = x25519.getPublicKey(privateKey);
    const policy = { codeIdentity: [IDENTITY], minimumSvn: 2 };
    beforeAll(async () => {
      await admin.putResource('vault/code', { content: secret, policy });
    });

    it('encrypts the resource to the key that the evidence binds', async () => {
      const reply = await client.release('vault/code', key, await evidenceFor(key));
      const opened = hpkeOpen(privateKey, reply, RELEASE_INFO, new TextEncoder().encode('vault/code'));
      expect(Buffer.from(opened).toString()).toBe('the launch code');
      expect(reply.lease.expiresAt.getTime()).toBeGreaterThan(Date.now());
    });

    it('works on a result as on evidence, until the result expires', async () => {
      const { challenge, evidence } = await evidenceFor(key);
      const { result } = await client.attest(challenge, evidence);
      const reply = await client.release('vault/code', key, { result });
      expect(hpkeOpen(privateKey, reply, RELEASE_INFO, Buffer.from('vault/code'))).toEqual(secret);
      const bent = `${result.slice(0, -4)}AAAA`;
      await expect(client.release('vault/code', key, { result: bent })).rejects.toMatchObject({
        code: 'result-refused',
      });
      offset = 301_000;
      try {
        await expect(client.release('vault/code', key, { result })).rejects.toMatchObject({ code: 'result-refused' });
      } finally {
        offset = 0;
      }
    });

    it.each([
      ['another code identity', { codeIdentity: 'cc'.repeat(32) }, 'code-identity'],
      ['a lower security version', { svn: 1 }, 'security-version'],
      ['a debuggable partition', { debug: true }, 'debug'],
      [
        'user data of another key',
        { userData: hex(releaseUserData(x25519.getPublicKey(randomBytes(32)), key)) },
        'key-binding',
      ],
    ])('refuses %s', async (_case, change, name) => {
      const ground = await evidenceFor(key, change);
      await expect(client.release('vault/code', key, ground)).rejects.toMatchObject({
        code: 'release-refused',
        status: 403,
        failed: expect.arrayContaining([name]),
      });
    });

    it('gives a one-time resource once', async () => {
      await admin.putResource('once', { content: secret, policy, oneTime: true });
      const grounds = await Promise.all([evidenceFor(key), evidenceFor(key)]);
      const results = await Promise.allSettled(grounds.map((ground) => client.release('once', key, ground)));
      expect(results.map((result) => result.status).sort()).toEqual(['fulfilled', 'rejected']);
    });

    it('ends with the resource: a revoked one is unknown, and its plaintext was never in the database', async () => {
      await admin.putResource('short', { content: secret, policy });
      const [row] = await verifier.service.db.selectFrom('resource').selectAll().where('name', '=', 'short').execute();
      expect(Buffer.from(row?.ciphertext ?? []).includes(Buffer.from(secret))).toBe(false);
      const gone = await fetch(`${base}/v1/resources/short`, {
        method: 'DELETE',
        headers: { authorization: `Bearer ${adminToken}` },
      });
      expect(gone.status).toBe(204);
      await expect(client.release('short', key, await evidenceFor(key))).rejects.toMatchObject({
        code: 'resource-unknown',
      });
    });
  });

  describe('its front', () => {
    it('answers refusals with RFC 9457 problems that name the code and the way out', async () => {
      const response = await fetch(`${base}/v1/attestations`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"challenge":7,"evidence":""}',
      });
      expect(response.status).toBe(400);
      expect(response.headers.get('content-type')).toMatch('application/problem+json');
      expect(await response.json()).toMatchObject({
        type: 'urn:nexus-tcb:problem:request-malformed',
        detail: expect.stringContaining('challenge'),
        remedy: expect.stringContaining('openapi'),
      });
    });

    it('keeps administration to tokens with the role', async () => {
      const plain = new VerifierClient(base);
      await expect(plain.putReference('default', { pcr: 'x' })).rejects.toMatchObject({
        status: 401,
        code: 'token-missing',
      });
      const token = await verifier.createToken('audit', ['auditor']);
      const auditor = new VerifierClient(base, { token });
      await expect(auditor.putReference('default', { pcr: 'x' })).rejects.toMatchObject({
        status: 403,
        code: 'role-missing',
      });
      const wrong = new VerifierClient(base, { token: `${token.slice(0, -5)}AAAAA` });
      await expect(wrong.challenge()).rejects.toMatchObject({ status: 401, code: 'token-refused' });
    });

    it('serves OpenAPI 3.1 with every route of the API, health and readiness', async () => {
      const api = (await (await fetch(`${base}/openapi.json`)).json()) as { openapi: string; paths: object };
      expect(api.openapi).toBe('3.1.0');
      expect(Object.keys(api.paths)).toEqual(
        expect.arrayContaining(['/v1/enrolments', '/v1/challenges', '/v1/attestations', '/v1/releases', '/v1/audit']),
      );
      for (const path of ['/healthz', '/readyz']) expect((await fetch(`${base}${path}`)).status).toBe(200);
      expect((await fetch(`${base}/nothing`)).status).toBe(404);
    });

    it('exports an audit trail that chains', async () => {
      const response = await fetch(`${base}/v1/audit`, { headers: { authorization: `Bearer ${adminToken}` } });
      const entries = (await response.text())
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line));
      expect(entries.map((entry) => entry.action)).toEqual(
        expect.arrayContaining([
          'platform.enrol',
          'platform.enrol-refused',
          'attestation.appraise',
          'resource.release',
        ]),
      );
      expect(await verifyAudit(entries)).toBeNull();
    });
  });
});
