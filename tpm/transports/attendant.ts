/**
 * Attending to a busy client without the event loop. A client that sends one command after another waits, each time,
 * for libuv's turn and Node's streams, which take longer than most commands. A process that does nothing but serve a
 * TPM can wait for the next command in place: poll(2) over every socket of the server, then recv(2) and send(2) on the
 * one that speaks, through the optional package `koffi`.
 *
 * Nobody else is held up. As soon as another socket has something to read (a command, a connection, an end), or a
 * command is still being worked on, or the time is up, the event loop goes on.
 */
/** The calls on descriptors. */
interface SocketCalls {
  poll(descriptors: Uint8Array, count: number, timeoutMs: number): number;
  recv(socket: number, buffer: Uint8Array, size: number, flags: number): number;
  send(socket: number, bytes: Uint8Array, size: number, flags: number): number;
}

/** Linux values, of every processor it runs on. */
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const POLLIN = 1;
/** int fd; short events; short revents. */
const POLLFD = 8;

/**
 * Longest wait for the next command, in ms. Shorter ones make the kernel set a timer of high resolution for each wait,
 * which costs a virtual machine several microseconds.
 */
const WAIT_MS = 10;
/** Timers and what else the event loop owes get their turn at least this often, in ms, however busy a client is. */
const TURN_MS = 50;

const LARGEST_READ = 16 * 1024;

/** The attendant of a server, or why there is none. */
export async function loadAttendant(): Promise<Attendant | { readonly missing: string }> {
  if (process.platform !== 'linux') return { missing: `not made for ${process.platform}` };
  try {
    const { default: koffi } = await import('koffi');
    const library = koffi.load(null);
    const calls = {
      poll: library.func('int poll(void *descriptors, unsigned long count, int timeout)'),
      recv: library.func('int recv(int socket, void *buffer, size_t size, int flags)'),
      send: library.func('int send(int socket, const void *bytes, size_t size, int flags)'),
    };
    return new Attendant(calls as unknown as SocketCalls); // the prototypes are those types
  } catch (error) {
    return { missing: `package koffi: ${error instanceof Error ? error.message : String(error)}` };
  }
}

/** Knows every socket of a server, and waits for one of them while the others are silent. */
export class Attendant {
  readonly #calls: SocketCalls;
  /** By its owner: a number is used again as soon as its socket is closed. */
  readonly #watched = new Map<object, number>();
  readonly #buffer = new Uint8Array(LARGEST_READ);
  readonly #outgoing = new Uint8Array(LARGEST_READ);
  #descriptors = new Uint8Array(0);
  #view = new DataView(this.#descriptors.buffer);
  #inWork = 0;
  #closed = false;

  constructor(calls: SocketCalls) {
    this.#calls = calls;
  }

  /** A listener or connection whose input must not wait. */
  watch(owner: object, descriptor: number): void {
    this.#watched.set(owner, descriptor);
    this.#arrange();
  }

  unwatch(owner: object): void {
    if (this.#watched.delete(owner)) this.#arrange();
  }

  /** Something that the event loop must bring to its end has begun. */
  begin(): void {
    this.#inWork++;
  }

  end(): void {
    this.#inWork--;
  }

  /** The server ends: wait for nothing more. */
  close(): void {
    this.#closed = true;
  }

  /** Nobody else waits for anything that the event loop does. */
  get idle(): boolean {
    return this.#inWork === 0 && !this.#closed;
  }

  /** When the event loop must have its turn, on the scale of `performance.now`. */
  static deadline(): number {
    return performance.now() + TURN_MS;
  }

  /**
   * Wait for the next bytes of one socket. Undefined when there are none by then, when its client is gone, or when
   * anybody else spoke first: the event loop sees to it. The bytes are there until the next call.
   */
  receive(socket: number, deadline: number): Uint8Array | undefined {
    if (!this.idle || performance.now() > deadline) return undefined;
    const count = this.#watched.size;
    if (this.#calls.poll(this.#descriptors, count, WAIT_MS) !== 1 || !this.#readable(socket)) return undefined;
    const size = this.#calls.recv(socket, this.#buffer, LARGEST_READ, MSG_DONTWAIT);
    return size > 0 ? this.#buffer.subarray(0, size) : undefined;
  }

  /** Send what goes without waiting; returns how many bytes did. */
  send(socket: number, bytes: Uint8Array): number {
    // From memory of its own: handing over a small array would move it out of the engine's heap first.
    const outgoing = bytes.length <= this.#outgoing.length ? this.#outgoing : bytes;
    if (outgoing !== bytes) outgoing.set(bytes);
    return Math.max(0, this.#calls.send(socket, outgoing, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL));
  }

  #arrange(): void {
    this.#descriptors = new Uint8Array(POLLFD * this.#watched.size);
    this.#view = new DataView(this.#descriptors.buffer);
    let at = 0;
    for (const descriptor of this.#watched.values()) {
      this.#view.setInt32(at, descriptor, LITTLE_ENDIAN);
      this.#view.setInt16(at + 4, POLLIN, LITTLE_ENDIAN);
      at += POLLFD;
    }
  }

  /** Whether the last poll found input on this socket. */
  #readable(socket: number): boolean {
    for (let at = 0; at < this.#descriptors.length; at += POLLFD) {
      if (this.#view.getInt32(at, LITTLE_ENDIAN) !== socket) continue;
      return (this.#view.getInt16(at + 6, LITTLE_ENDIAN) & POLLIN) !== 0;
    }
    return false;
  }
}

const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
