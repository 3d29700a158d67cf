/**
 * One connection, of any protocol: frames in order, one at a time, so that a client that sends faster than it reads,
 * or never finishes a frame, holds up itself alone.
 */
import type { Socket } from 'node:net';
import { ByteQueue } from './bytes.ts';

/** The answer to a frame. */
export interface Outcome {
  readonly bytes?: Uint8Array;
  /** Close the connection after the bytes are sent. */
  readonly close?: boolean;
}

/** What a protocol made of the bytes: an answer (now or later), or `'incomplete'` to wait for more. */
export type Step = 'incomplete' | Outcome | Promise<Outcome>;

export interface Protocol {
  /** Take one frame from the queue and start on it. */
  step(queue: ByteQueue): Step;
  /** Bytes that may wait here while a frame is worked on; at least the largest frame. The sender is held back beyond. */
  readonly highWater: number;
  /** An unfinished frame was left alone for `frameTimeout` ms: the answer to give. Absent: wait for ever. */
  readonly late?: { readonly answer: () => Outcome; readonly afterMs: number };
}

/** Serve a protocol on a socket (with half-open allowed) until either side ends it. */
export function serveConnection(socket: Socket, protocol: Protocol): void {
  const queue = new ByteQueue();
  /** A frame is in work, or its answer is not yet read by the client. */
  let busy = false;
  let closing = false;
  let inputEnded = false;
  let timer: NodeJS.Timeout | undefined;

  const send = ({ bytes, close }: Outcome) => {
    busy = false;
    if (socket.destroyed) return;
    if (bytes && !socket.write(bytes)) {
      busy = true;
      socket.once('drain', () => {
        busy = false;
        run();
      });
    }
    if (close) end();
  };

  const end = () => {
    closing = true;
    queue.clear();
    socket.end();
  };

  const run = () => {
    while (!busy && !closing && queue.length > 0) {
      const step = protocol.step(queue);
      if (step === 'incomplete') break;
      if (step instanceof Promise) {
        busy = true;
        step.then(
          (outcome) => {
            send(outcome);
            run();
          },
          () => end(),
        );
      } else {
        send(step);
      }
    }
    if (busy || closing) return;
    if (inputEnded) end();
    else if (socket.isPaused()) socket.resume();
    if (protocol.late) watch(protocol.late);
  };

  const watch = ({ answer, afterMs }: NonNullable<Protocol['late']>) => {
    clearTimeout(timer);
    if (queue.length === 0) return;
    timer = setTimeout(() => {
      if (busy || closing) return;
      queue.clear();
      send(answer());
    }, afterMs);
  };

  socket.on('data', (chunk) => {
    queue.push(chunk);
    if (!busy) run();
    else if (queue.length >= protocol.highWater) socket.pause();
  });
  socket.on('end', () => {
    inputEnded = true;
    if (!busy) run();
  });
  socket.on('error', () => socket.destroy());
  socket.on('close', () => {
    closing = true;
    clearTimeout(timer);
    queue.clear();
  });
}
