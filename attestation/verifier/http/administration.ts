/** Tokens, platforms, reference values, signing keys and the audit trail: what needs a role. */
import { Readable } from 'node:stream';
import { Type } from 'typebox';
import { readAudit } from '../audit.ts';
import { VerifierError } from '../errors.ts';
import { ROLES } from '../roles.ts';
import type { Service } from '../service.ts';
import { createToken, revokeToken } from '../tokens.ts';
import type { App } from './app.ts';
import { DEFAULT_TENANT } from './authentication.ts';

const Time = Type.String({ format: 'date-time' });
const MaybeTime = Type.Union([Time, Type.Null()]);
const Id = Type.Object({ id: Type.String({ maxLength: 128 }) });
const Nothing = { 204: Type.Null() };
const RoleName = Type.Union(ROLES.map((role) => Type.Literal(role)));

const Platform = Type.Object({
  id: Type.String(),
  akName: Type.String(),
  ekDigest: Type.String(),
  reference: Type.Union([Type.String(), Type.Null()]),
  enrolledAt: Time,
  revokedAt: MaybeTime,
  state: Type.String({ description: 'unverified, affirming, warning, contraindicated, expired, revoked' }),
  failed: Type.Array(Type.String()),
  attestedAt: MaybeTime,
});

const Reference = Type.Object({
  name: Type.String(),
  version: Type.Integer(),
  body: Type.Unsafe<object>({ type: 'object', additionalProperties: true }),
  createdBy: Type.String(),
  createdAt: Time,
  revokedAt: MaybeTime,
});

export function administrationRoutes(app: App, service: Service): void {
  platformRoutes(app, service);
  referenceRoutes(app, service);
  tokenRoutes(app, service);

  app.post(
    '/v1/signing-keys',
    {
      config: { roles: ['admin'] },
      schema: {
        summary: 'Rotate the key that signs results; the old one stays published until its results expire',
        tags: ['administration'],
        response: { 201: Type.Object({ kid: Type.String() }) },
      },
    },
    async (request, reply) => reply.code(201).send({ kid: await service.keys.rotate(request.caller.actor) }),
  );

  app.get(
    '/v1/audit',
    {
      config: { roles: ['auditor'] },
      schema: {
        summary: 'Export the audit trail as JSON lines; check it with: nexus verifier audit FILE',
        tags: ['administration'],
      },
    },
    async (request, reply) => {
      // The chain is one for all tenants: only the default tenant, which runs the service, may read all of it.
      const { tenant } = request.caller;
      const narrowed = tenant === DEFAULT_TENANT ? undefined : tenant;
      async function* lines() {
        for await (const entry of readAudit(service.db, 1, narrowed)) yield `${JSON.stringify(entry)}\n`;
      }
      return reply.type('application/jsonl').send(Readable.from(lines()));
    },
  );
}

function platformRoutes(app: App, service: Service): void {
  app.get(
    '/v1/platforms',
    {
      config: { roles: ['operator', 'auditor'] },
      schema: {
        summary: 'Enrolled platforms and their state',
        tags: ['platforms'],
        response: { 200: Type.Array(Platform) },
      },
    },
    async (request) =>
      (await service.platforms.list(request.caller.tenant)).map((platform) => ({
        ...platform,
        failed: [...platform.failed],
        enrolledAt: platform.enrolledAt.toISOString(),
        revokedAt: platform.revokedAt?.toISOString() ?? null,
        attestedAt: platform.attestedAt?.toISOString() ?? null,
      })),
  );

  app.put(
    '/v1/platforms/:id/reference',
    {
      config: { roles: ['operator'] },
      schema: {
        summary: 'Name the reference values of a platform',
        tags: ['platforms'],
        params: Id,
        body: Type.Object({ reference: Type.Union([Type.String({ maxLength: 128 }), Type.Null()]) }),
        response: Nothing,
      },
    },
    async (request, reply) => {
      await service.platforms.setReference(request.caller, request.params.id, request.body.reference);
      return reply.code(204).send(null);
    },
  );

  app.post(
    '/v1/platforms/:id/revocation',
    {
      config: { roles: ['operator'] },
      schema: {
        summary: 'Revoke a platform: no appraisal, no release, leases end',
        tags: ['platforms'],
        params: Id,
        response: Nothing,
      },
    },
    async (request, reply) => {
      await service.platforms.revoke(request.caller, request.params.id);
      return reply.code(204).send(null);
    },
  );

  app.delete(
    '/v1/platforms/:id',
    {
      config: { roles: ['operator'] },
      schema: { summary: 'Forget a platform', tags: ['platforms'], params: Id, response: Nothing },
    },
    async (request, reply) => {
      await service.platforms.remove(request.caller, request.params.id);
      return reply.code(204).send(null);
    },
  );
}

function referenceRoutes(app: App, service: Service): void {
  app.put(
    '/v1/references/:id',
    {
      config: { roles: ['operator'] },
      schema: {
        summary: 'Store a new version of reference values',
        tags: ['references'],
        params: Id,
        body: Type.Unsafe<object>({ type: 'object' }),
        response: { 200: Type.Object({ name: Type.String(), version: Type.Integer() }) },
      },
    },
    async (request) => {
      const { id } = request.params;
      return { name: id, version: await service.references.put(request.caller, id, request.body) };
    },
  );

  app.get(
    '/v1/references',
    {
      config: { roles: ['operator', 'auditor'] },
      schema: { summary: 'All reference values', tags: ['references'], response: { 200: Type.Array(Reference) } },
    },
    async (request) =>
      (await service.references.list(request.caller.tenant)).map((reference) => ({
        ...reference,
        createdAt: reference.createdAt.toISOString(),
        revokedAt: reference.revokedAt?.toISOString() ?? null,
      })),
  );

  app.delete(
    '/v1/references/:id/:version',
    {
      config: { roles: ['operator'] },
      schema: {
        summary: 'Revoke a version; the one before it is in force again',
        tags: ['references'],
        params: Type.Object({ id: Type.String({ maxLength: 128 }), version: Type.String({ pattern: '^[0-9]{1,9}$' }) }),
        response: Nothing,
      },
    },
    async (request, reply) => {
      await service.references.revoke(request.caller, request.params.id, Number(request.params.version));
      return reply.code(204).send(null);
    },
  );
}

function tokenRoutes(app: App, service: Service): void {
  app.post(
    '/v1/tokens',
    {
      config: { roles: ['admin'] },
      schema: {
        summary: 'Make an API token; it is shown this once',
        tags: ['administration'],
        body: Type.Object(
          {
            name: Type.String({ minLength: 1, maxLength: 128 }),
            roles: Type.Array(RoleName, { minItems: 1, maxItems: ROLES.length }),
            tenant: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9._-]{1,64}$' })),
            expiresInSeconds: Type.Optional(Type.Integer({ minimum: 60 })),
          },
          { additionalProperties: false },
        ),
        response: { 201: Type.Object({ token: Type.String() }) },
      },
    },
    async (request, reply) => {
      const { name, roles, expiresInSeconds } = request.body;
      const now = service.clock();
      const { caller } = request;
      const tenant = request.body.tenant ?? caller.tenant;
      if (tenant !== caller.tenant && caller.tenant !== DEFAULT_TENANT) {
        throw new VerifierError('role-missing', 'Only the default tenant makes tokens for other tenants.');
      }
      const expiry =
        expiresInSeconds === undefined ? {} : { expiresAt: new Date(now.getTime() + expiresInSeconds * 1000) };
      const token = await createToken(service.db, now, caller.actor, { tenant, name, roles, ...expiry });
      return reply.code(201).send({ token });
    },
  );

  app.delete(
    '/v1/tokens/:id',
    {
      config: { roles: ['admin'] },
      schema: { summary: 'Revoke a token by its id', tags: ['administration'], params: Id, response: Nothing },
    },
    async (request, reply) => {
      await revokeToken(service.db, service.clock(), request.caller, request.params.id);
      return reply.code(204).send(null);
    },
  );
}
