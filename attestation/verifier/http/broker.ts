/** /v1/resources and /v1/releases. */
import { Type } from 'typebox';
import { ReleasePolicySchema } from '../../broker/release-policy.ts';
import { Base64Url, fromBase64Url, toBase64Url } from '../bytes.ts';
import { OWN_CHALLENGE, type Service } from '../service.ts';
import type { App } from './app.ts';
import { Submission } from './attestation.ts';
import { counted } from './metrics.ts';

const Name = Type.Object({ '*': Type.String({ maxLength: 255 }) });

const Put = Type.Object(
  {
    content: Base64Url(64 * 1024, 'the secret, key or certificate'),
    policy: ReleasePolicySchema,
    mediaType: Type.Optional(Type.String({ maxLength: 128 })),
    oneTime: Type.Optional(Type.Boolean({ description: 'released once per version' })),
    leaseSeconds: Type.Optional(Type.Integer({ minimum: 1, maximum: 31_536_000 })),
  },
  { additionalProperties: false },
);

const Info = Type.Object({
  name: Type.String(),
  version: Type.Integer(),
  mediaType: Type.String(),
  policy: ReleasePolicySchema,
  oneTime: Type.Boolean(),
  leaseSeconds: Type.Integer(),
  createdAt: Type.String({ format: 'date-time' }),
  revokedAt: Type.Union([Type.String({ format: 'date-time' }), Type.Null()]),
});

const Release = Type.Union([
  Type.Object(
    {
      resource: Type.String({ maxLength: 255 }),
      key: Base64Url(32, 'X25519 public key of the guest; its user data binds it', true),
      ...Submission,
    },
    { additionalProperties: false },
  ),
  Type.Object(
    {
      resource: Type.String({ maxLength: 255 }),
      key: Base64Url(32, 'X25519 public key of the guest; its user data binds it', true),
      result: Type.String({ maxLength: 65_536, description: 'an EAR of this verifier' }),
    },
    { additionalProperties: false },
  ),
]);

const Released = Type.Object({
  resource: Type.String(),
  version: Type.Integer(),
  mediaType: Type.String(),
  enc: Base64Url(32, 'HPKE encapsulated key', true),
  ciphertext: Base64Url(65 * 1024, 'HPKE ciphertext, docs/architecture.md'),
  lease: Type.Object({ id: Type.String(), expiresAt: Type.String({ format: 'date-time' }) }),
});

export function brokerRoutes(app: App, service: Service): void {
  app.put(
    '/v1/resources/*',
    {
      config: { roles: ['broker'] },
      schema: {
        summary: 'Store a new version of a resource',
        tags: ['broker'],
        params: Name,
        body: Put,
        response: { 200: Type.Object({ name: Type.String(), version: Type.Integer() }) },
      },
    },
    async (request) => {
      const name = request.params['*'];
      const { content, ...rest } = request.body;
      const version = await service.resources.put(request.caller, name, { ...rest, content: fromBase64Url(content) });
      return { name, version };
    },
  );

  app.get(
    '/v1/resources',
    {
      config: { roles: ['broker', 'auditor'] },
      schema: { summary: 'List resources (no contents)', tags: ['broker'], response: { 200: Type.Array(Info) } },
    },
    async (request) =>
      (await service.resources.list(request.caller.tenant)).map((info) => ({
        ...info,
        createdAt: info.createdAt.toISOString(),
        revokedAt: info.revokedAt?.toISOString() ?? null,
      })),
  );

  app.delete(
    '/v1/resources/*',
    {
      config: { roles: ['broker'] },
      schema: {
        summary: 'Revoke a resource and its leases',
        tags: ['broker'],
        params: Name,
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      await service.resources.revoke(request.caller, request.params['*']);
      return reply.code(204).send(null);
    },
  );

  app.post(
    '/v1/releases',
    {
      config: { roles: ['attester'] },
      schema: {
        summary: 'Release a resource to the key that the evidence binds',
        tags: ['broker'],
        body: Release,
        response: { 200: Released },
      },
    },
    async (request) => {
      const { body, caller } = request;
      const key = fromBase64Url(body.key);
      const released = await counted(service.metrics.releases, 'granted', () =>
        'result' in body
          ? service.releases.byResult(caller, body.resource, key, body.result)
          : service.releases.byEvidence(
              caller,
              body.resource,
              key,
              OWN_CHALLENGE,
              body.challenge,
              fromBase64Url(body.evidence),
            ),
      );
      return {
        resource: body.resource,
        version: released.version,
        mediaType: released.mediaType,
        enc: toBase64Url(released.enc),
        ciphertext: toBase64Url(released.ciphertext),
        lease: { id: released.lease.id, expiresAt: released.lease.expiresAt.toISOString() },
      };
    },
  );
}
