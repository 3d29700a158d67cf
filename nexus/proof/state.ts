/**
 * The state that is reasoned about: the core's arrays and, beside them, `content`, one word of every frame at an
 * offset that is arbitrary but fixed. What holds of it holds of every word. The vocabulary of specification,
 * invariants and noninterference is defined here, apart from the core's own helper functions.
 */
import * as K from '../core/constants.ts';
import * as E from '../core/errors.ts';
import {
  add,
  and,
  eq,
  implies,
  ite,
  le,
  lt,
  ne,
  not,
  or,
  read,
  sub,
  type Term,
  table,
  u32,
  variable,
} from './terms.ts';
import { SIZES, type SizeName, type State, sizeTerm } from './translate.ts';

/** The proof holds for every size from `least` to `most`; the core's own sizes lie between. */
export const BOUNDS: Readonly<Record<SizeName, { readonly least: number; readonly most: number }>> = {
  PARTITIONS: { least: 1, most: 0x10000 },
  FRAMES: { least: 1, most: 0x10000000 },
  GPA_PAGES: { least: 1, most: 0x10000000 },
  GRANTS: { least: 1, most: 0x100000 },
  CHANNELS: { least: 1, most: 0x100000 },
  COUNTERS: { least: 1, most: 0x100000 },
  DEVICES: { least: 1, most: 0x100000 },
};

export const sizeBounds = (): Term[] =>
  SIZES.flatMap((size) => [le(u32(BOUNDS[size].least), variable(size)), le(variable(size), u32(BOUNDS[size].most))]);

export const CONTENT = 'content';

export const symbolicState = (prefix: string, arrays: Iterable<string>): State =>
  Object.fromEntries([...arrays, CONTENT].map((name) => [name, table(`${prefix}_${name}`)]));

/** What a variable of a clause ranges over, and the sizes of its indices. */
export const KINDS = {
  partition: ['PARTITIONS'],
  frame: ['FRAMES'],
  page: ['PARTITIONS', 'GPA_PAGES'],
  slot: ['PARTITIONS', 'GRANTS'],
  end: ['PARTITIONS', 'CHANNELS'],
  counter: ['PARTITIONS', 'COUNTERS'],
  device: ['DEVICES'],
} as const satisfies Record<string, readonly SizeName[]>;
export type Kind = keyof typeof KINDS;
export type Index = readonly Term[];

const PREFIXES: Readonly<Record<string, Kind>> = {
  partition: 'partition',
  frame: 'frame',
  content: 'frame',
  map: 'page',
  grant: 'slot',
  channel: 'end',
  counter: 'counter',
  device: 'device',
};
/** What an array is indexed by, which its name begins with; undefined for a single cell. */
export const kindOf = (array: string): Kind | undefined => PREFIXES[/^[a-z]+/.exec(array)?.[0] ?? ''];

export const inRange = (kind: Kind, index: Index): Term =>
  and(...KINDS[kind].map((size, k) => lt(index[k] as Term, sizeTerm(size))));

/** A named statement about all things of one kind. */
export interface Clause {
  readonly name: string;
  readonly kind?: Kind;
  readonly body: (i: Term, j: Term) => Term;
}
export const atIndex = (clause: Clause, index: Index): Term => {
  const [i = u32(0), j = u32(0)] = index;
  return clause.kind === undefined ? clause.body(i, j) : implies(inRange(clause.kind, index), clause.body(i, j));
};

export const at = (s: State, name: string, ...index: Term[]): Term => read(s[name] as Term, index);
export const is = (s: State, name: string, index: readonly Term[], value: number): Term =>
  eq(at(s, name, ...index), u32(value));
const ONE = u32(1);

export const alive = (s: State, q: Term): Term =>
  or(is(s, 'partitionState', [q], K.P_RUNNING), is(s, 'partitionState', [q], K.P_PAUSED));
/** From the seal to the stop. */
export const sealed = (s: State, q: Term): Term => or(alive(s, q), is(s, 'partitionState', [q], K.P_SEALED));
export const running = (s: State, p: Term): Term => is(s, 'partitionState', [p], K.P_RUNNING);
export const epoch = (s: State, p: Term): Term => at(s, 'partitionEpoch', p);

export const owns = (s: State, p: Term, f: Term): Term =>
  and(is(s, 'frameState', [f], K.F_USED), eq(at(s, 'frameOwner', f), p), eq(at(s, 'frameEpoch', f), epoch(s, p)));
export const owned = (s: State, f: Term): Term => owns(s, at(s, 'frameOwner', f), f);
export const slotOf = (s: State, f: Term): Index => [at(s, 'frameOwner', f), sub(at(s, 'frameGrant', f), ONE)];

/** Slot (p, g) holds a grant of p. */
export const granting = (s: State, p: Term, g: Term): Term =>
  and(ne(at(s, 'grantState', p, g), u32(K.G_FREE)), eq(at(s, 'grantEpoch', p, g), epoch(s, p)));
/** Slot (p, g) holds a grant of p to u. */
export const held = (s: State, u: Term, p: Term, g: Term): Term =>
  and(granting(s, p, g), eq(at(s, 'grantTo', p, g), u), eq(at(s, 'grantToEpoch', p, g), epoch(s, u)));
export const heldIn = (s: State, u: Term, p: Term, g: Term, state: number): Term =>
  and(held(s, u, p, g), is(s, 'grantState', [p, g], state));

/** Partition p has the frame f of another mapped at gpa. */
export const borrows = (s: State, p: Term, f: Term, gpa: Term): Term => {
  const [from, g] = slotOf(s, f) as [Term, Term];
  return and(
    owned(s, f),
    ne(at(s, 'frameGrant', f), u32(0)),
    heldIn(s, p, from, g, K.G_MAPPED),
    eq(at(s, 'grantGpa', from, g), gpa),
  );
};
/** Frame f stands at page gpa of partition p. */
export const stands = (s: State, p: Term, gpa: Term, f: Term): Term =>
  or(and(owns(s, p, f), eq(at(s, 'frameGpa', f), gpa)), borrows(s, p, f, gpa));
export const mapped = (s: State, p: Term, gpa: Term): Term => sub(at(s, 'mapFrame', p, gpa), ONE);
export const occupied = (s: State, p: Term, gpa: Term): Term =>
  and(ne(at(s, 'mapFrame', p, gpa), u32(0)), stands(s, p, gpa, mapped(s, p, gpa)));
/** 1 + the frame at (p, gpa), or 0. */
export const standing = (s: State, p: Term, gpa: Term): Term =>
  ite(occupied(s, p, gpa), at(s, 'mapFrame', p, gpa), u32(0));

/** Slot (p, g) is a loan that its recipient has accepted and still lives to hold. */
export const loanOut = (s: State, p: Term, g: Term): Term =>
  and(
    is(s, 'grantState', [p, g], K.G_MAPPED),
    is(s, 'grantKind', [p, g], K.GRANT_LEND),
    eq(at(s, 'grantToEpoch', p, g), epoch(s, at(s, 'grantTo', p, g))),
  );

export const peerOf = (s: State, p: Term, c: Term): Index => [
  at(s, 'channelPeer', p, c),
  at(s, 'channelPeerEnd', p, c),
];
export const linked = (s: State, p: Term, c: Term): Term =>
  and(
    is(s, 'channelState', [p, c], K.C_OPEN),
    eq(at(s, 'channelEpoch', p, c), epoch(s, p)),
    eq(at(s, 'channelPeerEpoch', p, c), epoch(s, at(s, 'channelPeer', p, c))),
  );

export const drives = (s: State, p: Term, d: Term): Term =>
  and(
    is(s, 'deviceState', [d], K.D_ASSIGNED),
    eq(at(s, 'deviceOwner', d), p),
    eq(at(s, 'deviceEpoch', d), epoch(s, p)),
  );

export const isPermission = (perm: Term): Term => or(eq(perm, u32(K.PERM_READ)), eq(perm, u32(K.PERM_READ_WRITE)));
export const within = (part: Term, whole: Term): Term =>
  or(eq(part, whole), and(eq(part, u32(K.PERM_READ)), eq(whole, u32(K.PERM_READ_WRITE))));

/** What p reaches at gpa with permission `need`: a frame, or the refusal. */
export const reach = (s: State, p: Term, gpa: Term, need: Term): Term => {
  const f = mapped(s, p, gpa);
  const [from, g] = slotOf(s, f) as [Term, Term];
  const own = owns(s, p, f);
  return ladder(
    [
      [or(not(lt(p, variable('PARTITIONS'))), not(lt(gpa, variable('GPA_PAGES')))), E.RANGE],
      [not(isPermission(need)), E.RANGE],
      [not(alive(s, p)), E.STATE],
      [not(occupied(s, p, gpa)), E.UNMAPPED],
      [and(own, ne(at(s, 'frameGrant', f), u32(0)), loanOut(s, from, g)), E.DENIED],
      [not(within(need, ite(own, at(s, 'framePerm', f), at(s, 'grantPerm', from, g)))), E.PERMISSION],
    ],
    f,
  );
};

/** The first refusal that applies, or the result. */
export const ladder = (refusals: readonly (readonly [Term, number])[], result: Term): Term =>
  refusals.reduceRight((rest, [when, code]) => ite(when, u32(code), rest), result);

export const succ = (a: Term): Term => add(a, ONE);
