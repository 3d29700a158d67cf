import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { CALLS, ERROR_BASE, reset, state } from '../core/index.ts';
import { compile } from './compile.ts';
import { cornerCells, randomness, sampleArguments, sampleField } from './sample.ts';
import { parseCore, readCore } from './source.ts';
import { at, symbolicState } from './state.ts';
import { and, u32, variable } from './terms.ts';
import { execute } from './translate.ts';
import { SUBJECTS } from './walk.ts';
import { witnesses } from './witness.ts';

const core = parseCore(readCore(fileURLToPath(new URL('../core', import.meta.url))));
const arrays = [...core.arrays.keys()] as (keyof typeof state)[];
const symbolic = symbolicState('s', arrays);

const cells = cornerCells(core);

const subjects = SUBJECTS.map((subject) => {
  const args = subject.params.map((param) => variable(`a_${param}`));
  const names = args.map((arg) => arg.name);
  const execution = execute(core, subject.name, args, symbolic);
  const written = arrays.filter((name) => execution.state[name] !== symbolic[name]);
  const index = [variable('i'), variable('j')];
  return {
    ...subject,
    result: compile(core, execution.result, names),
    obligations: compile(core, and(...execution.obligations), names),
    written: new Map(
      written.map((name) => {
        const place = name === 'bootLocked' ? [u32(0)] : index.slice(0, core.arrays.get(name)?.length);
        return [name, compile(core, at(execution.state, name, ...place), [...names, 'i', 'j'])];
      }),
    ),
  };
});

afterAll(reset);

describe('the translation means what V8 does', () => {
  test('a million random states and calls give the same result and the same state', { timeout: 600_000 }, () => {
    const random = randomness(20_261_122);
    const successes = new Map(subjects.map(({ name }) => [name, 0]));
    const before = new Map(arrays.map((name) => [name, new Uint32Array(cells.get(name)?.length ?? 0)]));
    const predicted: number[] = [];
    let compared = 0;
    let round = 0;
    reset();
    while (compared < 1_000_000) {
      for (const name of arrays) {
        for (const { place } of cells.get(name) ?? []) state[name][place] = sampleField(name, random);
      }
      state.partitionState[0] = 3;
      // A run of calls from each random state: the states after the first are those that calls make.
      for (let step = 0; step < 24; step++) {
        const subject = subjects[round++ % subjects.length] as (typeof subjects)[number];
        const args = sampleArguments(subject.params, random);
        // Where an obligation fails, V8 reads undefined or leaves u32; theorem BND excludes it for reachable states.
        if (subject.obligations(state, args) !== 1) continue;
        const expected = subject.result(state, args);
        let count = 0;
        for (const [name, cell] of subject.written) {
          for (const { index } of cells.get(name) ?? []) predicted[count++] = cell(state, [...args, ...index]);
        }
        for (const name of arrays) {
          const kept = before.get(name) as Uint32Array;
          for (const [k, { place }] of (cells.get(name) ?? []).entries()) kept[k] = state[name][place] as number;
        }
        const result = subject.run(args);
        const call = `${subject.name}(${args})`;
        if (result !== expected) expect.fail(`${call}: V8 answers ${result}, the formulas ${expected}`);
        count = 0;
        for (const name of subject.written.keys()) {
          const kept = before.get(name) as Uint32Array;
          for (const k of (cells.get(name) ?? []).keys()) kept[k] = predicted[count++] as number;
        }
        for (const name of arrays) {
          const kept = before.get(name) as Uint32Array;
          for (const [k, { place }] of (cells.get(name) ?? []).entries()) {
            if (state[name][place] !== kept[k]) {
              expect.fail(`${call}: ${name}[${place}] is ${state[name][place]} after V8, ${kept[k]} by the formulas`);
            }
          }
        }
        if (result < ERROR_BASE) successes.set(subject.name, (successes.get(subject.name) ?? 0) + 1);
        compared++;
      }
    }
    expect([...successes].filter(([, times]) => times === 0)).toEqual([]);
  });
});

test('every call succeeds in some reachable state, and every state on the way satisfies the invariants', () => {
  expect([...witnesses(core).keys()].sort()).toEqual(Object.keys(CALLS).sort());
});
