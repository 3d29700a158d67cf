/** The core for its host: calls by number, the memory rule for engines, constants, and the state for diagnosis. */
import { CALLS, type CallName } from './calls.ts';
import * as channel from './channel.ts';
import { P_RUNNING, PARTITIONS, ROOT } from './constants.ts';
import * as E from './errors.ts';
import * as frame from './frame.ts';
import * as grant from './grant.ts';
import * as partition from './partition.ts';
import * as platform from './platform.ts';
import * as arrays from './state.ts';

export { CALLS, type CallDeclaration, type CallName, errorName } from './calls.ts';
export * from './constants.ts';
export { frameLoadable } from './frame.ts';
export { accessDevice } from './platform.ts';
export { accessFrame } from './rules.ts';
export { E };

/** A call of the core: the caller, its u32 arguments, a u32 result. */
export type CoreCall = (p: number, a0: number, a1: number, a2: number, a3: number, a4: number, a5: number) => number;

const IMPLEMENTATION: Record<CallName, CoreCall> = { ...partition, ...frame, ...grant, ...channel, ...platform };

const TABLE: (CoreCall | undefined)[] = new Array(0x100).fill(undefined);
for (const [name, { number }] of Object.entries(CALLS)) TABLE[number] = IMPLEMENTATION[name as CallName];

/** Execute call `number` for partition p. Arguments are taken as u32; unused ones are ignored. */
export function dispatch(number: number, p: number, a0 = 0, a1 = 0, a2 = 0, a3 = 0, a4 = 0, a5 = 0): number {
  if (p >>> 0 >= PARTITIONS) return E.RANGE;
  const call = TABLE[number];
  if (call === undefined) return E.UNKNOWN;
  return call(p >>> 0, a0 >>> 0, a1 >>> 0, a2 >>> 0, a3 >>> 0, a4 >>> 0, a5 >>> 0);
}

/** The state arrays, to look at. Only the calls of the core may write them; `reset` and the prover's tests excepted. */
export const state: { readonly [name in keyof typeof arrays]: Uint32Array } = arrays;

/** The state at boot: everything free and zero, root running. */
export function reset(): void {
  for (const array of Object.values(arrays)) {
    // Only what was written: filling would commit the untouched pages of the large tables.
    for (let i = 0; i < array.length; i++) if (array[i] !== 0) array[i] = 0;
  }
  arrays.partitionState[ROOT] = P_RUNNING;
}
arrays.partitionState[ROOT] = P_RUNNING;
