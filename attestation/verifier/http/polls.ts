/** Machines whose agents are polled. */
import { Type } from 'typebox';
import type { Service } from '../service.ts';
import type { App } from './app.ts';

const TAGS = ['continuous'];
const Id = Type.Object({ id: Type.String({ maxLength: 128 }) });

const Poll = Type.Object({
  platform: Type.String(),
  url: Type.String(),
  everySeconds: Type.Integer(),
  failures: Type.Integer({ description: 'in a row' }),
  lastError: Type.Union([Type.String(), Type.Null()]),
  nextAt: Type.String({ format: 'date-time' }),
});

export function pollRoutes(app: App, service: Service): void {
  app.put(
    '/v1/platforms/:id/poll',
    {
      config: { roles: ['operator'] },
      schema: {
        summary: 'Poll the agent of a platform on a schedule',
        tags: TAGS,
        params: Id,
        body: Type.Object(
          {
            url: Type.String({ maxLength: 2048, description: 'of `nexus agent serve`' }),
            token: Type.Optional(Type.String({ minLength: 16, maxLength: 256 })),
            everySeconds: Type.Optional(Type.Integer({ minimum: 5, maximum: 86_400, description: 'default 120' })),
          },
          { additionalProperties: false },
        ),
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      await service.polls.put(request.caller, request.params.id, request.body);
      return reply.code(204).send(null);
    },
  );

  app.delete(
    '/v1/platforms/:id/poll',
    {
      config: { roles: ['operator'] },
      schema: { summary: 'Poll it no more', tags: TAGS, params: Id, response: { 204: Type.Null() } },
    },
    async (request, reply) => {
      await service.polls.remove(request.caller, request.params.id);
      return reply.code(204).send(null);
    },
  );

  app.get(
    '/v1/polls',
    {
      config: { roles: ['operator', 'auditor'] },
      schema: {
        summary: 'Polled platforms, and why the last attempt failed',
        tags: TAGS,
        response: { 200: Type.Array(Poll) },
      },
    },
    async (request) =>
      (await service.polls.list(request.caller.tenant)).map((poll) => ({ ...poll, nextAt: poll.nextAt.toISOString() })),
  );
}
