/** A guest's serial console at a terminal, and at a Unix socket for `nexus console`. */
import { mkdirSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { UsageError } from './errors.ts';

/** Ctrl-]: leaves the terminal, as telnet and virsh do. */
const LEAVE = 0x1d;
/** What a console that joins late is shown first. */
const BACKLOG = 16 * 1024;

/** Where the console of a guest is offered; only its owner may open it. */
export function consoleSocket(name: string): string {
  if (!/^[a-z0-9][a-z0-9_-]{0,31}$/.test(name)) {
    throw new UsageError('E_NAME', `${name} is no name for a guest`, 'use up to 32 of a-z, 0-9, - and _');
  }
  return join(process.env.XDG_RUNTIME_DIR ?? join(homedir(), '.cache'), 'nexus', `${name}.console`);
}

/** Everything that watches a guest's console and types on it. */
export class ConsoleHub {
  readonly #viewers = new Set<(bytes: Uint8Array) => void>();
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

  /** Offer the console at a socket, until `close`. */
  async listen(path: string): Promise<void> {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    rmSync(path, { force: true });
    this.#server = createServer((socket) => this.#join(socket));
    const mask = process.umask(0o177);
    await new Promise<void>((resolve, reject) => {
      this.#server?.once('error', reject);
      this.#server?.listen(path, resolve);
    }).finally(() => process.umask(mask));
  }

  #join(socket: Socket): void {
    const viewer = (bytes: Uint8Array) => void socket.write(bytes);
    viewer(this.#backlog);
    this.#viewers.add(viewer);
    socket.on('data', this.#type);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#viewers.delete(viewer));
  }

  close(): void {
    this.#server?.close();
  }
}

/** Give the terminal to a guest: keys go to `type` as they are pressed; Ctrl-] calls `leave`. Undo with the result. */
export function takeTerminal(type: (bytes: Uint8Array) => void, leave: () => void): () => void {
  const { stdin } = process;
  const onData = (bytes: Buffer) => {
    const end = bytes.indexOf(LEAVE);
    if (end !== 0) type(end < 0 ? bytes : bytes.subarray(0, end));
    if (end >= 0) leave();
  };
  if (stdin.isTTY) stdin.setRawMode(true);
  stdin.on('data', onData);
  stdin.resume();
  return () => {
    stdin.off('data', onData);
    if (stdin.isTTY) stdin.setRawMode(false);
    stdin.pause();
  };
}

/** Connect this terminal to a console's socket until either side leaves. */
export async function attachConsole(path: string): Promise<void> {
  const socket = connect(path);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', () =>
      reject(new UsageError('E_CONSOLE', `no console at ${path}`, 'start the guest: nexus guest linux --name NAME')),
    );
  });
  const release = takeTerminal(
    (bytes) => socket.write(bytes),
    () => socket.end(),
  );
  socket.on('data', (bytes) => process.stdout.write(bytes));
  await new Promise<void>((resolve) => socket.once('close', () => resolve()));
  release();
}
