/**
 * An agent that listens: a verifier asks it for evidence, where pushing does not suit. The asker shows a token or a
 * client certificate. What it sends is hashed under a label before it is quoted, so that a verifier that was taken over
 * cannot have a quote made that binds its own key to this machine (see `boundNonce`).
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import fastify, { type FastifyError } from 'fastify';
import { Type } from 'typebox';
import { Base64Url, fromBase64Url, toBase64Url } from '../verifier/bytes.ts';
import { pollNonce } from '../verifier/nonces.ts';
import type { Agent } from './agent.ts';
import { AgentError } from './keys.ts';

export interface ServeOptions {
  readonly agent: Pick<Agent, 'evidence'>;
  readonly host?: string;
  /** 0 takes a free one. */
  readonly port?: number;
  /** What the verifier must send as bearer token. */
  readonly token?: string;
  /** PEM. With `clientCa` only a client with a certificate of this CA is heard. */
  readonly tls?: {
    readonly key: string | Buffer;
    readonly cert: string | Buffer;
    readonly clientCa?: string | Buffer;
  };
}

export interface ServingAgent {
  readonly url: string;
  close(): Promise<void>;
}

const BODY_LIMIT = 1024;
const NONCE_MIN = 16;
const digest = (text: string) => createHash('sha256').update(text).digest();

/** Throws `AgentError` `E_AGENT_OPEN` when anybody could ask. */
export async function serveAgent(options: ServeOptions): Promise<ServingAgent> {
  const { agent, token, tls, host = '127.0.0.1', port = 0 } = options;
  if (token === undefined && tls?.clientCa === undefined) {
    throw new AgentError(
      'E_AGENT_OPEN',
      'Anybody could have this machine quote.',
      'Give a token, or TLS with a client CA.',
    );
  }
  const client = tls?.clientCa === undefined ? {} : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: true };
  const app = fastify({
    bodyLimit: BODY_LIMIT,
    forceCloseConnections: true,
    ...(tls && { https: { key: tls.key, cert: tls.cert, minVersion: 'TLSv1.2' as const, ...client } }),
  }).withTypeProvider<TypeBoxTypeProvider>();
  const expected = token === undefined ? undefined : digest(`Bearer ${token}`);
  app.addHook('onRequest', async (request, reply) => {
    const sent = digest(request.headers.authorization ?? '');
    if (expected !== undefined && !timingSafeEqual(sent, expected)) {
      return reply.code(401).send({ code: 'token-refused', detail: 'This agent asks for its own token.' });
    }
  });
  app.setErrorHandler<FastifyError | AgentError>(async (error, _request, reply) => {
    if (error instanceof AgentError) return reply.code(503).send({ code: error.code, detail: error.message });
    const status = error.statusCode ?? 500;
    const detail = status < 500 ? error.message : 'The TPM did not answer as it should.';
    return reply.code(status).send({ code: status < 500 ? 'request-malformed' : 'internal', detail });
  });
  // A TPM does one thing at a time, and has room for few keys: requests wait for each other.
  let turn: Promise<unknown> = Promise.resolve();
  app.post(
    '/v1/evidence',
    { schema: { body: Type.Object({ nonce: Base64Url(64, 'fresh') }, { additionalProperties: false }) } },
    async (request, reply) => {
      const nonce = fromBase64Url(request.body.nonce);
      if (nonce.length < NONCE_MIN) {
        return reply.code(400).send({ code: 'request-malformed', detail: `A nonce has at least ${NONCE_MIN} bytes.` });
      }
      const made = turn.then(() => agent.evidence(pollNonce(nonce)));
      turn = made.catch(() => undefined);
      return { evidence: toBase64Url(await made) };
    },
  );
  const url = await app.listen({ host, port });
  return { url, close: () => app.close() };
}
