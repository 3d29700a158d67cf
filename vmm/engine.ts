/**
 * The engine contract: what executes a partition's x86 code. Two implementations, `v86` and `kvm`. An engine decides
 * nothing about memory: the nexus core does, and the host tells the engine. Contract (tests hold engines to the core
 * as an oracle): A1 an access at (partition, gpa) reaches frame f iff the core says so, with that permission; A2 a
 * scrubbed frame reads as zero; A3 every emulated device and DMA path asks the same question; A4 one thread orders
 * all calls.
 */

import type { DeviceSpec } from './device.ts';
import type { HypercallHandler } from './hypercall.ts';
import type { Firmware } from './v86/cpu.ts';

export const PAGE_SIZE = 4096;

/** Where shared pages appear in a guest: grants are mapped at gpa pages inside this window. */
export const WINDOW_BASE = 0xd8000000;
export const WINDOW_PAGES = 4096; // 16 MiB

export const PERM_READ = 1;
export const PERM_WRITE = 2;

/** A piece of initial memory. */
export interface Segment {
  /** Guest-physical address; any alignment. */
  readonly gpa: number;
  readonly bytes: Uint8Array;
}

/** Processor state at the first instruction, 32-bit protected mode, flat segments, paging and interrupts off. */
export interface EntryState {
  readonly eip: number;
  readonly eax?: number;
  readonly ebx?: number;
  readonly esi?: number;
}

export interface VmSpec {
  readonly name: string;
  /** RAM, a multiple of 1 MiB; guest-physical 0 up to this. */
  readonly memoryBytes: number;
  readonly segments: readonly Segment[];
  /** Where execution begins; absent only with `firmware` or `snapshot`, which know. */
  readonly entry?: EntryState;
  /** Firmware images that start at the reset vector instead of `entry`. v86 only. */
  readonly firmware?: Firmware;
  /** The engine's ACPI power-management ports; for guests that read ACPI tables. Default false. */
  readonly acpi?: boolean;
  /** Disk and CD images, copied into the partition. v86 only. */
  readonly hda?: Uint8Array;
  readonly cdrom?: Uint8Array;
  /** Devices that run beside the processor in the partition's Worker. */
  readonly devices?: readonly DeviceSpec[];
  /** Continue from here instead of `segments` and `entry`. Memory size and devices must be those of the snapshot. */
  readonly snapshot?: VmSnapshot;
  readonly onHypercall: HypercallHandler;
  /** Bytes of the serial console (COM1), as they come. */
  readonly onConsole: (bytes: Uint8Array) => void;
  /** Once, when the guest has stopped for good. */
  readonly onExit: (exit: VmExit) => void;
}

/** Who ended a partition: the host, the guest by power-off or halting with interrupts off, or the guest by reset. */
export type VmStop = 'host' | 'halt' | 'reset';

export type VmExit =
  | { readonly kind: 'stopped'; readonly by: VmStop }
  /** The guest, or the engine under it, failed; the partition is contained and its memory is lost. */
  | { readonly kind: 'crashed'; readonly reason: string };

/** Processor, memory and devices of a paused partition. Plain bytes: the host seals them before they leave it. */
export interface VmSnapshot {
  readonly engine: 'v86' | 'kvm';
  readonly memoryBytes: number;
  readonly machine: Uint8Array;
  /** Device name -> what its `save` gave. */
  readonly devices: Readonly<Record<string, Uint8Array>>;
}

/** Why the engine could not do what it was asked. The message names the partition and the way out. */
export class EngineError extends Error {
  readonly code: 'ENGINE_SPEC' | 'ENGINE_ENDED' | 'ENGINE_RANGE' | 'ENGINE_BUSY' | 'ENGINE_FAILED';
  constructor(code: EngineError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'EngineError';
    this.code = code;
  }
}

export interface Vm {
  readonly spec: VmSpec;
  start(): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Ends execution and frees the memory; idempotent; resolves after `onExit` was called. */
  stop(): Promise<void>;
  /**
   * State of the paused partition. One that is inside a hypercall finishes it, and its time slice, first. The window
   * is not part of the state: map again.
   */
  save(): Promise<VmSnapshot>;
  /** Bytes typed on the serial console. */
  input(bytes: Uint8Array): void;
  /** Copy of guest RAM while paused, or at any moment for diagnosis. */
  readMemory(gpa: number, length: number): Promise<Uint8Array>;
  writeMemory(gpa: number, bytes: Uint8Array): Promise<void>;
  /**
   * Map exchange-pool page `frame` at window page `page` with PERM_* rights. In force when it returns. Unmapped
   * window pages read as all ones and swallow writes; so do writes to a page without PERM_WRITE.
   */
  map(page: number, frame: number, permission: number): void;
  /** Remove a mapping. In force when it returns: no later access of the guest reaches the frame. */
  unmap(page: number): void;
}

export interface Engine {
  readonly name: 'v86' | 'kvm';
  /** The pages that grants can share, one pool per engine instance: frame number -> its 4 KiB, zero at first. */
  readonly pool: ExchangePool;
  create(spec: VmSpec): Promise<Vm>;
  close(): Promise<void>;
}

export interface ExchangePool {
  readonly frames: number;
  /** Zero a frame (A2). */
  scrub(frame: number): void;
  read(frame: number, offset: number, length: number): Uint8Array;
  write(frame: number, offset: number, bytes: Uint8Array): void;
}
