/**
 * The core as V8 runs it against the specification, on states that calls reach: the two ends of theorem REF, without
 * the translator and the solvers between them.
 */
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { reset, state } from '../core/index.ts';
import { type Compiled, compile } from './compile.ts';
import { cornerCells } from './sample.ts';
import { parseCore, readCore } from './source.ts';
import { demanded, specification } from './spec.ts';
import type { Spec } from './spec-terms.ts';
import { at, symbolicState } from './state.ts';
import { type Term, u32, variable } from './terms.ts';
import type { State } from './translate.ts';
import { SUBJECTS, type Subject, walk } from './walk.ts';

const core = parseCore(readCore(fileURLToPath(new URL('../core', import.meta.url))));
const arrays = [...core.arrays.keys()] as (keyof typeof state)[];
const symbolic = symbolicState('s', arrays);
const cells = cornerCells(core);

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

/** The specification of what the subject asks; the engine's questions are specified as the accesses they are asked for. */
function specified(subject: Subject): Spec {
  const args = argumentsOf(subject);
  if (subject.name === 'frameLoadable') {
    const { result } = specification('memoryLoad', symbolic, [...args, variable('value')]);
    return { refusals: [], ...(result && { result }) };
  }
  const before = subject.name === 'accessDevice' ? [u32(0)] : [];
  return specification(subject.name, symbolic, [...before, ...args, variable('value')]);
}
const predicted = (subject: Subject, spec: Spec): Predicted => {
  const { result, state: after } = demanded(spec, symbolic);
  return predict(subject, result, after);
};

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

afterAll(reset);

const STEPS = 100_000;

test('on every state of a long walk, V8 answers and changes what the specification demands', {
  timeout: 300_000,
}, () => {
  const predictions = new Map(SUBJECTS.map((subject) => [subject, predicted(subject, specified(subject))]));
  const before = new Map(arrays.map((name) => [name, (cells.get(name) ?? []).map(() => 0)]));
  walk(SUBJECTS, 1, STEPS, (subject, args) => {
    const specification = predictions.get(subject) as Predicted;
    const foretold = foretell(specification, args);
    for (const name of arrays) {
      const kept = before.get(name) as number[];
      for (const [k, { place }] of (cells.get(name) ?? []).entries()) kept[k] = state[name][place] as number;
    }
    const unchanged = new Map([...before].filter(([name]) => !specification.written.has(name)));
    const result = subject.run(args);
    const wrong = difference(foretold, result) ?? difference({ result, values: unchanged }, result);
    if (wrong !== undefined) expect.fail(`${subject.name}(${args}): ${wrong}`);
    return true;
  });
});
