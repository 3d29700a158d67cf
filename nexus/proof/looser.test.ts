/**
 * That the flows and views are not looser than they should be: on concrete states, each admits the flow that it names
 * and tells it from the leak beside it.
 */
import { fileURLToPath } from 'node:url';
import { beforeEach, expect, test } from 'vitest';
import {
  CALLS,
  dispatch,
  KIND_STANDARD,
  KIND_TRUSTED,
  OK,
  PERM_READ,
  PERM_READ_WRITE,
  reset,
  state,
} from '../core/index.ts';
import { compile } from './compile.ts';
import { flow, view } from './noninterference.ts';
import { parseCore, readCore } from './source.ts';
import { atIndex, CONTENT, type Kind, symbolicState } from './state.ts';
import { type Term, variable } from './terms.ts';

const core = parseCore(readCore(fileURLToPath(new URL('../core', import.meta.url))));
const s = symbolicState('s', core.arrays.keys());
const call = (name: keyof typeof CALLS, p: number, ...args: number[]): number =>
  dispatch(CALLS[name].number, p, ...args);

/** Is the call a flow to u in the present state? */
function flows(name: keyof typeof CALLS, u: number, ...args: number[]): boolean {
  const params = args.map((_, k) => variable(`a${k}`));
  const names = ['u', ...params.map((param) => param.name)];
  return (
    compile(
      core,
      flow(name, s, variable('u'), params),
      names,
    )({ ...state, [CONTENT]: new Uint32Array(8) }, [u, ...args]) === 1
  );
}

const VAULT = 1;
const NEIGHBOUR = 2;
const STRANGER = 3;

beforeEach(() => {
  reset();
  for (const q of [VAULT, NEIGHBOUR, STRANGER]) {
    expect(call('partitionCreate', 0, q, q === VAULT ? KIND_TRUSTED : KIND_STANDARD, 0)).toBe(OK);
    expect(call('frameAssign', 0, q, q, 0x10, PERM_READ_WRITE)).toBe(OK);
    expect(call('partitionSeal', 0, q)).toBe(OK);
    expect(call('partitionRun', 0, q)).toBe(OK);
  }
});

test('an offer is a flow to its recipient, and to nobody else', () => {
  const offer = [VAULT, 0, VAULT, NEIGHBOUR, PERM_READ] as const;
  expect(flows('grantOffer', NEIGHBOUR, ...offer)).toBe(true);
  expect(flows('grantOffer', STRANGER, ...offer)).toBe(false);
});

test('an offer of a frame that is not the caller’s is no flow', () => {
  expect(flows('grantOffer', NEIGHBOUR, VAULT, 0, STRANGER, NEIGHBOUR, PERM_READ)).toBe(false);
});

test('accepting is a flow to the giver only while the offer stands', () => {
  expect(flows('grantAccept', VAULT, NEIGHBOUR, VAULT, 0, 0x20)).toBe(false);
  call('grantOffer', VAULT, 0, VAULT, NEIGHBOUR, PERM_READ);
  expect(flows('grantAccept', VAULT, NEIGHBOUR, VAULT, 0, 0x20)).toBe(true);
  expect(flows('grantAccept', STRANGER, NEIGHBOUR, VAULT, 0, 0x20)).toBe(false);
  call('grantAccept', NEIGHBOUR, VAULT, 0, 0x20);
  expect(flows('grantAccept', VAULT, NEIGHBOUR, VAULT, 0, 0x20)).toBe(false);
});

test('a signal is a flow to the peer alone', () => {
  call('channelOpen', 0, VAULT, 0, NEIGHBOUR, 0);
  expect(flows('channelSignal', NEIGHBOUR, VAULT, 0)).toBe(true);
  expect(flows('channelSignal', STRANGER, VAULT, 0)).toBe(false);
});

/** Does clause `name` of u's view tell the present state from one in which `change` was made? */
function tells(name: string, u: number, kind: Kind | undefined, index: readonly number[], change: () => void): boolean {
  const before = Object.fromEntries(Object.entries(state).map(([key, array]) => [`s_${key}`, array.slice(0, 8192)]));
  change();
  const merged: Record<string, Uint32Array> = {};
  for (const [key, array] of Object.entries(state)) {
    merged[`s_${key}`] = before[`s_${key}`] as Uint32Array;
    merged[`t_${key}`] = array;
  }
  merged.s_content = merged.t_content = new Uint32Array(8);
  const prefixed = (prefix: string): Record<string, Term> =>
    Object.fromEntries(Object.entries(symbolicState(`x_${prefix}`, core.arrays.keys())));
  const clause = view(prefixed('s'), prefixed('t'), variable('u')).find((candidate) => candidate.name === name);
  if (clause === undefined || clause.kind !== kind) throw new Error(`no clause ${name}`);
  const place = index.map((_, k) => variable(`i${k}`));
  const holds = compile(core, atIndex(clause, place), ['u', ...place.map((term) => term.name)]);
  return holds(merged, [u, ...index]) !== 1;
}

test('the page that a recipient chooses is not in the giver’s view, and is in the recipient’s', () => {
  call('grantOffer', VAULT, 0, VAULT, NEIGHBOUR, PERM_READ);
  call('grantAccept', NEIGHBOUR, VAULT, 0, 0x20);
  const slot = VAULT * core.constants.get('GRANTS')!;
  const move = (): void => {
    state.grantGpa[slot] = 0x21;
  };
  expect(tells('grants given, without the page that the recipient chose', VAULT, 'slot', [VAULT, 0], move)).toBe(false);
  state.grantGpa[slot] = 0x20;
  expect(tells('grants held', NEIGHBOUR, 'slot', [VAULT, 0], move)).toBe(true);
});
