/**
 * A failed query for people: the state before, the call, what the core then does beside what the specification demands,
 * and a test that repeats it. The test fails on a core that differs from its specification there, and passes once it
 * does not; where it passes from the start, it is the theorem that contradicts the specification.
 */
import { CALLS, errorName, PERM_READ, PERM_READ_WRITE } from '../core/index.ts';
import { compile } from './compile.ts';
import { operations } from './operations.ts';
import { smtQuery } from './smt.ts';
import type { Solver } from './solvers.ts';
import type { CoreSource } from './source.ts';
import { specify } from './spec.ts';
import { at, CONTENT, symbolicState } from './state.ts';
import { eq, reachable, type Term, u32, variable } from './terms.ts';
import { type Case, type Condition, DEEPEST } from './theorems.ts';
import { SIZES, type State } from './translate.ts';

export interface Cell {
  readonly array: string;
  readonly index: readonly number[];
  /** The name of a row's length, of an array of rows. */
  readonly columns: string | undefined;
  readonly value: number;
}

/** One call from one state. */
export interface Run {
  /** The cells that the query speaks of. */
  readonly before: readonly Cell[];
  readonly result: number;
  /** Cells that the core or the specification writes, as the core leaves them. */
  readonly after: readonly Cell[];
  /** By the specification. `answer`: to the question, in words of the core's interface, that a test asks. */
  readonly demanded: { readonly result: number; readonly after: readonly Cell[]; readonly answer: number };
  readonly question: string;
}

export interface Counterexample {
  readonly args: readonly { readonly name: string; readonly value: number }[];
  /** From state s and, where the theorem compares two, from state t, which looks the same. None for a theorem of no call. */
  readonly runs: readonly Run[];
  /** Where there is no call: the state. */
  readonly state: readonly Cell[];
}

/** Ask a solver for the values behind a condition that it could not prove; undefined if it has none at the core's sizes. */
export async function counterexample(
  core: CoreSource,
  { call, args }: Condition,
  part: Case,
  solver: Solver,
  milliseconds: number,
): Promise<Counterexample | undefined> {
  const sizes = SIZES.map((size) => eq(variable(size), u32(core.constants.get(size) ?? 0)));
  const assertions = [...part.assertions(DEEPEST), ...sizes];
  // Name every cell that the query reads, and its index, so that the model can be asked for them.
  const reads = reachable(assertions).filter(({ op }) => op === 'read');
  const asked = [...new Set([...args, ...reads, ...reads.flatMap((read) => read.args.slice(1))])];
  const names = new Map(asked.map((term, k) => [term, `v${k}`]));
  const query = smtQuery([...assertions, ...asked.map((term, k) => eq(variable(`v${k}`), term))]);
  const output = await solver.run(
    `(set-option :produce-models true)\n${query}(get-value (${[...names.values()].join(' ')}))\n`,
    milliseconds,
  );
  if (!output.trimStart().startsWith('sat')) return undefined;
  const values = new Map([...output.matchAll(/\((v\d+) (\d+)\)/g)].map(([, key, value]) => [key, Number(value)]));
  const numberOf = (term: Term): number => (term.op === 'const' ? term.value : (values.get(names.get(term)) ?? 0));
  const cellsOf = (prefix: string): Cell[] => {
    const cells = reads
      .filter(({ args: [source] }) => source?.name.startsWith(prefix))
      .map((read): Cell => {
        const [source, ...index] = read.args as [Term, ...Term[]];
        return cell(core, source.name.slice(prefix.length), index.map(numberOf), numberOf(read));
      });
    return distinct(core, cells);
  };
  const [s, t] = [cellsOf('s_'), cellsOf('t_')];
  const given = args.map((term) => ({ name: term.name.slice('a_'.length), value: numberOf(term) }));
  const states = t.length === 0 ? [s] : [s, t];
  const numbers = given.map(({ value }) => value);
  const runs = call === '' ? [] : states.map((before) => replay(core, call, args, numbers, before));
  return { args: given, runs, state: s };
}

const cell = (core: CoreSource, array: string, index: readonly number[], value = 0): Cell => {
  const columns = core.arrays.get(array)?.[1];
  return { array, index, columns, value };
};

/** Each cell once. A statement may also speak of cells that do not exist, under a condition that does not hold. */
function distinct(core: CoreSource, cells: readonly Cell[]): Cell[] {
  const exists = ({ array, index }: Cell): boolean =>
    (core.arrays.get(array) ?? ['FRAMES']).every((size, k) => (index[k] ?? 0) < (core.constants.get(size) ?? 1));
  const byName = new Map(cells.filter(exists).map((found) => [`${found.array} ${found.index}`, found]));
  return [...byName.values()].sort(
    (a, b) =>
      a.array.localeCompare(b.array) || (a.index[0] ?? 0) - (b.index[0] ?? 0) || (a.index[1] ?? 0) - (b.index[1] ?? 0),
  );
}

/** What core and specification make of a call, by their formulas. */
function replay(core: CoreSource, call: string, args: readonly Term[], given: readonly number[], before: Cell[]): Run {
  const operation = operations(core).find(({ name }) => name === call);
  if (operation === undefined) throw new Error(`no operation ${call}`);
  const s = symbolicState('s', core.arrays.keys());
  const concrete = Object.fromEntries(Object.keys(s).map((name) => [name, {} as Record<number, number>]));
  for (const { array, index, columns, value } of before) {
    const [i = 0, j = 0] = index;
    const width = core.constants.get(columns ?? '') ?? 1;
    const table = concrete[array];
    if (table !== undefined) table[columns === undefined ? i : i * width + j] = value;
  }
  const names = args.map(({ name }) => name);
  const evaluate = (term: Term): number => compile(core, term, names)(concrete, given);

  const ran = operation.run(s, args);
  const demanded = specify(call, s, args);
  const written = [ran.state, demanded.state].flatMap((after) =>
    Object.entries(after).flatMap(([array, table]) =>
      reachable([table])
        .filter(({ op }) => op === 'write')
        .map((write) => cell(core, array, write.args.slice(2).map(evaluate))),
    ),
  );
  const places = distinct(core, written);
  const cellsIn = (after: State): Cell[] =>
    places.map((place) => ({ ...place, value: evaluate(at(after, place.array, ...place.index.map(u32))) }));
  const asked = question(call, given);
  return {
    before,
    question: asked.text,
    result: evaluate(ran.result),
    after: cellsIn(ran.state),
    demanded: {
      result: evaluate(demanded.result),
      after: cellsIn(demanded.state),
      answer: evaluate(specify(asked.specification, s, asked.args.map(u32)).result),
    },
  };
}

const hex = (value: number): string => (value > 0xffff ? `0x${value.toString(16)}` : String(value));
const cellText = ({ array, index, value }: Cell): string => `${array}[${index.map(hex).join(', ')}] = ${hex(value)}`;
/** Nothing is said of zeros, except that a partition is free: at boot root is not. */
const isSet = ({ array, value }: Cell): boolean => value !== 0 || array === 'partitionState';
const resultText = (result: number): string => errorName(result) ?? hex(result);
/** Does the core there differ from its specification? */
const differs = ({ result, after, demanded }: Run): boolean =>
  result !== demanded.result || after.some(({ value }, k) => value !== demanded.after[k]?.value);

export function describe({ call }: Condition, { args, runs, state }: Counterexample): string {
  if (runs.length === 0) return ['  state:', ...state.filter(isSet).map((one) => `    ${cellText(one)}`)].join('\n');
  const made = `${call}(${args.map(({ name, value }) => `${name} = ${hex(value)}`).join(', ')})`;
  const told = runs.flatMap((run, k) => {
    const { before, result, after, demanded } = run;
    return [
      runs.length === 1 ? '  state before, where it is not 0:' : `  state ${'st'[k]} before, where it is not 0:`,
      ...before.filter(isSet).map((one) => `    ${cellText(one)}`),
      `  call: ${made}`,
      result === demanded.result
        ? `  result: ${resultText(result)}`
        : `  result: ${resultText(result)}; the specification demands ${resultText(demanded.result)}`,
      '  state after:',
      ...after.map((one, n) => `    ${cellText(one)}${demandedInstead(one, demanded.after[n])}`),
    ];
  });
  if (!runs.some(differs))
    told.push('  the specification demands just this: it is the specification that contradicts the theorem');
  return told.join('\n');
}
const demandedInstead = ({ value }: Cell, demanded: Cell | undefined): string =>
  demanded === undefined || demanded.value === value ? '' : `; the specification demands ${hex(demanded.value)}`;

/** How a test asks the core, and the specification of what it asks. */
interface Question {
  readonly text: string;
  readonly specification: string;
  readonly args: readonly number[];
}

/** A call by its number; for an access, the question that an engine asks before it. */
function question(call: string, args: readonly number[]): Question {
  const [p = 0, a = 0, b = 0, c = 0] = args;
  const list = (...values: readonly number[]): string => values.map(hex).join(', ');
  const frame = (gpa: number, need: number): Question => ({
    text: `core.accessFrame(${list(p, gpa, need)})`,
    specification: 'accessFrame',
    args: [p, gpa, need],
  });
  const device = (d: number, gpa: number, need: number): Question => ({
    text: `core.accessDevice(${list(d, gpa, need)})`,
    specification: 'accessDevice',
    args: [p, d, gpa, need],
  });
  switch (call) {
    case 'accessFrame':
      return frame(a, b);
    case 'memoryRead':
      return frame(a, PERM_READ);
    case 'memoryWrite':
      return frame(a, PERM_READ_WRITE);
    case 'accessDevice':
      return device(a, b, c);
    case 'deviceRead':
      return device(a, b, PERM_READ);
    case 'deviceWrite':
      return device(a, b, PERM_READ_WRITE);
    case 'memoryLoad':
      return { text: `core.frameLoadable(${list(p, a)})`, specification: call, args };
    default: {
      const passed = args.slice(0, 1 + CALLS[call as keyof typeof CALLS].args.length);
      return { text: `core.dispatch(core.CALLS.${call}.number, ${list(...passed)})`, specification: call, args };
    }
  }
}

/** Where the text of `testCase` is to be kept: it imports the core from there. */
export const CASE_FILE = 'nexus/counterexample.test.ts';

/** A vitest case: the core in the state before, asked, must answer and change what the specification demands. */
export function testCase({ call, theorem, clause }: Condition, { runs }: Counterexample): string | undefined {
  const run = runs.find(differs) ?? runs[0];
  if (run === undefined) return undefined;
  const { before, question: text, demanded } = run;
  const placeOf = ({ array, index, columns }: Cell): string => {
    const [row, column] = index.map(hex);
    return `core.state.${array}[${columns === undefined ? row : `${row} * core.${columns} + ${column}`}]`;
  };
  const real = ({ array }: Cell): boolean => array !== CONTENT;
  return [
    `import { expect, test } from 'vitest';`,
    `import * as core from './core/index.ts';`,
    '',
    `test(${JSON.stringify(`${call}: ${theorem} ${clause}`.trim())}, () => {`,
    '  core.reset();',
    ...before.filter((one) => isSet(one) && real(one)).map((one) => `  ${placeOf(one)} = ${hex(one.value)};`),
    `  expect(${text}).toBe(${errorText(demanded.answer)});`,
    ...demanded.after.filter(real).map((one) => `  expect(${placeOf(one)}).toBe(${hex(one.value)});`),
    '});',
  ].join('\n');
}
/** `E_RANGE` -> `core.E.RANGE`. */
const errorText = (result: number): string => errorName(result)?.replace(/^E_/, 'core.E.') ?? hex(result);
