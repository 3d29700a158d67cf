/**
 * The core as V8 runs it against the specification, on states that calls reach: the two ends of theorem REF, without
 * the translator and the solvers between them.
 */
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { frameLoadable } from '../core/frame.ts';
import { CALLS, COUNTER_MAX, dispatch, EPOCH_MAX, reset, state } from '../core/index.ts';
import { accessDevice } from '../core/platform.ts';
import { accessFrame } from '../core/rules.ts';
import { type Compiled, compile } from './compile.ts';
import { cornerCells, randomness, sampleArguments } from './sample.ts';
import { parseCore, readCore } from './source.ts';
import { specify } from './spec.ts';
import { at, symbolicState } from './state.ts';
import { type Term, u32, variable } from './terms.ts';
import type { State } from './translate.ts';

const core = parseCore(readCore(fileURLToPath(new URL('../core', import.meta.url))));
const arrays = [...core.arrays.keys()] as (keyof typeof state)[];
const symbolic = symbolicState('s', arrays);
const cells = cornerCells(core);

/** Calls between one boot and the next. */
const LIFE = 10_000;
/** A call that ends things is made once in so many times, so that there are things. */
const RARELY = 20;
const ENDING = /Destroy|Stop|Pause|Seal|Close|Revoke|frameRelease|bootLock/;

interface Subject {
  readonly name: string;
  readonly params: readonly string[];
  readonly run: (args: readonly number[]) => number;
}
const subjects: readonly Subject[] = [
  ...Object.entries(CALLS).map(([name, { number, args }]) => ({
    name,
    params: ['p', ...args],
    run: ([p = 0, ...rest]: readonly number[]) => dispatch(number, p, ...rest),
  })),
  { name: 'accessFrame', params: ['p', 'gpa', 'need'], run: ([a = 0, b = 0, c = 0]) => accessFrame(a, b, c) },
  { name: 'accessDevice', params: ['d', 'gpa', 'need'], run: ([a = 0, b = 0, c = 0]) => accessDevice(a, b, c) },
  { name: 'frameLoadable', params: ['p', 'f'], run: ([a = 0, b = 0]) => frameLoadable(a, b) },
];

/** A call as a function of the state before: its result, and every cell of the corner that it may change. */
interface Predicted {
  readonly result: Compiled;
  readonly written: ReadonlyMap<string, Compiled>;
}

const argumentsOf = ({ params }: Subject): readonly Term[] => params.map((param) => variable(`a_${param}`));

function predict(subject: Subject, result: Term, after: State): Predicted {
  const names = argumentsOf(subject).map(({ name }) => name);
  const written = arrays.filter((name) => after[name] !== symbolic[name]);
  const index = [variable('i'), variable('j')];
  return {
    result: compile(core, result, names),
    written: new Map(
      written.map((name) => {
        const place = name === 'bootLocked' ? [u32(0)] : index.slice(0, core.arrays.get(name)?.length);
        return [name, compile(core, at(after, name, ...place), [...names, 'i', 'j'])];
      }),
    ),
  };
}

function specified(subject: Subject): Predicted {
  const args = argumentsOf(subject);
  // The engine's queries are specified as the accesses that they are asked for.
  if (subject.name === 'frameLoadable')
    return predict(subject, specify('memoryLoad', symbolic, [...args, variable('value')]).result, symbolic);
  const { result, state: after } = specify(
    subject.name,
    symbolic,
    subject.name === 'accessDevice' ? [u32(0), ...args] : [...args, variable('value')],
  );
  return predict(subject, result, after);
}

interface Prediction {
  readonly result: number;
  readonly values: ReadonlyMap<string, readonly number[]>;
}
const foretell = ({ result, written }: Predicted, args: readonly number[]): Prediction => ({
  result: result(state, args),
  values: new Map(
    [...written].map(([name, cell]) => [
      name,
      (cells.get(name) ?? []).map(({ index }) => cell(state, [...args, ...index])),
    ]),
  ),
});
/** Where the state now differs from what was foretold of it: the result, or a cell; undefined if nowhere. */
function difference(foretold: Prediction, result: number): string | undefined {
  if (foretold.result !== result) return `the result is ${result}, not ${foretold.result}`;
  for (const [name, values] of foretold.values) {
    for (const [k, { index, place }] of (cells.get(name) ?? []).entries()) {
      const now = state[name as keyof typeof state][place];
      if (now !== values[k]) return `${name}[${index}] is ${now}, not ${values[k]}`;
    }
  }
  return undefined;
}

/** Random calls from boot, now and then with an epoch or a counter near its end. */
function walk(seed: number, steps: number, visit: (subject: Subject, args: readonly number[]) => void): void {
  const random = randomness(seed);
  for (let step = 0; step < steps; step++) {
    if (step % LIFE === 0) {
      reset();
      const nearEnd = (step / LIFE) % 2 === 1;
      if (nearEnd) state.partitionEpoch[1] = EPOCH_MAX - 1;
      if (nearEnd) state.counterValue[0] = COUNTER_MAX - 1;
    }
    const subject = subjects[random(subjects.length)] as Subject;
    if (ENDING.test(subject.name) && random(RARELY) !== 0) continue;
    visit(subject, sampleArguments(subject.params, random));
  }
}

afterAll(reset);

const STEPS = 100_000;

test('on every state of a long walk, V8 answers and changes what the specification demands', {
  timeout: 300_000,
}, () => {
  const demanded = new Map(subjects.map((subject) => [subject, specified(subject)]));
  const before = new Map(arrays.map((name) => [name, (cells.get(name) ?? []).map(() => 0)]));
  walk(1, STEPS, (subject, args) => {
    const specification = demanded.get(subject) as Predicted;
    const foretold = foretell(specification, args);
    for (const name of arrays) {
      const kept = before.get(name) as number[];
      for (const [k, { place }] of (cells.get(name) ?? []).entries()) kept[k] = state[name][place] as number;
    }
    const unchanged = new Map([...before].filter(([name]) => !specification.written.has(name)));
    const result = subject.run(args);
    const wrong = difference(foretold, result) ?? difference({ result, values: unchanged }, result);
    if (wrong !== undefined) expect.fail(`${subject.name}(${args}): ${wrong}`);
  });
});
