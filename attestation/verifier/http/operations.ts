/** What operators and relying parties read: keys, OpenAPI, health, readiness. */
import { sql } from 'kysely';
import { Type } from 'typebox';
import { VerifierError } from '../errors.ts';
import type { Service } from '../service.ts';
import type { App } from './app.ts';

const Status = Type.Object({ status: Type.String() });

export function operationsRoutes(app: App, service: Service): void {
  app.get(
    '/.well-known/jwks.json',
    {
      schema: {
        summary: 'Keys that sign attestation results (RFC 7517)',
        tags: ['operations'],
        response: {
          200: Type.Object({ keys: Type.Array(Type.Unsafe<object>({ type: 'object', additionalProperties: true })) }),
        },
      },
    },
    async (_request, reply) => {
      reply.header('cache-control', 'public, max-age=60');
      return service.keys.jwks();
    },
  );

  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger());

  app.get(
    '/healthz',
    {
      config: { unlimited: true },
      schema: { summary: 'The process lives', tags: ['operations'], response: { 200: Status } },
    },
    async () => ({ status: 'ok' }),
  );

  app.get(
    '/readyz',
    {
      config: { unlimited: true },
      schema: { summary: 'It can serve: the database answers', tags: ['operations'], response: { 200: Status } },
    },
    async () => {
      if (service.draining) throw new VerifierError('database-unavailable', 'The verifier is shutting down.');
      try {
        await sql`select 1`.execute(service.db);
      } catch (cause) {
        throw new VerifierError('database-unavailable', 'The database does not answer.', { cause });
      }
      return { status: 'ready' };
    },
  );

  app.get(
    '/metrics',
    {
      config: { roles: ['auditor'], unlimited: true },
      schema: { summary: 'Prometheus metrics of this process', tags: ['operations'] },
    },
    async (_request, reply) =>
      reply.type(service.metrics.registry.contentType).send(await service.metrics.registry.metrics()),
  );
}
