import { webcrypto } from 'node:crypto';
import {
  createRemoteJWKSet,
  exportJWK,
  type FlattenedJWE,
  flattenedDecrypt,
  generateKeyPair,
  type JWK,
  jwtVerify,
} from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Authority, authority, der } from '../../../test/support/certificate-authority.ts';
import { type SoftwareTpm, softwareTpm } from '../../../test/support/software-tpm.ts';
import { encodeToy, toyFormat } from '../../../test/support/toy-evidence.ts';
import { VerifierClient } from '../../client.ts';
import { boundNonce } from '../nonces.ts';
import { createVerifier, type Verifier } from '../verifier.ts';
import { runtimeDataDigest } from './kbs.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const PARTITION = { codeIdentity: 'aa'.repeat(32), signer: 'bb'.repeat(32), svn: 1, debug: false };
type Json = Record<string, unknown>;
const json = async (response: Response) => (await response.json()) as Json;

describe('compatible front doors', () => {
  let verifier: Verifier;
  let base: string;
  let manufacturer: Authority;
  let tpm: SoftwareTpm;
  beforeAll(async () => {
    manufacturer = await authority('Manufacturer');
    verifier = await createVerifier({
      database: { memory: true },
      manufacturers: [der(manufacturer.certificate)],
      formats: [toyFormat],
    });
    base = await verifier.listen();
    tpm = await softwareTpm(manufacturer);
    await new VerifierClient(base).enrol(tpm, 'host-1');
    const admin = new VerifierClient(base, { token: await verifier.createToken('admin', ['admin']) });
    await admin.putReference('default', { pcr: 'good' });
    const content = new TextEncoder().encode('disk key');
    await admin.putResource('team/key/disk', { content, policy: { codeIdentity: [PARTITION.codeIdentity] } });
    await admin.putResource('other/key/disk', { content, policy: { codeIdentity: ['cc'.repeat(32)] } });
  });
  afterAll(() => verifier.close());

  const toy = (nonce: Uint8Array, userData?: Uint8Array, pcr = 'good') =>
    encodeToy({
      akName: hex(tpm.akName),
      nonce: hex(nonce),
      pcr,
      ...(userData && { partition: { ...PARTITION, userData: hex(userData) } }),
    });

  describe("Veraison's challenge-response sessions", () => {
    const open = (query: string) =>
      fetch(`${base}/challenge-response/v1/newSession?${query}`, {
        method: 'POST',
        headers: { accept: 'application/vnd.veraison.challenge-response-session+json' },
      });
    const submit = (location: string, body: Uint8Array, type = toyFormat.mediaType) =>
      fetch(`${base}${location}`, { method: 'POST', headers: { 'content-type': type }, body: Buffer.from(body) });

    it('open, take evidence once, and answer with a signed EAR', async () => {
      const opened = await open('nonceSize=48');
      expect(opened.status).toBe(201);
      expect(opened.headers.get('content-type')).toMatch('application/vnd.veraison.challenge-response-session+json');
      const location = opened.headers.get('location') ?? '';
      const session = await json(opened);
      expect(session).toMatchObject({ status: 'waiting', accept: [toyFormat.mediaType], expiry: expect.any(String) });
      const nonce = Buffer.from(String(session.nonce), 'base64url');
      expect(nonce).toHaveLength(48);
      const evidence = toy(nonce);
      const answered = await submit(location, evidence);
      expect(answered.status).toBe(200);
      const complete = await json(answered);
      expect(complete).toMatchObject({
        status: 'complete',
        evidence: { type: toyFormat.mediaType, value: Buffer.from(evidence).toString('base64') },
      });
      const keys = createRemoteJWKSet(new URL(`${base}/.well-known/jwks.json`));
      const { payload } = await jwtVerify(String(complete.result), keys);
      expect(payload).toMatchObject({ eat_nonce: session.nonce, submods: { platform: { 'ear.status': 'affirming' } } });
      expect(await json(await fetch(`${base}${location}`))).toEqual(complete);
      expect((await submit(location, evidence)).status).toBe(409);
      expect((await fetch(`${base}${location}`, { method: 'DELETE' })).status).toBe(204);
      expect((await fetch(`${base}${location}`)).status).toBe(404);
    });

    it('take a nonce of the relying party', async () => {
      const nonce = Buffer.alloc(16, 7);
      const session = await json(await open(`nonce=${nonce.toString('base64url')}`));
      expect(session.nonce).toBe(nonce.toString('base64url'));
    });

    it('refuse bad nonces, foreign media types and unknown sessions; a failed submission ends the session', async () => {
      for (const query of ['nonceSize=7', 'nonceSize=65', 'nonce=AAAA', 'nonce=AAAAAAAAAAAA&nonceSize=32']) {
        expect((await open(query)).status, query).toBe(400);
      }
      const location = (await open('')).headers.get('location') ?? '';
      expect((await submit(location, toy(new Uint8Array(32)), 'application/psa-attestation-token')).status).toBe(415);
      expect((await submit(location, Uint8Array.of(1))).status).toBe(400);
      expect(await json(await fetch(`${base}${location}`))).toMatchObject({ status: 'failed' });
      expect((await fetch(`${base}/challenge-response/v1/session/none`)).status).toBe(404);
    });

    it('are discovered', async () => {
      const discovery = await json(await fetch(`${base}/.well-known/veraison/verification`));
      expect(discovery).toMatchObject({
        'ear-verification-key': { kty: 'EC', crv: 'P-256' },
        'media-types': [toyFormat.mediaType],
        'service-state': 'READY',
        'api-endpoints': { newChallengeResponseSession: '/challenge-response/v1/newSession' },
      });
    });
  });

  describe("Trustee's key broker protocol", () => {
    const post = (path: string, body: object, cookie = '') =>
      fetch(`${base}/kbs/v0/${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', cookie },
        body: JSON.stringify(body),
      });
    const start = async () => {
      const reply = await post('auth', { version: '0.4.0', tee: 'tpm', 'extra-params': '' });
      const cookie = (reply.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
      return { cookie, nonce: String((await json(reply)).nonce) };
    };
    const attestation = (nonce: string, key: JWK, bound: JWK = key, pcr = 'good') => {
      const userData = runtimeDataDigest({ nonce, 'tee-pubkey': { ...bound } });
      const evidence = toy(Buffer.from(nonce, 'base64'), userData, pcr);
      return {
        'runtime-data': { nonce, 'tee-pubkey': key },
        'tee-evidence': { primary_evidence: { evidence: Buffer.from(evidence).toString('base64url') } },
      };
    };

    it.each([
      ['RSA-OAEP-256', { modulusLength: 2048 }],
      ['ECDH-ES+A256KW', { crv: 'P-384' }],
    ])('releases a resource as JWE (%s) to the attested key', async (algorithm, parameters) => {
      const { privateKey, publicKey } = await generateKeyPair(algorithm, { ...parameters, extractable: true });
      const key = { ...(await exportJWK(publicKey)), alg: algorithm };
      const { cookie, nonce } = await start();
      expect((await fetch(`${base}/kbs/v0/resource/team/key/disk`, { headers: { cookie } })).status).toBe(401);
      const attested = await post('attest', attestation(nonce, key), cookie);
      expect(attested.status).toBe(200);
      const { payload } = await jwtVerify(
        String((await json(attested)).token),
        createRemoteJWKSet(new URL(`${base}/.well-known/jwks.json`)),
      );
      expect(payload['tee-pubkey']).toMatchObject({ kty: key.kty });
      const resource = await fetch(`${base}/kbs/v0/resource/team/key/disk`, { headers: { cookie } });
      expect(resource.status).toBe(200);
      const { plaintext } = await flattenedDecrypt((await resource.json()) as FlattenedJWE, privateKey);
      expect(Buffer.from(plaintext).toString()).toBe('disk key');
      expect((await fetch(`${base}/kbs/v0/resource/other/key/disk`, { headers: { cookie } })).status).toBe(403);
      expect((await fetch(`${base}/kbs/v0/resource/no/such/thing`, { headers: { cookie } })).status).toBe(404);
    });

    it('registers a resource with a token of the role broker, on the terms of the version before it', async () => {
      const register = (path: string, body: string, token = '') =>
        fetch(`${base}/kbs/v0/resource/${path}`, {
          method: 'POST',
          headers: token === '' ? {} : { authorization: `Bearer ${token}` },
          body: Buffer.from(body),
        });
      const broker = await verifier.createToken('broker', ['broker']);
      expect((await register('team/key/fresh', 'secret')).status).toBe(401);
      expect((await register('team/key/fresh', 'secret', await verifier.createToken('a', ['attester']))).status).toBe(
        403,
      );
      expect((await register('team/key/fresh', '', broker)).status).toBe(400);
      expect((await register('team/key/fresh', 'x'.repeat(65_537), broker)).status).toBe(413);
      expect((await register('team/key/fresh', '{"as": "it is"}', broker)).status).toBe(200);
      expect((await register('team/key/disk', 'disk key', broker)).status).toBe(200);
      const list = await fetch(`${base}/v1/resources`, { headers: { authorization: `Bearer ${broker}` } });
      expect(await list.json()).toEqual(
        expect.arrayContaining([
          expect.objectContaining({ name: 'team/key/fresh', version: 1, policy: {} }),
          expect.objectContaining({
            name: 'team/key/disk',
            version: 2,
            policy: { codeIdentity: [PARTITION.codeIdentity] },
          }),
        ]),
      );
    });

    it('releases to a machine without partitions, whose quote binds the key', async () => {
      const machines = await createVerifier({
        database: { memory: true },
        manufacturers: [der(manufacturer.certificate)],
        formats: [{ ...toyFormat, keyBinding: 'nonce' }],
        jobs: false,
      });
      const url = await machines.listen();
      try {
        await new VerifierClient(url).enrol(tpm, 'host-1');
        const admin = new VerifierClient(url, { token: await machines.createToken('admin', ['admin']) });
        await admin.putReference('default', { pcr: 'good' });
        await admin.putResource('team/key/disk', {
          content: Buffer.from('disk key'),
          policy: { platforms: ['host-1'] },
        });
        const send = (path: string, body: object, cookie = '') =>
          fetch(`${url}/kbs/v0/${path}`, {
            method: 'POST',
            headers: { 'content-type': 'application/json', cookie },
            body: JSON.stringify(body),
          });
        const { privateKey, publicKey } = await generateKeyPair('ECDH-ES+A256KW', { extractable: true });
        const { crv, kty, x, y } = await exportJWK(publicKey);
        const key = { crv, kty, x, y };
        const reply = await send('auth', { version: '0.4.0', tee: 'tpm' });
        const cookie = (reply.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
        const nonce = String((await json(reply)).nonce);
        // The members are in order already.
        const bound = boundNonce(Buffer.from(JSON.stringify(key)), Buffer.from(nonce, 'base64'));
        const evidence = Buffer.from(toy(bound)).toString('base64url');
        const attested = await send(
          'attest',
          {
            'runtime-data': { nonce, 'tee-pubkey': key },
            'tee-evidence': { primary_evidence: { evidence } },
          },
          cookie,
        );
        expect(attested.status).toBe(200);
        const resource = await fetch(`${url}/kbs/v0/resource/team/key/disk`, { headers: { cookie } });
        expect(resource.status).toBe(200);
        const { plaintext } = await flattenedDecrypt((await resource.json()) as FlattenedJWE, privateKey);
        expect(Buffer.from(plaintext).toString()).toBe('disk key');
      } finally {
        await machines.close();
      }
    });

    it('releases nothing to a key that the evidence does not bind', async () => {
      const [mine, theirs] = await Promise.all(
        [1, 2].map(async () => exportJWK((await generateKeyPair('ECDH-ES+A256KW', { extractable: true })).publicKey)),
      );
      const { cookie, nonce } = await start();
      expect((await post('attest', attestation(nonce, mine ?? {}, theirs), cookie)).status).toBe(200);
      const refused = await fetch(`${base}/kbs/v0/resource/team/key/disk`, { headers: { cookie } });
      expect(await json(refused)).toMatchObject({ status: 403, failed: ['key-binding'] });
    });

    it('refuses other TEEs, a session without cookie, a used nonce, a nonce of another session and bad evidence', async () => {
      const { kty, crv, x, y } = await webcrypto.subtle
        .generateKey({ name: 'ECDH', namedCurve: 'P-256' }, true, ['deriveBits'])
        .then((pair) => webcrypto.subtle.exportKey('jwk', (pair as webcrypto.CryptoKeyPair).publicKey));
      const key = { kty: kty ?? '', crv: crv ?? '', x: x ?? '', y: y ?? '' };
      expect((await post('auth', { version: '0.4.0', tee: 'sgx' })).status).toBe(400);
      const { cookie, nonce } = await start();
      expect((await post('attest', attestation(nonce, key))).status).toBe(401);
      const other = await start();
      expect((await post('attest', attestation(other.nonce, key), cookie)).status).toBe(409);
      expect((await post('attest', attestation(nonce, key), cookie)).status).toBe(409);
      const rejected = await post('attest', attestation(other.nonce, key, key, 'bad'), other.cookie);
      expect(await json(rejected)).toMatchObject({ status: 403, code: 'result-refused', failed: ['reference'] });
      expect((await fetch(`${base}/kbs/v0/resource/team/key/disk`, { headers: { cookie: other.cookie } })).status).toBe(
        401,
      );
    });
  });
});
