/** Small corners of the state and plausible arguments, for running the core and its formulas on many of them. */
import * as K from '../core/constants.ts';
import type { CoreSource } from './source.ts';
import { type Kind, kindOf } from './state.ts';

/** A reproducible stream of u32 (Mulberry32, public domain by Tommy Ettinger). */
export function randomness(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 15), z | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) % below;
  };
}
export type Random = ReturnType<typeof randomness>;

const partitions = [0, 1, 2];
const pages = [0, 1];
const frames = [0, 1, 2, K.FRAMES - 1];
const pairs = (columns: readonly number[]): number[][] => partitions.flatMap((p) => columns.map((c) => [p, c]));

/** The cells looked at: few, so that things meet. */
export const CORNER: Readonly<Record<Kind, readonly (readonly number[])[]>> = {
  partition: partitions.map((p) => [p]),
  frame: frames.map((f) => [f]),
  page: pairs(pages),
  slot: pairs([0, K.GRANTS - 1]),
  end: pairs([0, K.DEVICES - 1, K.DEVICES, K.CHANNELS - 1]),
  counter: pairs([0, K.COUNTERS - 1]),
  device: [[0], [K.DEVICES - 1]],
};

/** The corner's cells of each array: as index, and as place in the array. */
export const cornerCells = (core: CoreSource): ReadonlyMap<string, readonly Cell[]> =>
  new Map(
    [...core.arrays].map(([name, sizes]) => {
      const kind = kindOf(name);
      const width = core.constants.get(sizes[1] ?? '') ?? 1;
      const indices = kind === undefined ? [[0]] : CORNER[kind];
      const place = ([i = 0, j]: readonly number[]): number => (j === undefined ? i : i * width + j);
      return [name, indices.map((index) => ({ index, place: place(index) }))];
    }),
  );
export interface Cell {
  readonly index: readonly number[];
  readonly place: number;
}

const ARGUMENTS: Readonly<Record<string, readonly number[]>> = {
  p: partitions,
  q: [...partitions, K.PARTITIONS],
  a: [...partitions, K.PARTITIONS],
  from: [...partitions, K.PARTITIONS],
  f: [...frames, K.FRAMES],
  gpa: [...pages, K.GPA_PAGES],
  g: [0, K.GRANTS - 1, K.GRANTS],
  c: [0, K.CHANNELS - 1, K.CHANNELS],
  d: [0, K.DEVICES - 1, K.CHANNELS - 1, K.DEVICES, K.CHANNELS],
  k: [0, K.COUNTERS - 1, K.COUNTERS],
  perm: [1, 3, 0, 2, 4],
  need: [1, 3, 0, 2],
  kind: [1, 2, 0, 3],
  flags: [0, 1, 2],
  masked: [0, 1, 2],
  class: [0, 1, 2, 3],
  locality: [0, 1, 2, 3],
};
const ANY = [0, 0x7fffffff, 0x80000000, 0xffffffff];

/** Arguments for the named parameters: mostly of things that exist, now and then any u32. */
export const sampleArguments = (params: readonly string[], random: Random): number[] =>
  params.map((param) => {
    const choices = random(50) === 0 && param !== 'p' ? ANY : (ARGUMENTS[param] ?? ANY);
    return choices[random(choices.length)] as number;
  });

/** Values that a field may have; those that other cells are named by stay in range, as the invariants demand. */
const FIELDS: Readonly<Record<string, readonly number[]>> = {
  partitionState: [0, 1, 2, 3, 3, 3, 3, 3, 4, 5],
  partitionEpoch: [7, 7, 7, 8, K.EPOCH_MAX],
  partitionKind: [0, 1, 2],
  partitionFlags: [0, 1],
  frameState: [0, 1, 1, 1, 2],
  frameOwner: partitions,
  frameGpa: pages,
  framePerm: [1, 3, 3],
  frameGrant: [0, 0, 1, K.GRANTS],
  frameMeasured: [0, 1],
  mapFrame: [0, ...frames.map((f) => f + 1)],
  grantState: [0, 1, 2],
  grantKind: [0, 1, 2],
  grantFrame: frames,
  grantTo: partitions,
  grantPerm: [1, 3],
  grantGpa: pages,
  channelState: [0, 1, 1, 1],
  channelPeer: partitions,
  channelPeerEnd: [0, K.CHANNELS - 1],
  channelPending: [0, 1],
  channelMasked: [0, 1],
  deviceState: [0, 1, 1],
  deviceOwner: partitions,
  counterValue: [0, 1, 41, K.COUNTER_MAX - 1, K.COUNTER_MAX],
  bootLocked: [0, 0, 1],
};

/** A value for a cell of the array: anything for words that are only kept. */
export function sampleField(array: string, random: Random): number {
  const choices = FIELDS[array] ?? (array.endsWith('Epoch') ? FIELDS.partitionEpoch : undefined) ?? ANY;
  return choices[random(choices.length)] as number;
}
