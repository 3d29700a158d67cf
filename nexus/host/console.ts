/** A partition's serial console: told in lines to the host's observer, and offered at a socket to whoever may type. */
import { rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { ConsoleLines } from './console-lines.ts';
import type { HostObserver } from './events.ts';

/** What a console that joins late is shown first, bytes. */
const BACKLOG = 16 * 1024;
/** A viewer that reads more slowly than this many bytes behind is dropped: a guest must not fill the host's memory. */
const BEHIND_MAX = 1024 * 1024;
const VIEWERS_MAX = 16;

/** Where a running host offers the console of a partition. */
export const partitionConsole = (stateDirectory: string, name: string): string =>
  join(stateDirectory, `${name}.console`);

/** Everything that watches a guest's console and types on it. */
export class ConsoleHub {
  readonly #viewers = new Set<(bytes: Uint8Array) => void>();
  readonly #sockets = new Set<Socket>();
  readonly #type: (bytes: Uint8Array) => void;
  #backlog = Buffer.alloc(0);
  #server: Server | undefined;

  /** `type` takes what is typed, to the guest. */
  constructor(type: (bytes: Uint8Array) => void) {
    this.#type = type;
  }

  /** Bytes of the guest. */
  show = (bytes: Uint8Array): void => {
    this.#backlog = Buffer.concat([this.#backlog, bytes]).subarray(-BACKLOG);
    for (const viewer of this.#viewers) viewer(bytes);
  };

  view(viewer: (bytes: Uint8Array) => void): void {
    this.#viewers.add(viewer);
  }

  /** Offer the console at a socket that only its owner may open, until `close`. */
  async listen(path: string): Promise<void> {
    rmSync(path, { force: true });
    const server = createServer((socket) => this.#join(socket));
    server.maxConnections = VIEWERS_MAX;
    this.#server = server;
    const mask = process.umask(0o177);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    }).finally(() => process.umask(mask));
  }

  #join(socket: Socket): void {
    const viewer = (bytes: Uint8Array) => {
      if (socket.writableLength > BEHIND_MAX) socket.destroy();
      else socket.write(bytes);
    };
    viewer(withoutQueries(this.#backlog));
    this.#viewers.add(viewer);
    this.#sockets.add(socket);
    socket.on('data', this.#type);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.#viewers.delete(viewer);
      this.#sockets.delete(socket);
    });
  }

  /** Let everybody go. Idempotent. */
  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    const server = this.#server;
    this.#server = undefined;
    if (server) await new Promise((done) => server.close(done));
  }
}

/** A shell asks where the cursor is (ESC [ 6 n). Shown again, the terminal would answer, and the shell read the answer as typed. */
function withoutQueries(bytes: Buffer): Buffer {
  return Buffer.from(bytes.toString('latin1').replaceAll('\x1b[6n', ''), 'latin1');
}

export class Console {
  readonly hub: ConsoleHub;
  private readonly lines: ConsoleLines;

  constructor(name: string, observe: HostObserver, type: (bytes: Uint8Array) => void) {
    this.hub = new ConsoleHub(type);
    this.lines = new ConsoleLines((line) => observe({ kind: 'console', name, line }));
  }

  show = (bytes: Uint8Array): void => {
    this.hub.show(bytes);
    this.lines.push(bytes);
  };

  /** The guest has stopped for now: what it left without a newline is a line too. */
  end(): void {
    this.lines.end();
  }

  close(): Promise<void> {
    return this.hub.close();
  }
}
