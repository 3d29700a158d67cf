/** What the host thread and a vCPU's Worker say to each other. Both run the host's code; only the guest is hostile. */
import type { VmStop } from '../engine.ts';
import type { DeviceMessage, HypercallMessage, ReplyMessage } from '../vm.ts';

/** Words of the control block (Int32Array over a SharedArrayBuffer). */
export const CONTROL = {
  /** Raised by the host after each message; a waiting Worker sleeps on it. */
  BELL: 0,
  /** Console bytes sent by the Worker and not yet taken by the host. */
  CONSOLE_PENDING: 1,
  WORDS: 2,
} as const;

/** Console bytes in flight before the guest must wait, so that a talkative guest cannot fill the host's memory. */
export const CONSOLE_WINDOW = 64 * 1024;

/** The part of a machine that its Worker holds. */
export interface BoardState {
  /** ARG0..ARG5 of the hypercall port and its last result, then the serial port (`Uart.save`). */
  readonly board: Uint8Array;
  /** Device name -> what its `save` gave. */
  readonly devices: Readonly<Record<string, Uint8Array>>;
}

export interface WorkerConfig {
  readonly vmFd: number;
  readonly vcpuFd: number;
  /** Addresses in this process, which threads share. */
  readonly run: { readonly address: bigint; readonly length: number };
  readonly ram: { readonly address: bigint; readonly length: number };
  /** Interrupt controllers and timer are in the kernel. */
  readonly irqchip: boolean;
  readonly control: SharedArrayBuffer;
  /** What this Worker itself held when the partition was saved. */
  readonly saved?: BoardState;
  readonly devices: readonly { readonly name: string; readonly module: string; readonly config?: unknown }[];
}

export type HostMessage =
  | { readonly kind: 'run' }
  | { readonly kind: 'pause'; readonly id: number }
  | { readonly kind: 'save'; readonly id: number }
  | { readonly kind: 'end' }
  | ReplyMessage
  | { readonly kind: 'input'; readonly bytes: Uint8Array }
  | DeviceMessage;

export type WorkerMessage =
  | { readonly kind: 'ready'; readonly tid: number }
  | HypercallMessage
  | { readonly kind: 'console'; readonly bytes: Uint8Array }
  | DeviceMessage
  | { readonly kind: 'paused'; readonly id: number }
  | { readonly kind: 'saved'; readonly id: number; readonly state: BoardState }
  /** A device is in the middle of something: ask again. */
  | { readonly kind: 'busy'; readonly id: number; readonly reason: string }
  | { readonly kind: 'stopped'; readonly by: VmStop }
  | { readonly kind: 'crashed'; readonly reason: string };
