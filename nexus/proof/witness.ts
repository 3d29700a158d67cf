/**
 * That the theorems are not about nothing: for every call, a state that the core reaches, that satisfies every
 * invariant, and in which the call succeeds. With twice the same state, the hypotheses of the two-state theorems hold.
 */
import { CALLS, dispatch, ERROR_BASE, reset, state } from '../core/index.ts';
import { type Compiled, compile } from './compile.ts';
import { invariants } from './invariants.ts';
import { CORNER, randomness, sampleArguments } from './sample.ts';
import type { CoreSource } from './source.ts';
import { atIndex, CONTENT, symbolicState } from './state.ts';
import { variable } from './terms.ts';

export interface Witness {
  readonly call: string;
  readonly args: readonly number[];
  /** Calls from boot to the state. */
  readonly steps: number;
}

/** Calls tried before starting over. */
const LIFE = 20_000;

/** Walk at random from boot; every state passed satisfies the invariants, or this throws with the one that fails. */
export function witnesses(core: CoreSource, seed = 1, limit = 400_000): Map<string, Witness> {
  const index = [variable('i'), variable('j')];
  const symbolic = symbolicState('s', core.arrays.keys());
  const clauses = invariants(symbolic).map((clause) => ({
    clause,
    holds: compile(core, atIndex(clause, index), ['i', 'j']) as Compiled,
  }));
  const concrete = { ...state, [CONTENT]: new Uint32Array(1) };
  const check = (after: string): void => {
    for (const { clause, holds } of clauses) {
      for (const at of clause.kind === undefined ? [[0, 0]] : CORNER[clause.kind]) {
        if (holds(concrete, at) !== 1) throw new Error(`after ${after}: "${clause.name}" fails at [${at}]`);
      }
    }
  };
  const random = randomness(seed);
  const found = new Map<string, Witness>();
  const names = Object.keys(CALLS) as (keyof typeof CALLS)[];
  let steps = 0;
  for (let round = 0; found.size < names.length && round < limit; round++) {
    // A life gets old: ids retire, frames stay with partitions that were sealed early.
    if (round % LIFE === 0) {
      reset();
      steps = 0;
    }
    steps++;
    const name = names[random(names.length)] as keyof typeof CALLS;
    // What ends things is called more rarely, so that there are things.
    if (/Destroy|Stop|Pause|Seal|Close|Revoke|frameRelease|bootLock/.test(name) && random(20) !== 0) continue;
    const [p = 0, ...args] = sampleArguments(['p', ...CALLS[name].args], random);
    const result = dispatch(CALLS[name].number, p, ...args);
    if (result >= ERROR_BASE) continue;
    if (!found.has(name)) found.set(name, { call: name, args: [p, ...args], steps });
    check(`${name}(${[p, ...args]})`);
  }
  reset();
  return found;
}
