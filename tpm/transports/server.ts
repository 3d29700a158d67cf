/** Serving a TPM on sockets: any number of listeners of three kinds around one board. */
import { chmodSync, existsSync, lstatSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server, Socket } from 'node:net';
import { dirname } from 'node:path';
import { Attendant, loadAttendant } from './attendant.ts';
import type { Board } from './board.ts';
import type { ByteQueue } from './bytes.ts';
import { u32s } from './bytes.ts';
import { descriptorOf, type Protocol, serveConnection } from './connection.ts';
import { type ControlHost, controlCommand, nextControlFrame } from './control-channel.ts';
import { dataProtocol } from './data-channel.ts';
import { TpmTransportError } from './errors.ts';
import { type FdReceiver, loadFdReceiver } from './fd-passing.ts';
import { type Inherited, type Place, placeName } from './place.ts';
import { MAX_STATE_BLOB, PTM_RES } from './protocol.ts';
import { nextPlatformSignal, TrafficSizes } from './simulator.ts';

/** `data`: TPM commands, raw or in simulator frames; `control`: swtpm's; `platform`: the simulator's signals. */
export type Channel = 'data' | 'control' | 'platform';

export interface ServeOptions {
  readonly listen: readonly { readonly channel: Channel; readonly at: Place | Inherited }[];
  /** Connections at once per listener; more are refused. Default 64. */
  readonly maxConnections?: number;
  /** Called when a client ends the server (CMD_SHUTDOWN, TPM_STOP), after the listeners are closed. */
  readonly onShutdown?: () => void;
  /** Called when a connection ended and none is left. */
  readonly onIdle?: () => void;
  readonly log?: (message: string) => void;
  /**
   * This process has nothing to do but serve: a busy client's next command is waited for in place, for up to 10 ms at a
   * time, which is quicker than the event loop where the package koffi is there. Default false.
   */
  readonly dedicated?: boolean;
}

/** A running server. */
export interface TpmServer {
  /** Where each listener stands, in the order of `listen`, ports resolved. */
  readonly places: readonly (Place | Inherited)[];
  /** Stop listening and cut every connection. The board and its TPM stay as they are. */
  close(): Promise<void>;
}

/** An unfinished control command is answered after this; swtpm waits 0.5 s. */
const CONTROL_FRAME_TIMEOUT_MS = 1000;

/** Serve a board's TPM. Rejects when a listener cannot stand (E_TRANSPORT_CONNECT); then none does. */
export async function serveTpm(board: Board, options: ServeOptions): Promise<TpmServer> {
  const log = options.log ?? (() => {});
  const sizes = new TrafficSizes();
  const servers: Server[] = [];
  const sockets = new Set<Socket>();
  const receiver = options.listen.some(({ channel, at }) => channel === 'control' && !('port' in at))
    ? await loadFdReceiver()
    : undefined;
  const loaded = options.dedicated ? await loadAttendant() : undefined;
  const attendant = loaded instanceof Attendant ? loaded : undefined;

  const close = async () => {
    attendant?.close();
    for (const socket of sockets) socket.destroy();
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  };
  let closing = false;
  // After the answer is on its way: a client waits for it.
  const onShutdown = () => {
    if (closing) return;
    closing = true;
    attendant?.close();
    setImmediate(() => {
      for (const socket of sockets) socket.end();
      void close().then(() => options.onShutdown?.());
    });
  };
  const track = (socket: Socket) => {
    sockets.add(socket);
    const descriptor = descriptorOf(socket);
    if (descriptor !== undefined) attendant?.watch(socket, descriptor);
    socket.on('close', () => {
      sockets.delete(socket);
      attendant?.unwatch(socket);
      if (sockets.size === 0 && !closing) options.onIdle?.();
    });
  };
  const data = (socket: Socket) => {
    track(socket);
    serveConnection(socket, dataProtocol(board, { onShutdown }, sizes), attendant);
  };
  const control: ControlHost = {
    onShutdown,
    log,
    adoptData: (fd) => data(socketOf(fd)),
  };
  const accept: Readonly<Record<Channel, (socket: Socket, place: Place | Inherited) => void>> = {
    data,
    platform(socket) {
      track(socket);
      serveConnection(socket, platformProtocol(board, onShutdown, sizes));
    },
    control(socket, place) {
      track(socket);
      if (typeof receiver === 'function' && !('port' in place)) serveWithDescriptor(socket, receiver, board, control);
      else serveConnection(socket, controlProtocol(board, control));
    },
  };
  if (receiver && typeof receiver !== 'function') log(`QEMU's data descriptor cannot be received: ${receiver.missing}`);

  try {
    const places: (Place | Inherited)[] = [];
    for (const { channel, at } of options.listen) {
      if ('fd' in at) {
        accept[channel](socketOf(at.fd), at);
        places.push(at);
        continue;
      }
      const paused = channel === 'control' && 'path' in at && typeof receiver === 'function';
      const server = createServer({ noDelay: true, allowHalfOpen: true, pauseOnConnect: paused }, (socket) =>
        accept[channel](socket, at),
      );
      server.maxConnections = options.maxConnections ?? 64;
      places.push(await listen(server, at));
      servers.push(server);
      const descriptor = descriptorOf(server);
      if (descriptor !== undefined) attendant?.watch(server, descriptor);
    }
    return { places, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The socket of a connected descriptor. Throws E_TRANSPORT_CONNECT for what is none. */
function socketOf(fd: number): Socket {
  try {
    return new Socket({ fd, readable: true, writable: true, allowHalfOpen: true });
  } catch (error) {
    const message = `descriptor ${fd} is not a connected socket`;
    throw new TpmTransportError('E_TRANSPORT_CONNECT', message, 'open one in the process that starts this one', error);
  }
}

function controlProtocol(board: Board, host: ControlHost, first: { fd?: number } = {}): Protocol {
  return {
    highWater: 2 * MAX_STATE_BLOB,
    late: { answer: () => ({ bytes: u32s(PTM_RES.BAD_PARAMETER) }), afterMs: CONTROL_FRAME_TIMEOUT_MS },
    step(queue: ByteQueue) {
      const frame = nextControlFrame(queue);
      if (frame.kind === 'incomplete') return 'incomplete';
      if (frame.kind === 'refused') return { bytes: u32s(frame.result) };
      const { fd } = first;
      delete first.fd;
      return controlCommand(board, host, frame, fd).then((bytes) => ({ bytes }));
    },
  };
}

function platformProtocol(board: Board, onShutdown: () => void, sizes: TrafficSizes): Protocol {
  return {
    highWater: 4096,
    step(queue) {
      const answer = nextPlatformSignal(board, queue, sizes);
      if (!answer) return 'incomplete';
      if (answer.after === 'stop-server') onShutdown();
      return { ...(answer.bytes ? { bytes: answer.bytes } : {}), close: answer.after !== 'stay' };
    },
  };
}

/**
 * Serve a control connection whose first bytes may carry a descriptor. Node has no event for «readable, but not read»,
 * so the paused socket is asked again and again until its client speaks, which clients of this protocol do at once.
 */
function serveWithDescriptor(socket: Socket, receive: FdReceiver, board: Board, host: ControlHost): void {
  const descriptor = descriptorOf(socket);
  const started = Date.now();
  const attempt = () => {
    if (socket.destroyed || descriptor === undefined) return;
    const got = receive(descriptor);
    if (got.kind === 'closed') {
      socket.destroy();
    } else if (got.kind === 'nothing yet') {
      setTimeout(attempt, Date.now() - started < 1000 ? 1 : 20);
    } else {
      serveConnection(socket, controlProtocol(board, host, got.fd === undefined ? {} : { fd: got.fd }));
      socket.unshift(got.bytes);
      socket.resume();
    }
  };
  attempt();
}

/** Longest path of a socket (sun_path of Linux, with its final zero); a longer one would be cut off silently. */
const LONGEST_PATH = 107;

/** What the system itself says badly, or not at all. */
function checkPath(path: string): void {
  const place = `cannot listen on ${path}`;
  if (Buffer.byteLength(path) > LONGEST_PATH) {
    const message = `${place.slice(0, 80)}...: longer than ${LONGEST_PATH} bytes`;
    throw new TpmTransportError('E_TRANSPORT_CONNECT', message, 'choose a shorter path, such as one in /run or /tmp');
  }
  if (!existsSync(dirname(path))) {
    throw new TpmTransportError('E_TRANSPORT_CONNECT', `${place}: there is no ${dirname(path)}`, 'make the directory');
  }
}

async function listen(server: Server, at: Place): Promise<Place> {
  if ('path' in at) checkPath(at.path);
  try {
    return await listenOnce(server, at);
  } catch (error) {
    const inUse = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
    if (inUse && 'path' in at && (await isAbandoned(at.path))) {
      unlinkSync(at.path);
      return await listenOnce(server, at);
    }
    throw new TpmTransportError(
      'E_TRANSPORT_CONNECT',
      `cannot listen on ${placeName(at)}: ${error instanceof Error ? error.message : String(error)}`,
      inUse ? 'stop what listens there, or choose another place' : 'choose a place that this user may listen on',
      error,
    );
  }
}

function listenOnce(server: Server, at: Place): Promise<Place> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const done = () => {
      server.off('error', reject);
      if ('path' in at) {
        chmodSync(at.path, 0o600);
        resolve(at);
      } else {
        const address = server.address();
        resolve({
          host: at.host ?? '127.0.0.1',
          port: typeof address === 'object' && address ? address.port : at.port,
        });
      }
    };
    if ('path' in at) {
      // The socket file is made within this call: born without rights for others.
      const mask = process.umask(0o177);
      try {
        server.listen({ path: at.path }, done);
      } finally {
        process.umask(mask);
      }
    } else {
      server.listen({ host: at.host ?? '127.0.0.1', port: at.port }, done);
    }
  });
}

/** A socket file that nobody listens on any more, as a killed server leaves it; never a file of another kind. */
async function isAbandoned(path: string): Promise<boolean> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return false;
  return new Promise((resolve) => {
    const probe = connect({ path });
    probe.once('connect', () => {
      probe.destroy();
      resolve(false);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
  });
}
