/**
 * The data channel: TPM commands as they are (swtpm), or in the simulator's frames. The first four bytes of a frame
 * tell which, so one port serves both kinds of client: a TPM command starts with its tag (0x8001, 0x8002; 0x00c1 and
 * up in TPM 1.2), a simulator frame with a number below 0x100.
 */
import type { Board } from './board.ts';
import type { ByteQueue } from './bytes.ts';
import type { Outcome, Protocol, Step } from './connection.ts';
import { bareResponse, MAX_COMMAND, TPM_HEADER, TPM_RC } from './protocol.ts';
import {
  commandPortSignal,
  MAX_SIMULATOR_FRAME,
  nextSimulatorFrame,
  simulatorResponse,
  type TrafficSizes,
} from './simulator.ts';

export interface DataHost {
  /** A client asked the server to end. */
  onShutdown(): void;
}

/** The protocol of one data connection. */
export function dataProtocol(board: Board, host: DataHost, sizes: TrafficSizes): Protocol {
  return {
    highWater: 2 * MAX_SIMULATOR_FRAME,
    step(queue, alone) {
      const head = queue.u32(0);
      if (head === undefined) return 'incomplete';
      return head < 0x100 ? simulatorStep(board, host, sizes, queue, alone) : rawStep(board, sizes, queue, alone);
    },
  };
}

/** What the simulator answers to a command while its power is off: nothing, in a frame. */
const withoutPower: Outcome = { bytes: simulatorResponse(new Uint8Array(0)) };

const badSize: Outcome = { bytes: bareResponse(TPM_RC.COMMAND_SIZE), close: true };

/**
 * To a TPM 1.2 command the specification answers in TPM 1.2's form (tag 0x00c4, TPM_RC_BAD_TAG). OVMF takes that tag for
 * a TPM 1.2; swtpm answers like this on its data channel, and so does this one.
 */
const notTpm12: Outcome = { bytes: bareResponse(TPM_RC.VALUE) };

function rawStep(board: Board, sizes: TrafficSizes, queue: ByteQueue, alone: boolean): Step {
  const size = queue.u32(2);
  if (size === undefined) return 'incomplete';
  // Where the next command would start is unknown: answer, then close.
  if (size < TPM_HEADER || size > MAX_COMMAND) return badSize;
  const command = queue.take(size);
  if (!command) return 'incomplete';
  if (command[0] === 0) return notTpm12;
  const answered = (bytes: Uint8Array): Outcome => {
    sizes.record(command, bytes);
    return { bytes };
  };
  const response = board.answer(command, board.locality, alone);
  return response instanceof Promise ? response.then(answered) : answered(response);
}

function simulatorStep(board: Board, host: DataHost, sizes: TrafficSizes, queue: ByteQueue, alone: boolean): Step {
  const frame = nextSimulatorFrame(queue);
  if (frame.kind === 'incomplete') return 'incomplete';
  if (frame.kind === 'refused') return { close: true };
  if (frame.kind === 'command') {
    if (!board.running) return withoutPower;
    const { command, locality } = frame;
    const answered = (bytes: Uint8Array): Outcome => {
      sizes.record(command, bytes);
      return { bytes: simulatorResponse(bytes) };
    };
    const response = board.answer(command, locality, alone);
    return response instanceof Promise ? response.then(answered) : answered(response);
  }
  const answer = commandPortSignal(board, frame.signal, frame.data);
  if (answer.after === 'stop-server') host.onShutdown();
  return { ...(answer.bytes ? { bytes: answer.bytes } : {}), close: answer.after !== 'stay' };
}
