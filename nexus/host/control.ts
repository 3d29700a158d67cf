/**
 * The control socket of a running host: `control.sock` in its state directory, mode 0600, one JSON request per line and
 * one JSON reply per line. It serves the operator's commands (`nexus ps`, `nexus attest`, `nexus console`), who is
 * outside the trust of the partitions: nothing here reads a trusted partition.
 */
import { chmodSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { HostError } from './errors.ts';

const LINE_MAX = 64 * 1024;
const CONNECTIONS_MAX = 32;

/** What a host answers, by method. Values are JSON. */
export type ControlMethods = Readonly<Record<string, (parameters: unknown) => unknown>>;

type Reply =
  | { readonly result: unknown }
  | { readonly error: { readonly code: string; readonly message: string; readonly remedy?: string } };

const socketPath = (stateDirectory: string) => join(stateDirectory, 'control.sock');

export class ControlServer {
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.server = server;
  }

  /** Listen; the caller holds the directory's lock, so an existing socket is a dead one. */
  static async listen(stateDirectory: string, methods: ControlMethods): Promise<ControlServer> {
    const path = socketPath(stateDirectory);
    rmSync(path, { force: true });
    const server = createServer();
    const control = new ControlServer(server);
    server.maxConnections = CONNECTIONS_MAX;
    server.on('connection', (socket) => control.serve(socket, methods));
    await new Promise<void>((done, fail) => {
      server.once('error', fail);
      server.listen(path, done);
    });
    chmodSync(path, 0o600);
    return control;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((done) => this.server.close(done));
  }

  private serve(socket: Socket, methods: ControlMethods): void {
    this.sockets.add(socket);
    socket.on('close', () => this.sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    let replies: Promise<void> = Promise.resolve();
    onLines(socket, (line) => {
      replies = replies.then(async () => {
        const reply = await answer(line, methods);
        if (!socket.destroyed) socket.write(`${JSON.stringify(reply)}\n`);
      });
    });
  }
}

async function answer(line: string, methods: ControlMethods): Promise<Reply> {
  try {
    const request = JSON.parse(line) as { method?: unknown; parameters?: unknown } | null;
    const method = request?.method;
    const handler = typeof method === 'string' && Object.hasOwn(methods, method) ? methods[method] : undefined;
    if (handler === undefined) return { error: { code: 'E_METHOD', message: `no method ${String(method)}` } };
    return { result: (await handler(request?.parameters)) ?? null };
  } catch (error) {
    const { code, remedy } = error as { code?: unknown; remedy?: unknown };
    const message = error instanceof Error ? error.message : String(error);
    return {
      error: {
        code: typeof code === 'string' ? code : 'E_REQUEST',
        message,
        ...(typeof remedy === 'string' && { remedy }),
      },
    };
  }
}

/** Ask a running host. Throws HostError E_NOT_RUNNING when none listens, or the host's own refusal. */
export async function askHost(stateDirectory: string, method: string, parameters?: unknown): Promise<unknown> {
  const socket = createConnection(socketPath(stateDirectory));
  try {
    const line = await new Promise<string>((done, fail) => {
      socket.once('error', fail);
      socket.once('close', () => fail(new Error('the host closed the connection')));
      onLines(socket, done);
      socket.write(`${JSON.stringify({ method, parameters })}\n`);
    });
    const reply = JSON.parse(line) as Reply;
    if ('error' in reply) {
      const { code, message, remedy = 'the running host says why; its code is in front' } = reply.error;
      throw new HostError('E_HOST_REFUSED', `${code}: ${message}`, remedy);
    }
    return reply.result;
  } catch (error) {
    if (error instanceof HostError) throw error;
    throw new HostError(
      'E_NOT_RUNNING',
      `no host answers in ${stateDirectory}: ${error instanceof Error ? error.message : String(error)}`,
      'start one with `nexus up host.yaml`, or name its state directory with --state',
      { cause: error },
    );
  } finally {
    socket.destroy();
  }
}

/** Call `onLine` for every line; a peer that sends a longer line than LINE_MAX is cut off. */
function onLines(socket: Socket, onLine: (line: string) => void): void {
  let buffered = '';
  socket.setEncoding('utf8');
  socket.on('data', (text: string) => {
    buffered += text;
    for (let end = buffered.indexOf('\n'); end >= 0; end = buffered.indexOf('\n')) {
      onLine(buffered.slice(0, end));
      buffered = buffered.slice(end + 1);
    }
    if (buffered.length > LINE_MAX) socket.destroy(new Error('line too long'));
  });
}

/** Bytes among the parameters of a request. Throws TypeError. */
export function bytesOf(parameters: unknown, name: string): Uint8Array {
  const value = (parameters as Record<string, unknown> | null)?.[name];
  if (typeof value === 'string' && /^([0-9a-f]{2})*$/.test(value)) return Uint8Array.from(Buffer.from(value, 'hex'));
  throw new TypeError(`${name}: expected bytes as lower-case hexadecimal`);
}

/** Text among the parameters of a request. Throws TypeError. */
export function textOf(parameters: unknown, name: string): string {
  const value = (parameters as Record<string, unknown> | null)?.[name];
  if (typeof value === 'string') return value;
  throw new TypeError(`${name}: expected text`);
}
