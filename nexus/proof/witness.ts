/**
 * That the theorems are not about nothing: for every call, a state that the core reaches, that satisfies every
 * invariant, and in which the call succeeds. With twice the same state, the hypotheses of the two-state theorems hold.
 */
import { CALLS, ERROR_BASE, reset, state } from '../core/index.ts';
import { type Compiled, compile } from './compile.ts';
import { invariants } from './invariants.ts';
import { CORNER } from './sample.ts';
import type { CoreSource } from './source.ts';
import { atIndex, CONTENT, symbolicState } from './state.ts';
import { variable } from './terms.ts';
import { SUBJECTS, walk } from './walk.ts';

export interface Witness {
  readonly call: string;
  readonly args: readonly number[];
  /** Calls from boot to the state. */
  readonly steps: number;
}

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
  const found = new Map<string, Witness>();
  const calls = SUBJECTS.filter(({ name }) => name in CALLS);
  walk(calls, seed, limit, ({ name, run }, args, steps) => {
    const result = run(args);
    if (result >= ERROR_BASE) return true;
    if (!found.has(name)) found.set(name, { call: name, args, steps });
    check(`${name}(${args})`);
    return found.size < calls.length;
  });
  reset();
  return found;
}
