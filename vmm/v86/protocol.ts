/**
 * What the host thread and a partition's Worker say to each other, and the words of memory that they share.
 * The host treats everything from the Worker as hostile: a guest may have corrupted the emulator there.
 */
import type { EntryState, Segment, VmSnapshot, VmStop } from '../engine.ts';
import type { DeviceMessage, HypercallMessage, ReplyMessage } from '../vm.ts';
import type { Firmware } from './cpu.ts';

/** Words of the control block (Int32Array over a SharedArrayBuffer). */
export const CONTROL = {
  /** Raised by the host after each message; a blocked Worker waits on it. */
  BELL: 0,
  /** 1 while the Worker is inside one access to the window; `unmap` waits until it is 0. */
  IN_WINDOW: 1,
  /** Console bytes sent by the Worker and not yet taken by the host. */
  CONSOLE_PENDING: 2,
  /** Always 0 and never notified: where a finished Worker waits for its end. */
  NEVER: 3,
  WORDS: 4,
} as const;

/** Console bytes in flight before the guest must wait, so that a talkative guest cannot fill the host's memory. */
export const CONSOLE_WINDOW = 64 * 1024;

/** Given to the Worker when it starts. */
export interface WorkerConfig {
  readonly wasm: WebAssembly.Module;
  readonly memoryBytes: number;
  readonly segments: readonly Segment[];
  readonly entry?: EntryState;
  readonly firmware?: Firmware;
  readonly acpi: boolean;
  readonly hda?: Uint8Array;
  readonly cdrom?: Uint8Array;
  readonly snapshot?: VmSnapshot;
  readonly devices: readonly { readonly name: string; readonly module: string; readonly config?: unknown }[];
  readonly control: SharedArrayBuffer;
  /** Window page -> frame << 2 | permission; 0 is unmapped. Written by the host thread only. */
  readonly windowTable: SharedArrayBuffer;
  readonly pool: SharedArrayBuffer;
}

/** Requests carry an id and are answered by `done` or `failed`. */
export type HostRequest =
  | { readonly kind: 'run' }
  | { readonly kind: 'pause' }
  | { readonly kind: 'read'; readonly gpa: number; readonly length: number }
  | { readonly kind: 'write'; readonly gpa: number; readonly bytes: Uint8Array }
  | { readonly kind: 'save' };

export type HostMessage =
  | { readonly kind: 'request'; readonly id: number; readonly request: HostRequest }
  | ReplyMessage
  | { readonly kind: 'input'; readonly bytes: Uint8Array }
  | DeviceMessage;

export type WorkerMessage =
  | { readonly kind: 'ready' }
  | HypercallMessage
  | { readonly kind: 'console'; readonly bytes: Uint8Array }
  | DeviceMessage
  | { readonly kind: 'stopped'; readonly by: VmStop }
  | { readonly kind: 'crashed'; readonly reason: string }
  | { readonly kind: 'done'; readonly id: number; readonly value?: Uint8Array | VmSnapshot }
  | { readonly kind: 'failed'; readonly id: number; readonly reason: string };
