/**
 * That the flows and views are not looser than they should be, on states that calls reach: a flow is allowed exactly
 * where the call shows something, and each looser formula also where it shows nothing.
 */
import { fileURLToPath } from 'node:url';
import { beforeEach, expect, test } from 'vitest';
import {
  accessDevice,
  accessFrame,
  CALLS,
  DEVICES,
  dispatch,
  E,
  ERROR_BASE,
  KIND_STANDARD,
  KIND_TRUSTED,
  OK,
  PERM_READ,
  PERM_READ_WRITE,
  reset,
  state,
} from '../core/index.ts';
import { compile } from './compile.ts';
import { text, weaker } from './loosen.ts';
import { FLOWS, flow, view } from './noninterference.ts';
import { CORNER, cornerCells } from './sample.ts';
import { parseCore, readCore } from './source.ts';
import { specify } from './spec.ts';
import { atIndex, CONTENT, type Kind, symbolicState } from './state.ts';
import { FALSE, lt, type Term, u32, variable } from './terms.ts';
import { SUBJECTS, type Subject, walk } from './walk.ts';

const core = parseCore(readCore(fileURLToPath(new URL('../core', import.meta.url))));
const s = symbolicState('s', core.arrays.keys());
const call = (name: keyof typeof CALLS, p: number, ...args: number[]): number =>
  dispatch(CALLS[name].number, p, ...args);

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

/** What V8 shows of a call: the corner's cells before and after, and the content of its frames. */
interface Step {
  readonly s: Record<string, Record<number, number>>;
  readonly t: Record<string, Record<number, number>>;
}
const content: Record<number, number> = {};
const cells = cornerCells(core);
const snapshot = (): Record<string, Record<number, number>> => ({
  ...Object.fromEntries(
    [...cells].map(([name, of]) => {
      const array = state[name as keyof typeof state];
      return [name, Object.fromEntries(of.map(({ place }) => [place, array[place] as number]))];
    }),
  ),
  [CONTENT]: { ...content },
});

/** A write of something new through the memory rule. */
const wrote = (f: number): number => {
  if (f < ERROR_BASE) content[f] = (content[f] ?? 0) + 1;
  return f;
};
const STEPS: readonly Subject[] = [
  ...SUBJECTS.filter(({ name }) => name in CALLS),
  {
    name: 'memoryWrite',
    params: ['p', 'gpa'],
    run: ([p = 0, gpa = 0]) => wrote(accessFrame(p, gpa, PERM_READ_WRITE)),
  },
  {
    name: 'deviceWrite',
    params: ['p', 'd', 'gpa'],
    run: ([p = 0, d = 0, gpa = 0]) => {
      const rule = accessDevice(d, gpa, PERM_READ_WRITE);
      return wrote(d < DEVICES && state.deviceOwner[d] !== p ? E.STATE : rule);
    },
  },
];

const prefixed = (prefix: string): Record<string, Term> =>
  Object.fromEntries(Object.entries(symbolicState(`x_${prefix}`, core.arrays.keys())));
/** Clauses that are not root's metadata, compiled over both states: what a call may change only by a flow. */
const clauses = view(prefixed('s'), prefixed('t'), variable('u'))
  .filter(({ metadata }) => metadata !== true)
  .map((clause) => ({
    places: clause.kind === undefined ? [[0, 0]] : CORNER[clause.kind],
    holds: compile(core, atIndex(clause, [variable('i'), variable('j')]), ['u', 'i', 'j']),
  }));
function sees(u: number, { s, t }: Step): boolean {
  const both: Record<string, Record<number, number>> = {};
  for (const [name, table] of Object.entries(s)) both[`s_${name}`] = table;
  for (const [name, table] of Object.entries(t)) both[`t_${name}`] = table;
  return clauses.some(({ places, holds }) => places.some((place) => holds(both, [u, ...place]) !== 1));
}

test('on a long walk, a call is a flow exactly where it shows something; every looser flow also where it shows nothing', {
  timeout: 600_000,
}, () => {
  const formulas = STEPS.map((subject) => {
    const params = subject.params.map((name) => variable(`a_${name}`));
    const names = ['u', ...params.map(({ name }) => name)];
    // Last, what a write writes: it is new, and no flow depends on it.
    const allowed = flow(subject.name, s, variable('u'), [...params, u32(1)]);
    const looser =
      allowed === FALSE
        ? []
        : weaker(allowed).map(({ term, without }) => ({
            without: text(without),
            holds: compile(core, term, names),
          }));
    const { result } = specify(subject.name, s, [...params, u32(1)]);
    const succeeds = compile(core, lt(result, u32(ERROR_BASE)), names);
    return { ...subject, succeeds, allowed: compile(core, allowed, names), looser };
  });
  expect(
    formulas
      .filter(({ looser }) => looser.length > 0)
      .map(({ name }) => name)
      .sort(),
  ).toEqual(Object.keys(FLOWS).sort());
  const uncaught = new Map(formulas.map((subject) => [subject, subject.looser]));
  const visit = (subject: (typeof formulas)[number], args: readonly number[]): boolean => {
    const [p] = args;
    const now = { ...state, [CONTENT]: content };
    const observers = [0, 1, 2].filter((u) => p !== 0 && u !== p);
    const admitted = observers.map((u) => ({
      u,
      flows: subject.allowed(now, [u, ...args]) === 1,
      looser: (uncaught.get(subject) ?? []).filter(({ holds }) => holds(now, [u, ...args]) === 1),
    }));
    // A call that is refused changes nothing (theorem REF).
    const before = p !== 0 && subject.succeeds(now, [0, ...args]) === 1 ? snapshot() : undefined;
    subject.run(args);
    const step = before && { s: before, t: snapshot() };
    for (const { u, flows, looser } of admitted) {
      const seen = step !== undefined && sees(u, step);
      if (seen !== flows) expect.fail(`${subject.name}(${args}) shows ${u} ${seen ? 'something' : 'nothing'}`);
      // Here it would let a core show u what it must not.
      if (!seen && looser.length > 0) {
        uncaught.set(
          subject,
          (uncaught.get(subject) ?? []).filter((formula) => !looser.includes(formula)),
        );
      }
    }
    return true;
  };
  // What a walk seldom comes to: an offer whose recipient is gone, and another has its number.
  const renewed = [
    ['grantOffer', VAULT, 0, VAULT, NEIGHBOUR, PERM_READ],
    ['partitionStop', 0, NEIGHBOUR],
    ['partitionDestroy', 0, NEIGHBOUR],
    ['partitionCreate', 0, NEIGHBOUR, KIND_STANDARD, 0],
    ['memoryWrite', VAULT, 0x10],
    ['deviceAssign', 0, 0, VAULT],
    ['deviceWrite', VAULT, 0, 0x10],
    ['grantRevoke', VAULT, 0],
  ] as const;
  for (const [name, ...args] of renewed) {
    const subject = formulas.find((one) => one.name === name);
    if (subject !== undefined) visit(subject, args);
  }
  walk(formulas, 3, 300_000, visit);
  const left = [...uncaught].filter(([, looser]) => looser.length > 0);
  expect(left.flatMap(([{ name }, looser]) => looser.map(({ without }) => `${name} without ${without}`))).toEqual([]);
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
