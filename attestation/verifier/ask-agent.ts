/** Ask an agent that listens (`nexus agent serve`) for evidence over a nonce. */
import { request as plainRequest, type RequestOptions } from 'node:http';
import { request as tlsRequest } from 'node:https';
import type { ConnectionOptions } from 'node:tls';
import { fromBase64Url, toBase64Url } from './bytes.ts';

/** How the verifier shows itself to agents, and whose certificates it believes. All PEM. */
export interface PollTls {
  readonly ca?: string | Buffer;
  readonly key?: string | Buffer;
  readonly cert?: string | Buffer;
  /** Default: the certificate must be for the host in the URL. */
  readonly checkServerIdentity?: ConnectionOptions['checkServerIdentity'];
}

export interface AskedAgent {
  /** Base URL of the agent. */
  readonly url: string;
  readonly token: string | undefined;
  readonly nonce: Uint8Array;
}

/** Evidence over `pollNonce(nonce)`. Rejects with an Error whose message an operator may read. */
export type AskAgent = (asked: AskedAgent) => Promise<Uint8Array>;

const TIMEOUT_MS = 10_000;
const MAX_ANSWER = 96 * 2 ** 20;

/** Over HTTP or HTTPS; with mutual TLS where `tls` has a key. */
export function askAgentOver(tls: PollTls = {}): AskAgent {
  return async ({ url, token, nonce }) => {
    const body = JSON.stringify({ nonce: toBase64Url(nonce) });
    const answer = await post(`${url.replace(/\/+$/, '')}/v1/evidence`, body, {
      ...tls,
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
      },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const { evidence } = JSON.parse(answer) as { evidence?: unknown };
    if (typeof evidence !== 'string') throw new Error('the answer has no evidence');
    return fromBase64Url(evidence);
  };
}

function post(url: string, body: string, options: RequestOptions & PollTls): Promise<string> {
  return new Promise((resolve, reject) => {
    const send = url.startsWith('https:') ? tlsRequest : plainRequest;
    const request = send(url, options, (response) => {
      const parts: Buffer[] = [];
      let size = 0;
      response.on('data', (part: Buffer) => {
        parts.push(part);
        size += part.length;
        if (size > MAX_ANSWER) request.destroy(new Error('the answer is too large'));
      });
      response.once('error', reject);
      response.once('end', () => {
        if (response.statusCode === 200) resolve(Buffer.concat(parts).toString('utf8'));
        else reject(new Error(`the agent answered with HTTP ${response.statusCode}`));
      });
    });
    request.once('error', reject);
    request.end(body);
  });
}
