/**
 * The key broker protocol of the Trustee project (Request, Challenge, Attestation, Response), so that its clients can
 * fetch resources here: github.com/confidential-containers/trustee, kbs/docs/kbs_attestation_protocol.md.
 *
 * Evidence is ours, in `tee-evidence.primary_evidence.evidence` (base64url), tee `tpm`. The partition's user data is
 * the SHA-384 of the canonical `runtime-data`, padded with zeros to 64 bytes, as Trustee's attesters do it. A machine
 * without partitions quotes `boundNonce(canonical tee-pubkey, nonce)`, as for our own releases.
 */
import { createHash } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import { jweTo, teeKey } from '../../broker/jwe.ts';
import { sha256 } from '../../broker/kek.ts';
import { Base64Url, fromBase64Url } from '../bytes.ts';
import { VerifierError } from '../errors.ts';
import type { Caller } from '../roles.ts';
import type { Service } from '../service.ts';
import type { App } from './app.ts';
import { counted } from './metrics.ts';

const DOOR = 'kbs';
const TAGS = ['kbs'];
const COOKIE = 'kbs-session-id';
const USER_DATA_BYTES = 64;
/** Largest resource that is registered here, as in our own API. */
const RESOURCE_MAX = 64 * 1024;
/** Versions of the protocol whose messages have the shape below. */
const VERSION = /^0\.[0-9]+\.[0-9]+$/;

const Jwk = Type.Unsafe<Record<string, unknown>>({ type: 'object', additionalProperties: true });
const Auth = Type.Object({ version: Type.String(), tee: Type.String(), 'extra-params': Type.Optional(Type.Unknown()) });
const RuntimeData = Type.Object({ nonce: Type.String({ maxLength: 100 }), 'tee-pubkey': Jwk });
const Evidence = Type.Object({ evidence: Base64Url(8 * 2 ** 20, 'CBOR, docs/evidence.md') });
const Attestation = Type.Object({
  'init-data': Type.Optional(Type.Unknown()),
  'runtime-data': RuntimeData,
  'tee-evidence': Type.Object({ primary_evidence: Evidence, additional_evidence: Type.Optional(Type.String()) }),
});
const ResourcePath = Type.Object({
  repository: Type.String({ maxLength: 80 }),
  type: Type.String({ maxLength: 80 }),
  tag: Type.String({ maxLength: 80 }),
});

/** JSON with the members of every object in code-point order and no white space (RFC 8785 for what occurs here). */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`).join(',')}}`;
}

/** The user data that binds the TEE's key and the session's nonce. */
export function runtimeDataDigest(runtimeData: Static<typeof RuntimeData>): Uint8Array {
  const digest = createHash('sha384').update(canonical(runtimeData)).digest();
  return Buffer.concat([digest], USER_DATA_BYTES);
}

/** What a session keeps after a successful attestation. */
interface Attested {
  readonly runtimeData: Static<typeof RuntimeData>;
}

function sessionId(request: FastifyRequest): string {
  const cookies = (request.headers.cookie ?? '').split(';').map((cookie) => cookie.trim().split('='));
  const id = cookies.find(([name]) => name === COOKIE)?.[1];
  if (id === undefined) {
    throw new VerifierError('token-missing', 'The request has no session cookie.', {
      remedy: 'POST /kbs/v0/auth, then /kbs/v0/attest.',
    });
  }
  return id;
}

export function kbsRoutes(app: App, service: Service): void {
  const { sessions } = service;
  registrationRoute(app, service);

  app.post(
    '/kbs/v0/auth',
    { config: { roles: ['attester'] }, schema: { summary: 'Request a challenge', tags: TAGS, body: Auth } },
    async (request, reply) => {
      const { version, tee } = request.body;
      if (!VERSION.test(version) || tee !== 'tpm') {
        throw new VerifierError('request-malformed', `Protocol ${version} for the TEE ${tee} is not spoken here.`, {
          remedy: 'Use version 0.4.0 and tee tpm.',
        });
      }
      const session = await sessions.open(request.caller.tenant, DOOR);
      const secure = request.protocol === 'https' ? '; Secure' : '';
      reply.header('set-cookie', `${COOKIE}=${session.id}; Path=/kbs; HttpOnly; SameSite=Strict${secure}`);
      return { nonce: Buffer.from(session.nonce).toString('base64'), 'extra-params': {} };
    },
  );

  app.post(
    '/kbs/v0/attest',
    {
      config: { roles: ['attester'] },
      schema: { summary: 'Attest the session and its key', tags: TAGS, body: Attestation },
    },
    async (request) => {
      const { caller, body } = request;
      const runtimeData = body['runtime-data'];
      const key = teeKey(runtimeData['tee-pubkey']);
      const session = await sessions.take(caller.tenant, DOOR, sessionId(request));
      const failed = { status: 'failed', result: null, detail: {} } as const;
      try {
        if (runtimeData.nonce !== Buffer.from(session.nonce).toString('base64')) {
          throw new VerifierError('challenge-spent', 'The runtime data has not the nonce of this session.', {
            failed: ['freshness'],
            remedy: 'Open a new session.',
          });
        }
        const evidence = fromBase64Url(body['tee-evidence'].primary_evidence.evidence);
        const verdict = await service.attestations.appraise(caller, session, evidence, {
          key: Buffer.from(canonical(key)),
          claims: { 'tee-pubkey': key },
        });
        if (verdict.state !== 'affirming' && verdict.state !== 'warning') {
          throw new VerifierError('result-refused', `The evidence is ${verdict.state}.`, {
            failed: verdict.failed,
            remedy: 'See the failed checks.',
          });
        }
        const detail: Attested = { runtimeData };
        await sessions.conclude(session.id, { status: 'complete', result: verdict.result, detail });
        return { token: verdict.result };
      } catch (error) {
        await sessions.conclude(session.id, failed);
        throw error;
      }
    },
  );

  app.get(
    '/kbs/v0/resource/:repository/:type/:tag',
    {
      config: { roles: ['attester'] },
      schema: { summary: 'A resource, as JWE to the attested key', tags: TAGS, params: ResourcePath },
    },
    async (request) => {
      const { repository, type, tag } = request.params;
      const name = `${repository}/${type}/${tag}`;
      return counted(service.metrics.releases, 'granted', () =>
        releaseAsJwe(service, request.caller, name, sessionId(request)),
      );
    },
  );
}

/** Registration: the body is the resource, of whatever type its client says or does not say. */
function registrationRoute(app: App, { resources }: Service): void {
  app.register(async (scope: App) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: RESOURCE_MAX }, (_request, body, done) =>
      done(null, body),
    );
    scope.post(
      '/kbs/v0/resource/:repository/:type/:tag',
      {
        config: { roles: ['broker'] },
        schema: {
          summary: 'Register a resource: the body is its content',
          description: 'Keeps the policy of the version before it; a new one goes to any machine that is affirming.',
          tags: TAGS,
          params: ResourcePath,
        },
      },
      async ({ caller, params: { repository, type, tag }, body }, reply) => {
        const name = `${repository}/${type}/${tag}`;
        if (!Buffer.isBuffer(body) || body.length === 0) {
          throw new VerifierError('request-malformed', 'The resource is empty.');
        }
        try {
          await resources.put(caller, name, { ...(await resources.terms(caller.tenant, name)), content: body });
        } finally {
          body.fill(0);
        }
        return reply.code(200).send();
      },
    );
  });
}

async function releaseAsJwe(service: Service, caller: Caller, name: string, id: string) {
  const session = await service.sessions.get(caller.tenant, DOOR, id);
  if (session.status !== 'complete' || session.result === null) {
    throw new VerifierError('token-refused', 'The session has not attested.', { remedy: 'POST /kbs/v0/attest first.' });
  }
  // The stored result is verified as one from outside would be: expired results release nothing.
  const result = await service.attestations.readResult(caller.tenant, session.result);
  const { runtimeData } = session.detail as Attested;
  const key = teeKey(runtimeData['tee-pubkey']);
  const keyDigest = sha256(Buffer.from(canonical(key)));
  const granted = await service.releases.grant(caller, name, keyDigest, runtimeDataDigest(runtimeData), result);
  try {
    return await jweTo(key, granted.content);
  } finally {
    granted.content.fill(0);
  }
}
