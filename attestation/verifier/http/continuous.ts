/** Changes of state as they happen: server-sent events and webhooks. */
import { Type } from 'typebox';
import { type ChangeEvent, changesAfter, latestChange } from '../changes.ts';
import type { Service } from '../service.ts';
import type { App } from './app.ts';

const TAGS = ['continuous'];
const POLL_MS = 500;
const BATCH = 100;
/** A comment now and then, so that proxies keep the stream open. */
const HEARTBEAT_POLLS = 30;

const Id = Type.Object({ id: Type.String({ maxLength: 64 }) });
const Time = Type.String({ format: 'date-time' });

function message({ id, at, tenant: _, ...data }: ChangeEvent): string {
  return `id: ${id}\nevent: platform.state\ndata: ${JSON.stringify({ ...data, at: at.toISOString() })}\n\n`;
}

export function continuousRoutes(app: App, service: Service): void {
  app.get(
    '/v1/events',
    {
      config: { roles: ['operator', 'auditor'] },
      schema: { summary: 'Changes of state as server-sent events; Last-Event-ID resumes', tags: TAGS },
    },
    async (request, reply) => {
      const { tenant } = request.caller;
      const resume = Number(request.headers['last-event-id'] ?? Number.NaN);
      let last = Number.isSafeInteger(resume) && resume >= 0 ? resume : await latestChange(service.db, tenant);
      reply.hijack();
      const { raw } = reply;
      raw.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
      raw.write(': open\n\n');
      for (let poll = 1; !raw.destroyed && !service.draining; poll += 1) {
        const events = await changesAfter(service.db, tenant, last, BATCH).catch(() => []);
        for (const event of events) {
          raw.write(message(event));
          last = event.id;
        }
        if (poll % HEARTBEAT_POLLS === 0) raw.write(':\n\n');
        if (events.length < BATCH) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
      raw.end();
    },
  );

  app.post(
    '/v1/webhooks',
    {
      config: { roles: ['operator'] },
      schema: {
        summary: 'Post changes of state to a URL, signed (Standard Webhooks); the secret is shown this once',
        tags: TAGS,
        body: Type.Object({ url: Type.String({ maxLength: 2048 }) }, { additionalProperties: false }),
        response: { 201: Type.Object({ id: Type.String(), secret: Type.String() }) },
      },
    },
    async (request, reply) => reply.code(201).send(await service.webhooks.create(request.caller, request.body.url)),
  );

  app.get(
    '/v1/webhooks',
    {
      config: { roles: ['operator', 'auditor'] },
      schema: {
        summary: 'Webhooks and how often their next delivery failed',
        tags: TAGS,
        response: {
          200: Type.Array(
            Type.Object({ id: Type.String(), url: Type.String(), attempts: Type.Integer(), createdAt: Time }),
          ),
        },
      },
    },
    async (request) =>
      (await service.webhooks.list(request.caller.tenant)).map((hook) => ({
        ...hook,
        createdAt: hook.createdAt.toISOString(),
      })),
  );

  app.delete(
    '/v1/webhooks/:id',
    {
      config: { roles: ['operator'] },
      schema: { summary: 'Remove a webhook', tags: TAGS, params: Id, response: { 204: Type.Null() } },
    },
    async (request, reply) => {
      await service.webhooks.remove(request.caller, request.params.id);
      return reply.code(204).send(null);
    },
  );
}
