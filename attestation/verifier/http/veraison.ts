/**
 * The challenge-response session API of the Veraison project, so that its clients and relying parties can use this
 * verifier: github.com/veraison/docs, api/challenge-response, and the discovery document of its verification service.
 */
import { Type } from 'typebox';
import { fromBase64Url, toBase64Url } from '../bytes.ts';
import { VerifierError } from '../errors.ts';
import type { Service } from '../service.ts';
import type { Session } from '../sessions.ts';
import { VERSION } from '../version.ts';
import type { App } from './app.ts';

const SESSION_TYPE = 'application/vnd.veraison.challenge-response-session+json';
const DISCOVERY_TYPE = 'application/vnd.veraison.discovery+json';
const PREFIX = '/challenge-response/v1';
const DOOR = 'veraison';
const TAGS = ['veraison'];
const MIN_NONCE = 8;
const MAX_NONCE = 64;

const Id = Type.Object({ id: Type.String({ maxLength: 64 }) });
const NonceQuery = Type.Object({
  nonceSize: Type.Optional(Type.String({ pattern: '^[0-9]{1,2}$' })),
  nonce: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9_-]{10,86}$', description: 'base64url, no padding' })),
});

/** A session as the API shows it; the evidence comes back as it was sent. */
function document(session: Session, mediaTypes: readonly string[]): string {
  const detail = session.detail as { evidence?: { type: string; value: string } };
  return JSON.stringify({
    nonce: toBase64Url(session.nonce),
    expiry: session.expires_at.toISOString(),
    accept: mediaTypes,
    status: session.status,
    ...(detail.evidence !== undefined && { evidence: detail.evidence }),
    ...(session.result !== null && { result: session.result }),
  });
}

function nonceOf(query: { nonceSize?: string; nonce?: string }): Uint8Array {
  if (query.nonce !== undefined && query.nonceSize === undefined) {
    const nonce = fromBase64Url(query.nonce);
    if (nonce.length >= MIN_NONCE && nonce.length <= MAX_NONCE) return nonce;
  }
  if (query.nonce === undefined) {
    const size = Number(query.nonceSize ?? 32);
    if (size >= MIN_NONCE && size <= MAX_NONCE) return crypto.getRandomValues(new Uint8Array(size));
  }
  throw new VerifierError('request-malformed', 'Either nonceSize or nonce; 8 to 64 bytes.', {
    remedy: 'POST /challenge-response/v1/newSession?nonceSize=32',
  });
}

export function veraisonRoutes(app: App, service: Service): void {
  const { mediaTypes, sessions } = service;
  app.addContentTypeParser([...mediaTypes], { parseAs: 'buffer' }, (_request, body, done) => done(null, body));

  app.post(
    `${PREFIX}/newSession`,
    {
      config: { roles: ['attester'] },
      schema: { summary: 'Open a challenge-response session', tags: TAGS, querystring: NonceQuery },
    },
    async (request, reply) => {
      const session = await sessions.open(request.caller.tenant, DOOR, nonceOf(request.query));
      const location = `${PREFIX}/session/${session.id}`;
      return reply.code(201).header('location', location).type(SESSION_TYPE).send(document(session, mediaTypes));
    },
  );

  app.post(
    `${PREFIX}/session/:id`,
    {
      config: { roles: ['attester'] },
      schema: { summary: 'Submit evidence; the answer holds the result', tags: TAGS, params: Id },
    },
    async (request, reply) => {
      const type = request.headers['content-type'] ?? '';
      if (!Buffer.isBuffer(request.body)) {
        throw new VerifierError('media-type-unsupported', `Evidence of type ${type} is not understood here.`, {
          remedy: `Send ${mediaTypes.join(' or ')}.`,
        });
      }
      const { caller } = request;
      const session = await sessions.take(caller.tenant, DOOR, request.params.id);
      const detail = { evidence: { type, value: request.body.toString('base64') } };
      let result: string;
      try {
        ({ result } = await service.attestations.appraise(caller, session, request.body));
      } catch (error) {
        await sessions.conclude(session.id, { status: 'failed', result: null, detail });
        throw error;
      }
      await sessions.conclude(session.id, { status: 'complete', result, detail });
      return reply.type(SESSION_TYPE).send(document({ ...session, status: 'complete', result, detail }, mediaTypes));
    },
  );

  app.get(
    `${PREFIX}/session/:id`,
    { config: { roles: ['attester'] }, schema: { summary: 'A session', tags: TAGS, params: Id } },
    async (request, reply) => {
      const session = await sessions.get(request.caller.tenant, DOOR, request.params.id);
      return reply.type(SESSION_TYPE).send(document(session, mediaTypes));
    },
  );

  app.delete(
    `${PREFIX}/session/:id`,
    { config: { roles: ['attester'] }, schema: { summary: 'End a session', tags: TAGS, params: Id } },
    async (request, reply) => {
      await sessions.remove(request.caller.tenant, DOOR, request.params.id);
      return reply.code(204).send();
    },
  );

  app.get(
    '/.well-known/veraison/verification',
    { schema: { summary: 'Discovery: key, media types, endpoints', tags: TAGS } },
    async (_request, reply) => {
      const [key] = (await service.keys.jwks()).keys;
      const discovery = {
        'ear-verification-key': key,
        'media-types': mediaTypes,
        version: VERSION,
        'service-state': service.draining ? 'TERMINATING' : 'READY',
        'api-endpoints': { newChallengeResponseSession: `${PREFIX}/newSession` },
      };
      return reply.type(DISCOVERY_TYPE).send(JSON.stringify(discovery));
    },
  );
}
