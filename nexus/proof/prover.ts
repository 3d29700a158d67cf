/** Proves conditions: deeper instances until the first solver answers unsat, then the other solvers must agree. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { smtQuery } from './smt.ts';
import type { AnswerCache, Solver, SolverName } from './solvers.ts';
import type { Term } from './terms.ts';
import { type Case, type Condition, DEEPEST } from './theorems.ts';

export interface Verdict {
  readonly condition: Condition;
  /** How it was proved; or why not. `unconfirmed`: another solver gave no answer in time. */
  readonly outcome: 'identity' | 'unsat' | 'sat' | 'unknown' | 'unconfirmed' | 'disagreement';
  /** The case that is not proved, or the last. */
  readonly case: Case;
  readonly depth: number;
  /** Of all solvers together. */
  readonly milliseconds: number;
  /** Why not. */
  readonly detail: string;
  /** Queries that each solver found contradictory. */
  readonly answered: ReadonlyMap<SolverName, number>;
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
  const answered = new Map<SolverName, number>();
  let milliseconds = 0;
  let verdict: Verdict | undefined;
  for (const part of condition.cases) {
    const found = await decideCase(condition, part, solvers, options);
    milliseconds += found.milliseconds;
    for (const name of found.answeredBy) answered.set(name, (answered.get(name) ?? 0) + 1);
    const outcome = found.outcome === 'identity' && verdict !== undefined ? verdict.outcome : found.outcome;
    verdict = { condition, case: part, depth: found.depth, detail: found.detail, outcome, milliseconds, answered };
    if (!proved(verdict)) break;
  }
  if (verdict === undefined) throw new Error(`${condition.call} ${condition.theorem}: a condition without cases`);
  return verdict;
}

interface CaseVerdict extends Pick<Verdict, 'outcome' | 'depth' | 'milliseconds' | 'detail'> {
  readonly answeredBy: readonly SolverName[];
}

async function decideCase(
  condition: Condition,
  part: Case,
  solvers: readonly Solver[],
  options: ProverOptions,
): Promise<CaseVerdict> {
  const [first, ...others] = solvers as readonly [Solver, ...Solver[]];
  const { cache, milliseconds: limit, deepest = DEEPEST } = options;
  let milliseconds = 0;
  let previous: string | undefined;
  let outcome: Verdict['outcome'] = 'unknown';
  let detail = '';
  let depth = 0;
  for (; depth <= deepest; depth++) {
    const assertions = part.assertions(depth);
    if (assertions.length === 0) return { outcome: 'identity', depth, milliseconds, detail: '', answeredBy: [] };
    const query = smtQuery(assertions, others.length > 0);
    if (query === previous) break;
    previous = query;
    if (options.dump !== undefined) dump(options.dump, condition, part, depth, query);
    const found = await cache.solve(first, query, limit);
    milliseconds += found.milliseconds;
    outcome = found.answer;
    if (found.answer === 'unknown') {
      detail = ` after ${(found.milliseconds / 1000).toFixed(1)} s: ${found.instead || 'no answer'}`;
      break;
    }
    if (found.answer === 'sat') continue;
    // The others are given what the first needed: if that part is contradictory, so is the whole.
    const needed = found.needed.length === 0 ? query : smtQuery(found.needed.map((k) => assertions[k] as Term));
    if (options.dump !== undefined && others.length > 0) dump(`${options.dump}/needed`, condition, part, depth, needed);
    for (const other of others) {
      const confirmation = await cache.solve(other, needed, limit);
      milliseconds += confirmation.milliseconds;
      if (confirmation.answer === 'unsat') continue;
      const detail = `${first.name} says unsat, ${other.name} ${confirmation.answer}`;
      outcome = confirmation.answer === 'sat' ? 'disagreement' : 'unconfirmed';
      return { outcome, depth, milliseconds, detail, answeredBy: [first.name] };
    }
    return { outcome: 'unsat', depth, milliseconds, detail: '', answeredBy: solvers.map(({ name }) => name) };
  }
  return {
    outcome,
    depth: Math.min(depth, deepest),
    milliseconds,
    detail: `${first.name}: ${outcome}${detail}`,
    answeredBy: [],
  };
}

function dump(directory: string, condition: Condition, part: Case, depth: number, query: string): void {
  mkdirSync(directory, { recursive: true });
  const { call, theorem, clause } = condition;
  const name = [call, theorem, clause, part.when, String(depth)].filter((word) => word !== '');
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
