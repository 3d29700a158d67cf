/** Proves conditions: deeper instances until the first solver answers unsat, then the other solvers must agree. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { smtQuery } from './smt.ts';
import type { AnswerCache, Solver } from './solvers.ts';
import type { Term } from './terms.ts';
import { type Condition, DEEPEST } from './theorems.ts';

export interface Verdict {
  readonly condition: Condition;
  /** How it was proved; or why not. */
  readonly outcome: 'identity' | 'unsat' | 'sat' | 'unknown' | 'disagreement';
  readonly depth: number;
  readonly milliseconds: number;
  /** Why not; of a proved condition, the solver that did not answer in time to confirm it. */
  readonly detail: string;
}
export const proved = ({ outcome }: Verdict): boolean => outcome === 'identity' || outcome === 'unsat';

export interface ProverOptions {
  readonly cache: AnswerCache;
  readonly milliseconds: number;
  readonly deepest?: number;
  /** Write every query here. */
  readonly dump?: string;
}

export async function decide(
  condition: Condition,
  solvers: readonly Solver[],
  options: ProverOptions,
): Promise<Verdict> {
  const [first, ...others] = solvers as readonly [Solver, ...Solver[]];
  const { cache, milliseconds: limit, deepest = DEEPEST } = options;
  let spent = 0;
  let previous: string | undefined;
  let outcome: Verdict['outcome'] = 'unknown';
  let unconfirmed = '';
  let depth = 0;
  for (; depth <= deepest; depth++) {
    const assertions = condition.assertions(depth);
    if (assertions.length === 0) return { condition, outcome: 'identity', depth, milliseconds: spent, detail: '' };
    const query = smtQuery(assertions, others.length > 0);
    if (query === previous) break;
    previous = query;
    if (options.dump !== undefined) dump(options.dump, condition, depth, query);
    const { answer, milliseconds, needed } = await cache.solve(first, query, limit);
    spent += milliseconds;
    outcome = answer;
    if (answer === 'unknown') break;
    if (answer === 'sat') continue;
    // The others are given what the first needed: if that part is contradictory, so is the whole.
    const part = needed.length === 0 ? query : smtQuery(needed.map((k) => assertions[k] as Term));
    for (const other of others) {
      const confirmation = await cache.solve(other, part, limit);
      spent += confirmation.milliseconds;
      if (confirmation.answer === 'unknown') unconfirmed = other.name;
      if (confirmation.answer === 'sat') {
        const detail = `${first.name} says unsat, ${other.name} sat`;
        return { condition, outcome: 'disagreement', depth, milliseconds: spent, detail };
      }
    }
    return { condition, outcome: 'unsat', depth, milliseconds: spent, detail: unconfirmed };
  }
  return {
    condition,
    outcome,
    depth: Math.min(depth, deepest),
    milliseconds: spent,
    detail: `${first.name}: ${outcome}`,
  };
}

function dump(directory: string, condition: Condition, depth: number, query: string): void {
  mkdirSync(directory, { recursive: true });
  const name = [condition.call, condition.theorem, condition.clause, String(depth)].filter((part) => part !== '');
  writeFileSync(join(directory, `${name.join('-').replace(/[^\w-]+/g, '_')}.smt2`), query);
}

/** Decide all, several at once; `solversOf` gives each lane its own solvers. */
export async function decideAll(
  conditions: Iterable<Condition>,
  lanes: readonly (readonly Solver[])[],
  options: ProverOptions,
  report: (verdict: Verdict) => boolean | undefined,
): Promise<void> {
  const queue = conditions[Symbol.iterator]();
  let stop = false;
  await Promise.all(
    lanes.map(async (solvers) => {
      while (!stop) {
        const next = queue.next();
        if (next.done === true) return;
        if (report(await decide(next.value, solvers, options)) === false) stop = true;
      }
    }),
  );
}
