/** The Microsoft simulator's two ports, the side of the TPM: commands and platform signals. */
import type { Locality } from '../device.ts';
import type { Board } from './board.ts';
import { type ByteQueue, concat, u32At, u32s } from './bytes.ts';
import { HANDSHAKE_FLAGS, MAX_COMMAND, SIGNAL, SIMULATOR_VERSION } from './protocol.ts';

/** What to do with the connection after a signal. */
export type After = 'stay' | 'close' | 'stop-server';

/** A signal's answer. */
export interface Answer {
  readonly bytes?: Uint8Array;
  readonly after: After;
}

const ack = u32s(0);
const refused = u32s(1);
const stay = (bytes: Uint8Array = ack): Answer => ({ bytes, after: 'stay' });

/** Largest command and response seen (TPM_GET_COMMAND_RESPONSE_SIZES), over all connections of a server. */
export class TrafficSizes {
  #command = [0, 0];
  #response = [0, 0];

  record(command: Uint8Array, response: Uint8Array): void {
    if (command.length > this.#command[0]!) this.#command = [command.length, u32At(command, 6)];
    if (response.length > this.#response[0]!) this.#response = [response.length, u32At(response, 6)];
  }

  /** The four words, and forget them. */
  take(): Uint8Array {
    const words = u32s(...this.#command, ...this.#response);
    this.#command = [0, 0];
    this.#response = [0, 0];
    return words;
  }
}

/** Largest simulator frame on the command port: signal, locality, size, command. */
export const MAX_SIMULATOR_FRAME = 9 + MAX_COMMAND;

/** A frame of the command port. */
export type SimulatorFrame =
  | { readonly kind: 'command'; readonly command: Uint8Array; readonly locality: Locality }
  | { readonly kind: 'signal'; readonly signal: number; readonly data: Uint8Array }
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'refused' };

/** Bytes behind each signal of the command port; -1: a 4-byte length and that many. */
const COMMAND_PORT: Readonly<Record<number, number>> = {
  [SIGNAL.HASH_START]: 0,
  [SIGNAL.HASH_DATA]: -1,
  [SIGNAL.HASH_END]: 0,
  [SIGNAL.REMOTE_HANDSHAKE]: 4,
  [SIGNAL.SET_ALTERNATIVE_RESULT]: 4,
  [SIGNAL.SESSION_END]: 0,
  [SIGNAL.STOP]: 0,
};

/** Take the next frame of the command port. */
export function nextSimulatorFrame(queue: ByteQueue): SimulatorFrame {
  const head = queue.peek(4);
  if (!head) return { kind: 'incomplete' };
  const signal = u32At(head, 0);
  if (signal === SIGNAL.SEND_COMMAND) return sendCommandFrame(queue);
  const size = COMMAND_PORT[signal];
  if (size === undefined) return { kind: 'refused' };
  if (size >= 0) {
    const whole = queue.take(4 + size);
    return whole ? { kind: 'signal', signal, data: whole.subarray(4) } : { kind: 'incomplete' };
  }
  const sized = queue.peek(8);
  if (!sized) return { kind: 'incomplete' };
  const length = u32At(sized, 4);
  if (length > MAX_COMMAND) return { kind: 'refused' };
  const whole = queue.take(8 + length);
  return whole ? { kind: 'signal', signal, data: whole.subarray(8) } : { kind: 'incomplete' };
}

function sendCommandFrame(queue: ByteQueue): SimulatorFrame {
  const head = queue.peek(9);
  if (!head) return { kind: 'incomplete' };
  const length = u32At(head, 5);
  const locality = head[4] ?? 0xff;
  if (length > MAX_COMMAND || locality > 4) return { kind: 'refused' };
  const whole = queue.take(9 + length);
  if (!whole) return { kind: 'incomplete' };
  return { kind: 'command', command: whole.subarray(9), locality: locality as Locality }; // 0-4 by the test above.
}

/** A response as the command port sends it: size, response, zero. */
export function simulatorResponse(response: Uint8Array): Uint8Array {
  return concat(u32s(response.length), response, ack);
}

/** Execute a signal of the command port. */
export function commandPortSignal(board: Board, signal: number, data: Uint8Array): Answer {
  switch (signal) {
    case SIGNAL.HASH_START:
      if (board.running) board.tpm.hashStart();
      return stay();
    case SIGNAL.HASH_DATA:
      if (board.running) board.tpm.hashData(data);
      return stay();
    case SIGNAL.HASH_END:
      if (board.running) board.tpm.hashEnd();
      return stay();
    case SIGNAL.REMOTE_HANDSHAKE:
      if (u32At(data, 0) === 0) return { after: 'close' };
      return stay(u32s(SIMULATOR_VERSION, HANDSHAKE_FLAGS, 0));
    case SIGNAL.SET_ALTERNATIVE_RESULT:
      return stay();
    case SIGNAL.SESSION_END:
      return { after: 'close' };
    default:
      return { after: 'stop-server' };
  }
}

/** Take and execute the next signal of the platform port; undefined: not enough bytes. */
export function nextPlatformSignal(board: Board, queue: ByteQueue, sizes: TrafficSizes): Answer | undefined {
  const head = queue.peek(4);
  if (!head) return undefined;
  const signal = u32At(head, 0);
  const whole = queue.take(signal === SIGNAL.ACT_GET_SIGNALED ? 8 : 4);
  if (!whole) return undefined;
  if (signal === SIGNAL.ACT_GET_SIGNALED) {
    return stay(u32s(board.tpm.actSignaled?.(u32At(whole, 4)) ? 1 : 0, 0));
  }
  return platformSignal(board, signal, sizes);
}

function platformSignal(board: Board, signal: number, sizes: TrafficSizes): Answer {
  const { tpm } = board;
  switch (signal) {
    case SIGNAL.POWER_ON:
      board.powerOn();
      return stay();
    case SIGNAL.POWER_OFF:
      board.powerOff();
      return stay();
    case SIGNAL.RESET:
    case SIGNAL.RESTART:
      board.reset();
      return stay();
    case SIGNAL.PHYS_PRES_ON:
    case SIGNAL.PHYS_PRES_OFF:
      tpm.setPhysicalPresence?.(signal === SIGNAL.PHYS_PRES_ON);
      return stay();
    case SIGNAL.CANCEL_ON:
      if (board.running) tpm.cancel();
      return stay();
    case SIGNAL.NV_ON:
    case SIGNAL.NV_OFF:
      tpm.setNvAvailable?.(signal === SIGNAL.NV_ON);
      return stay();
    // Cancel is an edge here, and keys are cached as the crypto provider sees fit: nothing to switch.
    case SIGNAL.CANCEL_OFF:
    case SIGNAL.KEY_CACHE_ON:
    case SIGNAL.KEY_CACHE_OFF:
      return stay();
    case SIGNAL.GET_COMMAND_RESPONSE_SIZES:
      return stay(concat(u32s(16), sizes.take(), ack));
    case SIGNAL.TEST_FAILURE_MODE:
      if (!tpm.enterFailureMode) return { bytes: refused, after: 'close' };
      tpm.enterFailureMode();
      return stay();
    case SIGNAL.SESSION_END:
      return { after: 'close' };
    case SIGNAL.STOP:
      return { after: 'stop-server' };
    default:
      return { bytes: refused, after: 'close' };
  }
}
