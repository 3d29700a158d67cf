/** The client end of a byte stream: write a request, read an answer of known framing, in order. */
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { ByteQueue } from './bytes.ts';
import { TpmTransportError } from './errors.ts';
import { type Place, placeName } from './place.ts';

/** Take one answer from the queue; undefined: not complete. Throws for one that cannot be. */
export type AnswerReader = (queue: ByteQueue) => Uint8Array | undefined;

interface Waiting {
  readonly read: AnswerReader;
  readonly resolve: (answer: Uint8Array) => void;
  readonly reject: (error: Error) => void;
}

export class StreamClient {
  readonly #socket: Socket;
  readonly #name: string;
  readonly #queue = new ByteQueue();
  readonly #waiting: Waiting[] = [];
  #failed: TpmTransportError | undefined;

  private constructor(socket: Socket, name: string) {
    this.#socket = socket;
    this.#name = name;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => {
      this.#queue.push(chunk);
      this.#serve();
    });
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail());
  }

  /** Rejects with E_TRANSPORT_CONNECT. */
  static open(at: Place): Promise<StreamClient> {
    const name = placeName(at);
    const target: NetConnectOpts = 'path' in at ? { path: at.path } : { host: at.host ?? '127.0.0.1', port: at.port };
    return new Promise((resolve, reject) => {
      const socket = connect(target);
      const refused = (error: Error) =>
        reject(
          new TpmTransportError(
            'E_TRANSPORT_CONNECT',
            `no TPM answers at ${name}: ${error.message}`,
            'start one there, for example with `nexus tpm serve`',
            error,
          ),
        );
      socket.once('error', refused);
      socket.once('connect', () => {
        socket.off('error', refused);
        resolve(new StreamClient(socket, name));
      });
    });
  }

  /** Send a request; resolves with its answer. Requests may overlap: answers come in order. */
  exchange(request: Uint8Array, read: AnswerReader): Promise<Uint8Array> {
    if (this.#failed) return Promise.reject(this.#failed);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ read, resolve, reject });
      this.#socket.write(request);
    });
  }

  /** Say something that has no answer, and hang up. */
  close(farewell?: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket.destroyed) return resolve();
      this.#socket.once('close', () => resolve());
      if (farewell) this.#socket.end(farewell, () => this.#socket.destroy());
      else this.#socket.destroy();
    });
  }

  #serve(): void {
    for (let first = this.#waiting[0]; first; first = this.#waiting[0]) {
      let answer: Uint8Array | undefined;
      try {
        answer = first.read(this.#queue);
      } catch (error) {
        this.#fail(error);
        return;
      }
      if (!answer) return;
      this.#waiting.shift();
      first.resolve(answer);
    }
  }

  #fail(cause?: unknown): void {
    this.#failed ??=
      cause instanceof TpmTransportError
        ? cause
        : new TpmTransportError(
            'E_TRANSPORT_CLOSED',
            `the connection to the TPM at ${this.#name} ended${cause instanceof Error ? `: ${cause.message}` : ''}`,
            'check that the TPM still runs, then connect anew',
            cause,
          );
    for (const { reject } of this.#waiting.splice(0)) reject(this.#failed);
    this.#socket.destroy();
  }
}

/** An answer that makes no sense in this protocol. */
export function protocolError(what: string): TpmTransportError {
  return new TpmTransportError(
    'E_TRANSPORT_PROTOCOL',
    what,
    'check that the address is that of a TPM and that the protocol is the right one',
  );
}
