/** The HTTP application: schema-checked routes, OpenAPI 3.1 from the same schemas, problems instead of errors. */
import swagger from '@fastify/swagger';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import fastify, { type FastifyBaseLogger, type FastifyError, type FastifyInstance, type FastifyRequest } from 'fastify';
import { isDatabaseAway } from '../database/open.ts';
import { problem, VerifierError } from '../errors.ts';
import type { Caller, Role } from '../roles.ts';
import type { Service } from '../service.ts';
import { requireRole } from '../tokens.ts';
import { administrationRoutes } from './administration.ts';
import { attestationRoutes } from './attestation.ts';
import type { Authentication } from './authentication.ts';
import { brokerRoutes } from './broker.ts';
import { continuousRoutes } from './continuous.ts';
import { endorsementRoutes } from './endorsements.ts';
import { enrolmentRoutes } from './enrolment.ts';
import { kbsRoutes } from './kbs.ts';
import { leaseRoutes } from './leases.ts';
import { operationsRoutes } from './operations.ts';
import { pollRoutes } from './polls.ts';
import { type RateLimit, RateLimiter } from './rate-limit.ts';
import { veraisonRoutes } from './veraison.ts';
import { veraisonProvisioningRoutes } from './veraison-provisioning.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set before any handler runs. */
    caller: Caller;
  }
  interface FastifyContextConfig {
    /** Roles of which the caller needs one. A route without them is open to anyone who reaches it. */
    roles?: readonly Role[];
    /** Not counted by the rate limit: what orchestrators poll. */
    unlimited?: boolean;
  }
}

/** TLS of the listener; with `clientCa`, client certificates are asked for and those it signed are believed. */
export interface TlsOptions {
  readonly key: string | Buffer;
  readonly cert: string | Buffer;
  readonly clientCa?: string | Buffer;
}

export interface HttpOptions {
  readonly authentication: Authentication;
  readonly rateLimit: RateLimit | false;
  readonly tls?: TlsOptions | undefined;
  readonly logger: FastifyBaseLogger | false;
  /** Addresses and CIDR ranges of proxies whose `x-forwarded-for` names the client. */
  readonly trustedProxies: readonly string[];
  /** Largest body in bytes; evidence with an event log and an IMA list is the largest. */
  readonly bodyLimit: number;
}

/** The instance that routes are declared on. */
export type App = ReturnType<typeof create>;

function tlsOptions({ key, cert, clientCa }: TlsOptions) {
  // Who presents no certificate, or one of a stranger, is not cut off but anonymous: roles decide.
  const client = clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: false };
  return { key, cert, minVersion: 'TLSv1.2' as const, ...client };
}

function create(options: HttpOptions) {
  return fastify({
    ...(options.logger === false ? { logger: false } : { loggerInstance: options.logger }),
    bodyLimit: options.bodyLimit,
    // Of anyone else the header is a claim, and would get round the rate limit.
    trustProxy: options.trustedProxies.length > 0 && [...options.trustedProxies],
    ...(options.tls !== undefined && { https: tlsOptions(options.tls) }),
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
      remedy: `See /openapi.json, ${request.method} ${request.routeOptions.url ?? request.url}.`,
    });
  }
  if (error.code in CODES) {
    // `in` does not narrow an index.
    const code = CODES[error.code as keyof typeof CODES];
    return new VerifierError(code, error.message, { remedy: 'Send less, as application/json.' });
  }
  if (isDatabaseAway(error)) {
    return new VerifierError('database-unavailable', 'The database does not answer.', {
      remedy: 'Try again in a few seconds.',
      cause: error,
    });
  }
  const status = error.statusCode ?? 500;
  if (status >= 500) return error;
  return new VerifierError('request-malformed', error.message, {
    remedy: `Send what /openapi.json has for ${request.method} ${request.routeOptions.url ?? request.url}.`,
  });
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
  const limiter = options.rateLimit === false ? undefined : new RateLimiter(options.rateLimit, service.clock);
  app.addHook('onRequest', async (request) => {
    const { roles, unlimited } = request.routeOptions.config;
    // Before credentials are looked at, so that guessing them is limited too.
    if (unlimited !== true) limiter?.take(request.ip);
    request.caller = await options.authentication.caller(request);
    if (roles !== undefined) requireRole(request.caller, ...roles);
  });
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'none';
    const labels = { method: request.method, route, status: String(reply.statusCode) };
    service.metrics.requests.observe(labels, reply.elapsedTime / 1000);
  });
  app.setErrorHandler<FastifyError | VerifierError>(async (error, request, reply) => {
    const body = problem(translate(error, request));
    if (body.status >= 500) request.log.error(error);
    return reply.code(body.status).type('application/problem+json').send(JSON.stringify(body));
  });
  app.setNotFoundHandler(async (request, reply) => {
    const error = new VerifierError('not-found', `There is no ${request.method} ${request.url.slice(0, 200)}.`, {
      remedy: 'See /openapi.json.',
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
  leaseRoutes(app, service);
  administrationRoutes(app, service);
  endorsementRoutes(app, service);
  continuousRoutes(app, service);
  pollRoutes(app, service);
  veraisonRoutes(app, service);
  veraisonProvisioningRoutes(app, service);
  kbsRoutes(app, service);
  return app as unknown as FastifyInstance;
}
