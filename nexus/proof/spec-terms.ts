/**
 * The words that specifications are written in: a call's refusals in their order, then the one effect, as cells that
 * change together.
 */
import * as K from '../core/constants.ts';
import * as E from '../core/errors.ts';
import { type Index, is, running } from './state.ts';
import { eq, lt, not, or, type Term, u32, variable } from './terms.ts';
import type { State } from './translate.ts';

export interface Spec {
  readonly refusals: readonly (readonly [when: Term, code: number])[];
  readonly cells?: readonly (readonly [array: string, index: Index, value: Term, when?: Term])[];
  /** OK if absent. */
  readonly result?: Term;
}
export type Specification = (s: State, p: Term, ...args: Term[]) => Spec;

export const n = (value: number): Term => u32(value);
export const root = (p: Term): Term => eq(p, n(K.ROOT));
export const outside = (...pairs: readonly (readonly [Term, string])[]): Term =>
  or(...pairs.map(([term, size]) => not(lt(term, variable(size)))));
export const stateOf = (s: State, q: Term, state: number): Term => is(s, 'partitionState', [q], state);

export const onlyRoot = (p: Term): readonly [Term, number] => [not(root(p)), E.DENIED];
export const onlyRunning = (s: State, p: Term): readonly [Term, number] => [not(running(s, p)), E.CALLER];
