/** The core as V8 runs it, on random calls from boot: the states that the prover's own checks look at. */
import {
  accessDevice,
  accessFrame,
  CALLS,
  COUNTER_MAX,
  dispatch,
  EPOCH_MAX,
  frameLoadable,
  reset,
  state,
} from '../core/index.ts';
import { type Random, randomness, sampleArguments } from './sample.ts';

/** A call, or a question of the engine, as V8 answers it. */
export interface Subject {
  readonly name: string;
  readonly params: readonly string[];
  readonly run: (args: readonly number[]) => number;
}

export const SUBJECTS: readonly Subject[] = [
  ...Object.entries(CALLS).map(([name, { number, args }]) => ({
    name,
    params: ['p', ...args],
    run: ([p = 0, ...rest]: readonly number[]) => dispatch(number, p, ...rest),
  })),
  { name: 'accessFrame', params: ['p', 'gpa', 'need'], run: ([a = 0, b = 0, c = 0]) => accessFrame(a, b, c) },
  { name: 'accessDevice', params: ['d', 'gpa', 'need'], run: ([a = 0, b = 0, c = 0]) => accessDevice(a, b, c) },
  { name: 'frameLoadable', params: ['p', 'f'], run: ([a = 0, b = 0]) => frameLoadable(a, b) },
];

/** Calls between one boot and the next: a life gets old, ids retire and frames stay with whom they were sealed for. */
const LIFE = 10_000;
/** A call that ends things is made once in so many times, so that there are things. */
const RARELY = 20;
const ENDING = /Destroy|Stop|Pause|Seal|Close|Revoke|frameRelease|bootLock/;

/**
 * Random calls of `subjects` from boot, until `visit` answers false or `steps` are made. `visit` makes the call. Every
 * other life begins with an epoch and a counter near their ends.
 */
export function walk<S extends { readonly name: string; readonly params: readonly string[] }>(
  subjects: readonly S[],
  seed: number,
  steps: number,
  visit: (subject: S, args: readonly number[], step: number) => boolean | undefined,
): void {
  const random: Random = randomness(seed);
  for (let step = 0; step < steps; step++) {
    if (step % LIFE === 0) {
      reset();
      const nearEnd = (step / LIFE) % 2 === 1;
      if (nearEnd) state.partitionEpoch[1] = EPOCH_MAX - 1;
      if (nearEnd) state.counterValue[0] = COUNTER_MAX - 1;
    }
    const subject = subjects[random(subjects.length)] as S;
    if (ENDING.test(subject.name) && random(RARELY) !== 0) continue;
    if (visit(subject, sampleArguments(subject.params, random), step % LIFE) === false) return;
  }
}
