/** The calls of the core by name and number, and the names of its refusals: what others call it by. */
import * as E from './errors.ts';

/**
 * Every call of the core: its number, below 0x100, and its arguments after the caller, each a u32. A guest's header
 * (`guests/sdk/nexus_abi.h`) and the host's dispatch come from this table.
 *
 * Arguments: p, q, a, from = partition · f = frame · g = grant slot of its owner · c, d = channel end of its partition, or
 * d = device · gpa = guest-physical page number · perm = PERM_* bits · k = counter of the caller.
 */
export interface CallDeclaration {
  readonly number: number;
  readonly args: readonly string[];
}

export const CALLS = {
  version: { number: 0x00, args: [] },
  self: { number: 0x01, args: [] },
  partitionCreate: { number: 0x10, args: ['q', 'kind', 'flags'] },
  partitionSeal: { number: 0x11, args: ['q'] },
  partitionRun: { number: 0x12, args: ['q'] },
  partitionPause: { number: 0x13, args: ['q'] },
  partitionStop: { number: 0x14, args: ['q'] },
  partitionDestroy: { number: 0x15, args: ['q'] },
  partitionYield: { number: 0x16, args: [] },
  frameAssign: { number: 0x20, args: ['f', 'q', 'gpa', 'perm'] },
  frameMeasure: { number: 0x21, args: ['f'] },
  frameProtect: { number: 0x22, args: ['f', 'perm'] },
  frameDonate: { number: 0x23, args: ['g', 'f', 'q', 'perm'] },
  frameRelease: { number: 0x24, args: ['f'] },
  frameScrub: { number: 0x25, args: ['f'] },
  grantOffer: { number: 0x30, args: ['g', 'f', 'q', 'perm'] },
  grantLend: { number: 0x31, args: ['g', 'f', 'q', 'perm'] },
  grantAccept: { number: 0x32, args: ['from', 'g', 'gpa'] },
  grantRelease: { number: 0x33, args: ['from', 'g'] },
  grantRevoke: { number: 0x34, args: ['g'] },
  channelOpen: { number: 0x40, args: ['a', 'c', 'q', 'd'] },
  channelSignal: { number: 0x41, args: ['c'] },
  channelTake: { number: 0x42, args: ['c'] },
  channelClose: { number: 0x43, args: ['c'] },
  channelMask: { number: 0x44, args: ['c', 'masked'] },
  deviceAssign: { number: 0x50, args: ['d', 'q'] },
  deviceRevoke: { number: 0x51, args: ['d'] },
  gate: { number: 0x60, args: ['class', 'locality'] },
  bind: { number: 0x61, args: ['w0', 'w1'] },
  counterIncrement: { number: 0x62, args: ['k'] },
  bootLock: { number: 0x63, args: [] },
} as const satisfies Record<string, CallDeclaration>;

export type CallName = keyof typeof CALLS;

const ERROR_NAMES = new Map(Object.entries(E).map(([name, code]) => [code, `E_${name}`]));

/** The name of a refusal, for people, or undefined for a result that is none of the core's. */
export const errorName = (result: number): string | undefined => ERROR_NAMES.get(result);
