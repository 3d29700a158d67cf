/**
 * The hypercall port: how a guest on any engine calls the nexus. Thirty-two-bit port I/O, so that one guest source
 * serves every engine and no instruction needs emulating.
 *
 * A guest writes the arguments to ARG0..ARG5, then the call number to CALL; the write traps, and when it returns the
 * result is read from CALL. Calls at or above SERVICE_BASE carry buffers: (inGpa, inLen, outGpa, outCap) in ARG0..ARG3.
 * The engine copies the input once, at the trap, and writes the output before the guest continues.
 */
export const HYPERCALL_PORT = 0x1e00;
/** Write: call number, which executes the call. Read: its result. */
export const CALL = HYPERCALL_PORT;
/** Six 32-bit arguments at +4, +8, ... +24. */
export const ARG0 = HYPERCALL_PORT + 4;
export const ARGS = 6;
/** Read: HYPERCALL_MAGIC, so that a guest can tell whether it runs under the nexus. */
export const PROBE = HYPERCALL_PORT + 28;
export const HYPERCALL_MAGIC = 0x5355584e; // "NXUS", little-endian

/** Calls from here on are services with buffers; below, calls of the core with scalar arguments. */
export const SERVICE_BASE = 0x100;
/** Bound on each buffer of a service call, bytes. */
export const SERVICE_BUFFER_MAX = 256 * 1024;

/** Results at or above this are errors: ERROR_BASE + code. Below, a value (0 for "done"). */
export const ERROR_BASE = 0xffffff00;

/** Errors of the port itself, at ERROR_BASE + code; services and core keep below 0x60. */
export const PORT_ERROR = {
  /** A buffer of a service call is longer than SERVICE_BUFFER_MAX or not wholly in the partition's RAM. */
  BUFFER: 0x60,
  /** The service's output does not fit outCap; nothing was written. */
  NO_SPACE: 0x61,
} as const;

export interface Hypercall {
  readonly call: number;
  /** u32 values of ARG0..ARG5 at the trap. */
  readonly args: readonly [number, number, number, number, number, number];
  /** The input buffer of a service call, copied once; empty for calls of the core. */
  readonly input: Uint8Array;
}

export interface HypercallReply {
  /** u32 for the guest. For a service with output: the number of bytes written, or an error. */
  readonly result: number;
  /** Bytes for the output buffer of a service call. Never longer than its outCap: the engine refuses otherwise. */
  readonly output?: Uint8Array;
}

/** A throw or rejection crashes the partition: the host could not keep its promise. */
export type HypercallHandler = (call: Hypercall) => HypercallReply | Promise<HypercallReply>;
