/**
 * One connection, of any protocol: frames in order, one at a time, so that a client that sends faster than it reads,
 * or never finishes a frame, holds up itself alone.
 */
import type { Server, Socket } from 'node:net';
import { Attendant } from './attendant.ts';
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
  /** Take one frame from the queue and start on it. `alone`: no other client waits, so the disk may be waited for. */
  step(queue: ByteQueue, alone: boolean): Step;
  /** Bytes that may wait here while a frame is worked on; at least the largest frame. The sender is held back beyond. */
  readonly highWater: number;
  /** An unfinished frame was left alone for `frameTimeout` ms: the answer to give. Absent: wait for ever. */
  readonly late?: { readonly answer: () => Outcome; readonly afterMs: number };
}

/** Serve a protocol on a socket (with half-open allowed) until either side ends it. */
export function serveConnection(socket: Socket, protocol: Protocol, attendant?: Attendant): void {
  const queue = new ByteQueue();
  /** A frame is in work, or its answer is not yet read by the client. */
  let busy = false;
  let closing = false;
  let inputEnded = false;
  let timer: NodeJS.Timeout | undefined;
  const descriptor = attendant && descriptorOf(socket);

  const setBusy = (now: boolean) => {
    if (busy === now) return;
    busy = now;
    if (now) attendant?.begin();
    else attendant?.end();
  };

  const send = ({ bytes, close }: Outcome) => {
    setBusy(false);
    if (socket.destroyed) return;
    if (bytes && !write(bytes)) {
      setBusy(true);
      socket.once('drain', () => {
        setBusy(false);
        run();
      });
    }
    if (close) end();
  };

  /** False: the client must read before it gets more. */
  const write = (bytes: Uint8Array): boolean => {
    if (!attendant || descriptor === undefined || socket.writableLength > 0) return socket.write(bytes);
    const sent = attendant.send(descriptor, bytes);
    return sent === bytes.length || socket.write(bytes.subarray(sent));
  };

  const end = () => {
    closing = true;
    queue.clear();
    socket.end();
  };

  const run = () => {
    work(false);
    if (attendant && descriptor !== undefined) attend(attendant, descriptor);
    if (busy || closing) return;
    if (inputEnded) end();
    else if (socket.isPaused()) socket.resume();
    if (protocol.late) watch(protocol.late);
  };

  /** Serve the client's next commands in place while nobody else wants anything. */
  const attend = (attendant: Attendant, descriptor: number) => {
    const deadline = Attendant.deadline();
    while (!busy && !closing && !inputEnded && !socket.destroyed && socket.writableLength === 0) {
      const bytes = attendant.receive(descriptor, deadline);
      if (!bytes) return;
      queue.push(bytes);
      work(true);
      queue.own(); // the bytes are the attendant's, and what is left of them must outlive its next call
    }
  };

  const work = (alone: boolean) => {
    while (!busy && !closing && queue.length > 0) {
      const step = protocol.step(queue, alone);
      if (step === 'incomplete') break;
      if (step instanceof Promise) {
        setBusy(true);
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
    setBusy(false);
    clearTimeout(timer);
    queue.clear();
  });
}

/** A socket's number; Node offers no other way to it. Undefined once it is closed. */
export function descriptorOf(socket: Socket | Server): number | undefined {
  const fd = (socket as unknown as { readonly _handle: { readonly fd: number } | null })._handle?.fd;
  return fd !== undefined && fd >= 0 ? fd : undefined;
}
