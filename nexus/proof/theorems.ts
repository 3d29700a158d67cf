/**
 * The theorems, as queries that must be unsatisfiable. Statements about all things of a kind are instantiated by hand:
 * at the arguments, at the counterexample's own index, and at what those point to in as few steps as suffice. An unsatisfiable
 * query stays so with more instances, so leaving instances out can only make a proof fail, never succeed wrongly.
 */
import * as K from '../core/constants.ts';
import { invariants, monotonic } from './invariants.ts';
import { carries, flow, view } from './noninterference.ts';
import { named, type Operation, operations } from './operations.ts';
import type { CoreSource } from './source.ts';
import { specify } from './spec.ts';
import {
  at,
  atIndex,
  type Clause,
  CONTENT,
  type Index,
  inRange,
  KINDS,
  type Kind,
  kindOf,
  mapped,
  peerOf,
  sealed,
  sizeBounds,
  slotOf,
  stands,
  symbolicState,
} from './state.ts';
import { and, eq, implies, lt, ne, not, or, reachable, type Term, TRUE, u32, variable } from './terms.ts';
import type { State } from './translate.ts';

export const THEOREMS = {
  BND: 'every index is in range and no sum or difference wraps',
  INV: 'the invariants are kept',
  MON: 'what must never fall does not',
  REF: 'result and state are those of the specification',
  LR: 'a call shows nothing to a partition that it may not show something to',
  WSC: 'what a partition sees after a call follows from what it and the caller saw before',
  CON: 'what a partition and root see after a call follows from what they saw before, unless a frame is offered',
  OUT: 'the result follows from what the caller saw',
  RI: 'root changes nothing of a sealed partition',
  ONCE: 'initial state, and the view as an equivalence',
} as const;
export type Theorem = keyof typeof THEOREMS;

export interface Case {
  /** What distinguishes it, in words; empty for the only one. */
  readonly when: string;
  /**
   * Assertions that contradict each other if the condition holds, with statements instantiated at what the arguments
   * point to in `depth` steps. Empty if the goal is itself a hypothesis.
   */
  readonly assertions: (depth: number) => readonly Term[];
}

const always = (assertions: Case['assertions']): readonly Case[] => [{ when: '', assertions }];

export interface Condition {
  readonly call: string;
  readonly theorem: Theorem;
  /** The clause, where a theorem has several. */
  readonly clause: string;
  /** The cases that it is proved by: together they are all that can be. */
  readonly cases: readonly Case[];
  /** For a counterexample: the states before, the arguments, the result. */
  readonly args: readonly Term[];
  readonly params: readonly string[];
  readonly result?: Term;
}

type Terms = Record<Kind, Index[]>;
const noTerms = (): Terms => ({ partition: [], frame: [], page: [], slot: [], end: [], counter: [], device: [] });

const KIND_NAMES = Object.keys(KINDS) as Kind[];

/** Close `terms` under what they point to in `states`. */
function close(terms: Terms, states: readonly State[], rounds: number): Terms {
  const seen = new Set<string>();
  const all = noTerms();
  let fresh = terms;
  const accept = (from: Terms): Terms => {
    const next = noTerms();
    for (const kind of KIND_NAMES) {
      for (const index of from[kind]) {
        const key = `${kind} ${index.map((term) => term.id).join(' ')}`;
        if (seen.has(key)) continue;
        seen.add(key);
        all[kind].push(index);
        next[kind].push(index);
      }
    }
    return next;
  };
  for (let round = 0; ; round++) {
    const added = accept(fresh);
    if (round === rounds) break;
    fresh = noTerms();
    for (const s of states) {
      for (const [f] of added.frame as [Term][]) {
        fresh.partition.push([at(s, 'frameOwner', f)]);
        fresh.slot.push(slotOf(s, f));
        fresh.page.push([at(s, 'frameOwner', f), at(s, 'frameGpa', f)]);
      }
      for (const [p, g] of added.slot as [Term, Term][]) {
        const to = at(s, 'grantTo', p, g);
        fresh.partition.push([p], [to]);
        fresh.frame.push([at(s, 'grantFrame', p, g)]);
        fresh.page.push([to, at(s, 'grantGpa', p, g)]);
      }
      for (const [p, gpa] of added.page as [Term, Term][]) {
        fresh.partition.push([p]);
        fresh.frame.push([mapped(s, p, gpa)]);
      }
      for (const [p, c] of added.end as [Term, Term][]) {
        fresh.partition.push([p], [at(s, 'channelPeer', p, c)]);
        fresh.end.push(peerOf(s, p, c));
      }
      for (const [p] of added.counter as [Term, Term][]) fresh.partition.push([p]);
      for (const [d] of added.device as [Term][]) {
        const owner = at(s, 'deviceOwner', d);
        fresh.partition.push([owner]);
        // DMA reaches the page of the device's owner.
        for (const [, gpa] of all.page as [Term, Term][]) fresh.page.push([owner, gpa]);
      }
    }
  }
  return all;
}

/**
 * The calls whose two-state theorems are proved by who observes. With the caller or root put in the observer's place,
 * views coincide and their terms are shared, which decides in a second what takes a minute otherwise.
 */
const BY_OBSERVER = new Set(['grantAccept', 'frameAssign']);

const whoIs = (u: Term, p: Term): readonly { when: string; who: Term; given: readonly Term[] }[] => {
  const root = u32(K.ROOT);
  return [
    { when: 'the caller observes', who: p, given: [] },
    { when: 'root observes', who: root, given: [ne(p, root)] },
    { when: 'another observes', who: u, given: [lt(u, variable('PARTITIONS')), ne(u, p), ne(u, root)] },
  ];
};

const instances = (clauses: readonly Clause[], terms: Terms): Term[] =>
  clauses.flatMap((clause) =>
    clause.kind === undefined ? [atIndex(clause, [])] : terms[clause.kind].map((index) => atIndex(clause, index)),
  );

/** The counterexample's own index. */
const skolem = (kind: Kind): Index => KINDS[kind].map((_, k) => variable(`x${k}_${kind}`));

export class Theory {
  readonly operations: readonly Operation[];
  private readonly arrays: readonly string[];
  private readonly specify: typeof specify;

  /** Another specification than the core's own: to see that it would not be proved. */
  constructor(core: CoreSource, another: typeof specify = specify) {
    this.specify = another;
    this.operations = operations(core);
    this.arrays = [...core.arrays.keys()];
  }

  /** Every condition of one call, lazily. */
  *conditions(operation: Operation, only?: Theorem): Generator<Condition> {
    const s = symbolicState('s', this.arrays);
    const t = symbolicState('t', this.arrays);
    const u = variable('u');
    const args = operation.params.map((param) => variable(`a_${param}`));
    const p = args[0] as Term;
    const callS = operation.run(s, args);
    const callT = operation.run(t, args);
    const [s2, t2] = [callS.state, callT.state];
    const root = u32(K.ROOT);
    const isRoot = eq(p, root);
    const valid = lt(p, variable('PARTITIONS'));
    const observer = lt(u, variable('PARTITIONS'));
    const shared = { call: operation.name, args, params: operation.params, result: callS.result };

    const single = (
      clause: Clause,
      states: readonly State[],
      hypotheses: (terms: Terms) => readonly Term[],
      extra: readonly Index[] = [],
    ): Case['assertions'] => {
      const base = named(operation, args);
      const own = clause.kind === undefined ? [] : [skolem(clause.kind)];
      const terms: Terms = { ...base, partition: [...base.partition, ...extra] };
      if (clause.kind !== undefined) terms[clause.kind] = [...terms[clause.kind], ...own];
      const goal = atIndex(clause, own[0] ?? []);
      return (depth) => conclude([...sizeBounds(), valid, ...hypotheses(close(terms, states, depth))], goal);
    };
    const prove = (
      theorem: Theorem,
      clause: Clause,
      ...of: [states: readonly State[], hypotheses: (terms: Terms) => readonly Term[], extra?: readonly Index[]]
    ): Condition => ({
      ...shared,
      theorem,
      clause: clause.name,
      cases: always(single(clause, ...of)),
    });
    /** A theorem of two states that look the same to u: every clause of u's view after the call, by who u is. */
    const compare = function* (theorem: Theorem, known: (observed: Term) => (terms: Terms) => Term[]) {
      const observers = BY_OBSERVER.has(operation.name) ? whoIs(u, p) : [{ when: '', who: u, given: [observer] }];
      for (const [k, { name: clause }] of view(s2, t2, u).entries()) {
        const cases = observers.map(({ when, who, given }): Case => {
          const goal = view(s2, t2, who)[k] as Clause;
          const hypotheses = (terms: Terms): Term[] => [
            ...given,
            ...both(terms),
            ...instances(view(s, t, who), terms),
            ...known(who)(terms),
          ];
          return { when, assertions: single(goal, [s, t], hypotheses, [[who]]) };
        });
        yield { ...shared, theorem, clause, cases };
      }
    };
    const wanted = (theorem: Theorem): boolean =>
      (only === undefined || only === theorem) && (!operation.rule || theorem === 'BND' || theorem === 'REF');
    const inv = (state: State) => (terms: Terms) => instances(invariants(state), terms);
    const both = (terms: Terms): Term[] => [...inv(s)(terms), ...inv(t)(terms)];

    if (wanted('BND')) {
      yield prove('BND', { name: '', body: () => and(...callS.obligations) }, [s], inv(s));
    }
    if (wanted('INV')) for (const clause of invariants(s2)) yield prove('INV', clause, [s], inv(s));
    if (wanted('MON')) for (const clause of monotonic(s, s2)) yield prove('MON', clause, [s], inv(s));
    if (wanted('REF')) {
      const demanded = this.specify(operation.name, s, args);
      const clause = { name: 'result', body: () => eq(callS.result, demanded.result) };
      yield prove('REF', clause, [s], inv(s));
      for (const name of [...this.arrays, CONTENT]) {
        if (s2[name] === s[name] && demanded.state[name] === s[name]) continue;
        const index = this.arity(name);
        const same = eq(at(s2, name, ...index), at(demanded.state, name, ...index));
        yield prove('REF', { name, body: () => same }, [s], inv(s));
      }
    }
    if (wanted('LR')) {
      const hidden = [observer, ne(u, p), not(isRoot), not(flow(operation.name, s, u, args))];
      for (const clause of view(s, s2, u)) {
        if (clause.metadata) continue;
        yield prove('LR', clause, [s], (terms) => [...hidden, ...inv(s)(terms)], [[u]]);
      }
    }
    if (wanted('WSC')) yield* compare('WSC', () => (terms) => instances(view(s, t, p), terms));
    if (wanted('CON')) {
      yield* compare('CON', (who) => (terms) => {
        const caller = or(eq(who, p), carries(operation.name, who, args));
        return [
          ...instances(view(s, t, root), terms),
          ...instances(view(s, t, p), terms).map((instance) => implies(caller, instance)),
        ];
      });
    }
    if (wanted('OUT')) {
      const clause = { name: '', body: () => eq(callS.result, callT.result) };
      yield prove('OUT', clause, [s, t], (terms) => [...both(terms), ...instances(view(s, t, p), terms)]);
    }
    if (wanted('RI')) {
      const untouched = [
        'own frames',
        'content of own frames',
        'grants given, without the page that the recipient chose',
        'own counters',
      ];
      const hypotheses = [isRoot, observer, ne(u, root), sealed(s, u), not(flow(operation.name, s, u, args))];
      for (const clause of view(s, s2, u)) {
        if (!untouched.includes(clause.name)) continue;
        yield prove('RI', clause, [s], (terms) => [...hypotheses, ...inv(s)(terms)], [[u]]);
      }
    }
  }

  /** What is proved once, of no call. */
  *once(): Generator<Condition> {
    const [s, t, r] = [
      symbolicState('s', this.arrays),
      symbolicState('t', this.arrays),
      symbolicState('r', this.arrays),
    ];
    const u = variable('u');
    const shared = { call: '', theorem: 'ONCE' as const, args: [], params: [] };
    for (const clause of invariants(s)) {
      const goal = atIndex(clause, clause.kind === undefined ? [] : skolem(clause.kind));
      yield {
        ...shared,
        clause: `initial state: ${clause.name}`,
        cases: always(() => conclude([...sizeBounds(), ...initial([goal])], goal)),
      };
    }
    const relation = function* (kind: string, goal: readonly Clause[], known: readonly Clause[][], states: State[]) {
      for (const clause of goal) {
        const own = clause.kind === undefined ? [] : skolem(clause.kind);
        const terms: Terms = { ...noTerms(), partition: [[u]] };
        if (clause.kind !== undefined) terms[clause.kind] = [...terms[clause.kind], own];
        const hypotheses = (depth: number): Term[] => {
          const closed = close(terms, states, depth);
          return known.flatMap((clauses) => instances(clauses, closed));
        };
        yield {
          ...shared,
          clause: `the view is ${kind}: ${clause.name}`,
          cases: always((depth) =>
            conclude([...sizeBounds(), lt(u, variable('PARTITIONS')), ...hypotheses(depth)], atIndex(clause, own)),
          ),
        };
      }
    };
    yield* relation('reflexive', view(s, s, u), [], [s]);
    yield* relation('symmetric', view(t, s, u), [[...view(s, t, u)]], [s, t]);
    yield* relation('transitive', view(s, r, u), [[...view(s, t, u)], [...view(t, r, u)]], [s, t, r]);
    const [p, gpa] = [variable('u'), variable('a_gpa')];
    const [f, g] = [variable('x0_frame'), variable('x1_frame')];
    const terms: Terms = { ...noTerms(), partition: [[p]], frame: [[f], [g]], page: [[p, gpa]] };
    yield {
      ...shared,
      clause: 'no two frames stand at one page of one partition',
      cases: always((depth) =>
        conclude(
          [
            ...sizeBounds(),
            inRange('page', [p, gpa]),
            inRange('frame', [f]),
            inRange('frame', [g]),
            stands(s, p, gpa, f),
            stands(s, p, gpa, g),
            ...instances(invariants(s), close(terms, [s], depth)),
          ],
          eq(f, g),
        ),
      ),
    };
  }

  private arity(array: string): Index {
    const kind = kindOf(array);
    return kind === undefined ? [u32(0)] : skolem(kind);
  }
}

/** Hypotheses and the negated goal; empty if the goal is itself a hypothesis or needs none. */
function conclude(hypotheses: readonly Term[], goal: Term): readonly Term[] {
  const facts = and(...hypotheses);
  if (goal === TRUE || facts.op !== 'and' || and(facts, not(goal)).op === 'const') return [];
  return [...facts.args, not(goal)];
}

/** The initial state, as far as `terms` read it: zero, and root running. */
function initial(terms: readonly Term[]): Term[] {
  return reachable(terms)
    .filter((term) => term.op === 'read')
    .map((term) => {
      const [source, index] = term.args as [Term, Term];
      const start = u32(0);
      if (source.name !== 's_partitionState') return eq(term, start);
      return and(
        implies(eq(index, u32(K.ROOT)), eq(term, u32(K.P_RUNNING))),
        implies(ne(index, u32(K.ROOT)), eq(term, start)),
      );
    });
}

/** Steps after which a condition counts as not proved. */
export const DEEPEST = 3;
