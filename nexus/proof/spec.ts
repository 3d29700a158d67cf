/**
 * What each call must do: the refusals in their order, then the one effect. Every cell that is not named stays as it
 * was (theorem REF compares all of them).
 */
import * as K from '../core/constants.ts';
import { MEMORY } from './spec-memory.ts';
import { PARTITIONS } from './spec-partitions.ts';
import type { Spec, Specification } from './spec-terms.ts';
import { ladder } from './state.ts';
import { ite, or, type Term, u32, write } from './terms.ts';
import type { State } from './translate.ts';

const SPECIFICATIONS: Readonly<Record<string, Specification>> = { ...PARTITIONS, ...MEMORY };

/** The specification of call or access `name` from state s. */
export function specification(name: string, s: State, args: readonly Term[]): Spec {
  const specified = SPECIFICATIONS[name];
  if (specified === undefined) throw new Error(`no specification of ${name}`);
  return specified(s, ...(args as [Term, ...Term[]]));
}

export interface Demanded {
  readonly result: Term;
  readonly state: State;
}

/** Result and state that it demands. */
export function demanded(spec: Spec, s: State): Demanded {
  const refused = or(...spec.refusals.map(([when]) => when));
  const after: Record<string, Term> = { ...s };
  for (const [array, index, value, when] of spec.cells ?? []) {
    const changed = write(after[array] as Term, index, value);
    after[array] = when === undefined ? changed : ite(when, changed, after[array] as Term);
  }
  const state = Object.fromEntries(
    Object.keys(s).map((array) => [array, ite(refused, s[array] as Term, after[array] as Term)]),
  );
  return { result: ladder(spec.refusals, spec.result ?? u32(K.OK)), state };
}

export const specify = (name: string, s: State, args: readonly Term[]): Demanded =>
  demanded(specification(name, s, args), s);
