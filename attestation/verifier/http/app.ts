/** The HTTP application: schema-checked routes, OpenAPI 3.1 from the same schemas, problems instead of errors. */
import swagger from '@fastify/swagger';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import fastify, { type FastifyBaseLogger, type FastifyError, type FastifyInstance, type FastifyRequest } from 'fastify';
import { problem, VerifierError } from '../errors.ts';
import type { Service } from '../service.ts';
import { type Caller, type Role, requireRole } from '../tokens.ts';
import { administrationRoutes } from './administration.ts';
import { attestationRoutes } from './attestation.ts';
import { authenticate } from './authentication.ts';
import { brokerRoutes } from './broker.ts';
import { enrolmentRoutes } from './enrolment.ts';
import { operationsRoutes } from './operations.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set before any handler runs. */
    caller: Caller;
  }
  interface FastifyContextConfig {
    /** Roles of which the caller needs one. A route without them is open to anyone who reaches it. */
    roles?: readonly Role[];
  }
}

export interface HttpOptions {
  readonly logger: FastifyBaseLogger | false;
  /** Largest body in bytes; evidence with an event log and an IMA list is the largest. */
  readonly bodyLimit: number;
}

/** The instance that routes are declared on. */
export type App = ReturnType<typeof create>;

function create(options: HttpOptions) {
  return fastify({
    ...(options.logger === false ? { logger: false } : { loggerInstance: options.logger }),
    bodyLimit: options.bodyLimit,
    // The sender of a request is told what is wrong with it; nothing is dropped or converted silently.
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false, allErrors: false } },
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 300 },
  }).withTypeProvider<TypeBoxTypeProvider>();
}

const CODES = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'payload-too-large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'media-type-unsupported',
} as const;

/** Fastify's own refusals in our words; anything else stays what it is. */
function translate(error: FastifyError | VerifierError, request: FastifyRequest): unknown {
  if (error instanceof VerifierError) return error;
  if (error.validation !== undefined) {
    const [first] = error.validation;
    const where = `${error.validationContext ?? 'request'}${first?.instancePath ?? ''}`;
    return new VerifierError('request-malformed', `${where} ${first?.message ?? 'is malformed'}.`, {
      wayOut: `See /openapi.json, ${request.method} ${request.routeOptions.url ?? request.url}.`,
    });
  }
  if (error.code in CODES) {
    // `in` does not narrow an index.
    const code = CODES[error.code as keyof typeof CODES];
    return new VerifierError(code, error.message, { wayOut: 'Send less, as application/json.' });
  }
  const status = error.statusCode ?? 500;
  return status < 500 ? new VerifierError('request-malformed', error.message) : error;
}

export async function buildApp(service: Service, options: HttpOptions): Promise<FastifyInstance> {
  const app = create(options);
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'nexus-tcb verifier',
        description: 'Enrolment, appraisal of evidence (RFC 9334), attestation results (EAR), release of resources.',
        version: '1',
      },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    },
  });
  app.decorateRequest('caller');
  app.addHook('onRequest', async (request) => {
    request.caller = await authenticate(service, request);
    const { roles } = request.routeOptions.config;
    if (roles !== undefined) requireRole(request.caller, ...roles);
  });
  app.setErrorHandler<FastifyError | VerifierError>(async (error, request, reply) => {
    const body = problem(translate(error, request));
    if (body.status >= 500) request.log.error(error);
    return reply.code(body.status).type('application/problem+json').send(JSON.stringify(body));
  });
  app.setNotFoundHandler(async (request, reply) => {
    const error = new VerifierError('not-found', `There is no ${request.method} ${request.url.slice(0, 200)}.`, {
      wayOut: 'See /openapi.json.',
    });
    return reply
      .code(404)
      .type('application/problem+json')
      .send(JSON.stringify(problem(error)));
  });
  operationsRoutes(app, service);
  enrolmentRoutes(app, service);
  attestationRoutes(app, service);
  brokerRoutes(app, service);
  administrationRoutes(app, service);
  return app as unknown as FastifyInstance;
}
