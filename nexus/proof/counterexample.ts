/** A failed query for people: the state before, the call, the result, and a test that repeats it. */
import { CALLS } from '../core/calls.ts';
import { smtQuery } from './smt.ts';
import type { Solver } from './solvers.ts';
import { eq, reachable, type Term, variable } from './terms.ts';
import { type Case, type Condition, DEEPEST } from './theorems.ts';
import { SIZES } from './translate.ts';

export interface Counterexample {
  readonly args: readonly { readonly name: string; readonly value: number }[];
  /** Cells of the state before (s), and of the state it is compared with (t). */
  readonly cells: readonly { readonly array: string; readonly index: readonly number[]; readonly value: number }[];
  readonly result: number | undefined;
}

/** Ask a solver for the values behind a condition that it could not prove; undefined if it has none. */
export async function counterexample(
  condition: Condition,
  part: Case,
  solver: Solver,
  milliseconds: number,
): Promise<Counterexample | undefined> {
  const result = variable('result');
  const assertions = [...part.assertions(DEEPEST)];
  if (condition.result !== undefined) assertions.push(eq(result, condition.result));
  // Name every cell that the query reads, and its index, so that the model can be asked for them.
  const cells = reachable(assertions).filter((term) => term.op === 'read');
  const names = new Map<Term, string>();
  const name = (term: Term): string => {
    let known = names.get(term);
    if (known === undefined) {
      known = `v${names.size}`;
      names.set(term, known);
    }
    return known;
  };
  const asked = [...condition.args, result, ...cells, ...cells.flatMap((cell) => cell.args.slice(1))];
  const sizes = SIZES.map((size) => variable(size));
  const all = [...new Set([...asked, ...sizes])];
  const query = smtQuery([...assertions, ...all.map((term) => eq(variable(name(term)), term))]);
  const output = await solver.run(
    `(set-option :produce-models true)\n${query}(get-value (${all.map(name).join(' ')}))\n`,
    milliseconds,
  );
  if (!output.trimStart().startsWith('sat')) return undefined;
  const values = new Map([...output.matchAll(/\((v\d+) (\d+)\)/g)].map(([, key, value]) => [key, Number(value)]));
  const numberOf = (term: Term): number => (term.op === 'const' ? term.value : (values.get(name(term)) ?? 0));
  const seen = new Map<string, Counterexample['cells'][number]>();
  for (const cell of cells) {
    const [source, ...index] = cell.args as [Term, ...Term[]];
    const at = index.map(numberOf);
    seen.set(`${source.name}[${at}]`, { array: source.name, index: at, value: numberOf(cell) });
  }
  return {
    args: condition.params.map((param, k) => ({ name: param, value: numberOf(condition.args[k] as Term) })),
    cells: [...seen.values()].sort((a, b) => a.array.localeCompare(b.array)),
    result: condition.result === undefined ? undefined : numberOf(result),
  };
}

const hex = (value: number): string => (value > 0xffff ? `0x${value.toString(16)}` : String(value));

export function describe(condition: Condition, { args, cells, result }: Counterexample): string {
  const state = cells.map(
    ({ array, index, value }) => `    ${array.replace('_', '.')}[${index.map(hex)}] = ${hex(value)}`,
  );
  return [
    `  state before (s; t is the state it is compared with):`,
    ...state,
    `  call: ${condition.call}(${args.map(({ name, value }) => `${name} = ${hex(value)}`).join(', ')})`,
    ...(result === undefined ? [] : [`  result: ${hex(result)}`]),
  ].join('\n');
}

const WIDTH: readonly (readonly [string, string])[] = [
  ['map', 'GPA_PAGES'],
  ['grant', 'GRANTS'],
  ['channel', 'CHANNELS'],
  ['counter', 'COUNTERS'],
];

/** A vitest case that puts the core into the state before, makes the call and expects the result found. */
export function testCase(condition: Condition, { args, cells, result }: Counterexample): string | undefined {
  if (!(condition.call in CALLS) || result === undefined) return undefined;
  const number = CALLS[condition.call as keyof typeof CALLS].number;
  const lines = cells
    .filter(({ array }) => array.startsWith('s_') && array !== 's_content')
    .map(({ array, index, value }) => {
      const name = array.slice(2);
      const width = WIDTH.find(([prefix]) => name.startsWith(prefix))?.[1];
      const cell =
        index.length === 2
          ? `${hex(index[0] as number)} * core.${width} + ${hex(index[1] as number)}`
          : hex(index[0] ?? 0);
      return `  core.state.${name}[${cell}] = ${hex(value)};`;
    });
  return [
    `import { expect, test } from 'vitest';`,
    `import * as core from './nexus/core/index.ts';`,
    '',
    `test('${condition.call}: ${condition.theorem} ${condition.clause.replaceAll("'", '')}', () => {`,
    '  core.reset();',
    ...lines,
    `  expect(core.dispatch(${hex(number)}, ${args.map(({ value }) => hex(value)).join(', ')})).toBe(${hex(result)});`,
    '});',
  ].join('\n');
}
