/** /v1/endorsers and /v1/endorsements: who may sign CoRIM, and what they have provisioned. */
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { type EndorsementInfo, MAX_CORIM } from '../endorsements.ts';
import { VerifierError } from '../errors.ts';
import type { Caller } from '../roles.ts';
import type { Service } from '../service.ts';
import type { App } from './app.ts';

/** Of draft-ietf-rats-corim, and of the documents that are about; whether one is signed, it says itself. */
export const CORIM_TYPES = [
  'application/rim+cbor',
  'application/rim+cose',
  'application/corim-unsigned+cbor',
  'application/corim-signed+cbor',
] as const;

/** A request's body that is one, for the schema of a route. */
export const CorimBody = {
  content: Object.fromEntries(
    CORIM_TYPES.map((type) => [
      type,
      {
        schema: Type.Unsafe<Buffer>({ description: 'the document as it stands', contentMediaType: 'application/cbor' }),
      },
    ]),
  ),
};

const Time = Type.String({ format: 'date-time' });
const MaybeTime = Type.Union([Time, Type.Null()]);
const MaybeText = Type.Union([Type.String(), Type.Null()]);
const Nothing = { 204: Type.Null() };
const TAGS = ['endorsements'];
const EndorserName = Type.Object({ name: Type.String({ maxLength: 128 }) });
const Id = Type.Object({ id: Type.String({ pattern: '^[0-9a-f]{64}$', description: 'SHA-256 of the document' }) });
const Base64 = Type.String({ maxLength: 22_000, pattern: '^[A-Za-z0-9+/]+={0,2}$' });

const EndorserBody = Type.Object(
  {
    keys: Type.Optional(
      Type.Array(Base64, { maxItems: 16, description: 'base64: SubjectPublicKeyInfo in DER, whose signatures count' }),
    ),
    anchors: Type.Optional(
      Type.Array(Base64, {
        maxItems: 16,
        description: 'base64: X.509 in DER that the certificates in a CoRIM (x5chain) must lead to',
      }),
    ),
  },
  { additionalProperties: false },
);

const Endorser = Type.Object({
  name: Type.String(),
  keys: Type.Array(Type.String()),
  anchors: Type.Array(Type.String()),
  createdBy: Type.String(),
  createdAt: Time,
});

const Endorsement = Type.Object({
  id: Type.String({ description: 'SHA-256 of the document' }),
  corim: Type.String({ description: 'its own identifier' }),
  profile: MaybeText,
  endorser: Type.Union([Type.String(), Type.Null()], { description: 'who signed it; null where nobody did' }),
  state: Type.String({ description: 'in-force, superseded, out-of-date, untrusted, revoked' }),
  notBefore: MaybeTime,
  notAfter: MaybeTime,
  tags: Type.Array(
    Type.Object({ id: Type.String(), version: Type.Integer(), supersededBy: Type.Optional(Type.Integer()) }),
  ),
  createdBy: Type.String(),
  createdAt: Time,
  revokedAt: MaybeTime,
  revokedBecause: MaybeText,
});

function shown({ profile, validity, tags, createdAt, revokedAt, ...info }: EndorsementInfo) {
  return {
    ...info,
    profile: profile ?? null,
    notBefore: validity?.notBefore?.toISOString() ?? null,
    notAfter: validity?.notAfter.toISOString() ?? null,
    tags: [...tags],
    createdAt: createdAt.toISOString(),
    revokedAt: revokedAt?.toISOString() ?? null,
  };
}

/** The parameter `profile` of a media type, quoted or not. */
const profileOf = (type: string): string | undefined => {
  const [, quoted, plain] = /;\s*profile=(?:"([^"]*)"|([^\s;]+))/i.exec(type) ?? [];
  return quoted ?? plain;
};

/** Store the CoRIM of a request, of whichever door. Throws what `Endorsements.add` does, `media-type-unsupported`. */
export async function provision(service: Service, request: FastifyRequest & { readonly caller: Caller }) {
  const type = request.headers['content-type'] ?? '';
  if (!Buffer.isBuffer(request.body) || !CORIM_TYPES.some((known) => type.startsWith(known))) {
    throw new VerifierError('media-type-unsupported', `"${type.slice(0, 200)}" is no media type of a CoRIM.`, {
      remedy: `Send the document as it is, as ${CORIM_TYPES.join(' or ')}.`,
    });
  }
  return service.endorsements.add(request.caller, new Uint8Array(request.body), profileOf(type));
}

export function endorsementRoutes(app: App, service: Service): void {
  app.addContentTypeParser([...CORIM_TYPES], { parseAs: 'buffer', bodyLimit: MAX_CORIM }, (_request, body, done) =>
    done(null, body),
  );
  endorserRoutes(app, service);

  app.post(
    '/v1/endorsements',
    {
      config: { roles: ['provisioner', 'operator'] },
      schema: {
        summary: 'Provision a CoRIM: signed by a registered endorser; unsigned by an operator only',
        tags: TAGS,
        body: CorimBody,
        response: { 200: Endorsement, 201: Endorsement },
      },
    },
    async (request, reply) => {
      const { created, info } = await provision(service, request);
      return reply.code(created ? 201 : 200).send(shown(info));
    },
  );

  app.get(
    '/v1/endorsements',
    {
      config: { roles: ['provisioner', 'operator', 'auditor'] },
      schema: {
        summary: 'What was provisioned, and what counts of it now',
        tags: TAGS,
        response: { 200: Type.Array(Endorsement) },
      },
    },
    async (request) => (await service.endorsements.list(request.caller.tenant)).map(shown),
  );

  app.get(
    '/v1/endorsements/:id',
    {
      config: { roles: ['provisioner', 'operator', 'auditor'] },
      schema: { summary: 'The document as it came', tags: TAGS, params: Id },
    },
    async (request, reply) =>
      reply
        .type(CORIM_TYPES[0])
        .send(Buffer.from(await service.endorsements.document(request.caller.tenant, request.params.id))),
  );

  app.post(
    '/v1/endorsements/:id/revocation',
    {
      config: { roles: ['operator'] },
      schema: {
        summary: 'Revoke a CoRIM: machines that have its values are revoked, not merely unknown',
        tags: TAGS,
        params: Id,
        body: Type.Object({ because: Type.String({ minLength: 1, maxLength: 500 }) }, { additionalProperties: false }),
        response: Nothing,
      },
    },
    async (request, reply) => {
      await service.endorsements.revoke(request.caller, request.params.id, request.body.because);
      return reply.code(204).send(null);
    },
  );

  app.delete(
    '/v1/endorsements/:id',
    {
      config: { roles: ['operator'] },
      schema: { summary: 'Forget a CoRIM: it says nothing any more', tags: TAGS, params: Id, response: Nothing },
    },
    async (request, reply) => {
      await service.endorsements.remove(request.caller, request.params.id);
      return reply.code(204).send(null);
    },
  );
}

function endorserRoutes(app: App, service: Service): void {
  app.put(
    '/v1/endorsers/:name',
    {
      config: { roles: ['operator'] },
      schema: {
        summary: 'Register who may sign CoRIM, or change their keys',
        tags: TAGS,
        params: EndorserName,
        body: EndorserBody,
        response: Nothing,
      },
    },
    async (request, reply) => {
      const { keys = [], anchors = [] } = request.body;
      await service.endorsers.put(request.caller, request.params.name, { keys, anchors });
      return reply.code(204).send(null);
    },
  );

  app.get(
    '/v1/endorsers',
    {
      config: { roles: ['provisioner', 'operator', 'auditor'] },
      schema: { summary: 'Who may sign CoRIM', tags: TAGS, response: { 200: Type.Array(Endorser) } },
    },
    async (request) =>
      (await service.endorsers.list(request.caller.tenant)).map((endorser) => ({
        ...endorser,
        keys: [...endorser.keys],
        anchors: [...endorser.anchors],
        createdAt: endorser.createdAt.toISOString(),
      })),
  );

  app.delete(
    '/v1/endorsers/:name',
    {
      config: { roles: ['operator'] },
      schema: {
        summary: 'Trust an endorser no longer: what it signed counts as revoked',
        tags: TAGS,
        params: EndorserName,
        response: Nothing,
      },
    },
    async (request, reply) => {
      await service.endorsers.remove(request.caller, request.params.name);
      return reply.code(204).send(null);
    },
  );
}
