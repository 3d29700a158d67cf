/**
 * What each call must do: the refusals in their order, then the one effect, as cells that change together. Every cell
 * that is not named stays as it was (theorem REF compares all of them).
 */
import * as K from '../core/constants.ts';
import * as E from '../core/errors.ts';
import {
  alive,
  at,
  CONTENT,
  drives,
  epoch,
  granting,
  heldIn,
  type Index,
  is,
  isPermission,
  ladder,
  linked,
  loanOut,
  occupied,
  owned,
  owns,
  peerOf,
  reach,
  running,
  succ,
  within,
} from './state.ts';
import { and, eq, ite, lt, ne, not, or, type Term, u32, variable, write } from './terms.ts';
import type { State } from './translate.ts';

export interface Spec {
  readonly refusals: readonly (readonly [when: Term, code: number])[];
  readonly cells?: readonly (readonly [array: string, index: Index, value: Term, when?: Term])[];
  /** OK if absent. */
  readonly result?: Term;
}
type Specification = (s: State, p: Term, ...args: Term[]) => Spec;

const n = (value: number): Term => u32(value);
const root = (p: Term): Term => eq(p, n(K.ROOT));
const outside = (...pairs: readonly (readonly [Term, string])[]): Term =>
  or(...pairs.map(([term, size]) => not(lt(term, variable(size)))));
const stateOf = (s: State, q: Term, state: number): Term => is(s, 'partitionState', [q], state);

const onlyRoot = (p: Term): readonly [Term, number] => [not(root(p)), E.DENIED];
const onlyRunning = (s: State, p: Term): readonly [Term, number] => [not(running(s, p)), E.CALLER];

const offering =
  (kind: number): Specification =>
  (s, p, g, f, q, perm) => {
    const [slot, frame, to, rights] = [g, f, q, perm] as [Term, Term, Term, Term];
    return {
      refusals: [
        onlyRunning(s, p),
        [or(outside([slot, 'GRANTS'], [frame, 'FRAMES'], [to, 'PARTITIONS']), eq(to, p)), E.RANGE],
        [not(isPermission(rights)), E.RANGE],
        [not(alive(s, to)), E.STATE],
        [not(owns(s, p, frame)), E.OWNER],
        [ne(at(s, 'frameGrant', frame), n(0)), E.BUSY],
        [granting(s, p, slot), E.GRANT],
        [not(within(rights, at(s, 'framePerm', frame))), E.PERMISSION],
      ],
      cells: [
        ['grantState', [p, slot], n(K.G_OFFERED)],
        ['grantEpoch', [p, slot], epoch(s, p)],
        ['grantKind', [p, slot], n(kind)],
        ['grantFrame', [p, slot], frame],
        ['grantTo', [p, slot], to],
        ['grantToEpoch', [p, slot], epoch(s, to)],
        ['grantPerm', [p, slot], rights],
        ['frameGrant', [frame], succ(slot)],
      ],
    };
  };

const query = (result: Term): Spec => ({ refusals: [], result });

/** A write of `value` to what `target` names, unless that is a refusal. */
const stores = (target: Term, value: Term): Spec => ({
  refusals: [],
  result: target,
  cells: [[CONTENT, [target], value, lt(target, n(K.ERROR_BASE))]],
});

const throughDevice = (s: State, p: Term, d: Term, gpa: Term, need: number): Term =>
  ladder(
    [
      [outside([d, 'DEVICES']), E.RANGE],
      [not(drives(s, p, d)), E.STATE],
    ],
    reach(s, p, gpa, n(need)),
  );

const SPECIFICATIONS: Readonly<Record<string, Specification>> = {
  version: (s, p) => ({ refusals: [onlyRunning(s, p)], result: n(K.VERSION) }),
  self: (s, p) => ({ refusals: [onlyRunning(s, p)], result: p }),

  partitionCreate: (s, p, ...args) => {
    const [q, kind, flags] = args as [Term, Term, Term];
    return {
      refusals: [
        onlyRoot(p),
        [or(outside([q, 'PARTITIONS']), lt(n(K.FLAG_DEBUG), flags)), E.RANGE],
        [and(ne(kind, n(K.KIND_STANDARD)), ne(kind, n(K.KIND_TRUSTED))), E.RANGE],
        [not(stateOf(s, q, K.P_FREE)), E.STATE],
        [and(eq(flags, n(K.FLAG_DEBUG)), ne(at(s, 'bootLocked', n(0)), n(0))), E.LOCKED],
      ],
      cells: [
        ['partitionState', [q], n(K.P_INIT)],
        ['partitionKind', [q], kind],
        ['partitionFlags', [q], flags],
        ['partitionBind0', [q], n(0)],
        ['partitionBind1', [q], n(0)],
      ],
    };
  },
  partitionSeal: (s, p, ...args) => {
    const [q] = args as [Term];
    return {
      refusals: [onlyRoot(p), [outside([q, 'PARTITIONS']), E.RANGE], [not(stateOf(s, q, K.P_INIT)), E.STATE]],
      cells: [['partitionState', [q], n(K.P_SEALED)]],
    };
  },
  partitionRun: (s, p, ...args) => {
    const [q] = args as [Term];
    return {
      refusals: [
        onlyRoot(p),
        [outside([q, 'PARTITIONS']), E.RANGE],
        [not(or(stateOf(s, q, K.P_SEALED), stateOf(s, q, K.P_PAUSED))), E.STATE],
      ],
      cells: [['partitionState', [q], n(K.P_RUNNING)]],
    };
  },
  partitionPause: (s, p, ...args) => {
    const [q] = args as [Term];
    return {
      refusals: [
        onlyRoot(p),
        [or(outside([q, 'PARTITIONS']), root(q)), E.RANGE],
        [not(stateOf(s, q, K.P_RUNNING)), E.STATE],
      ],
      cells: [['partitionState', [q], n(K.P_PAUSED)]],
    };
  },
  partitionYield: (s, p) => ({ refusals: [onlyRunning(s, p)] }),
  partitionStop: (s, p, ...args) => {
    const [q] = args as [Term];
    return {
      refusals: [
        onlyRoot(p),
        [or(outside([q, 'PARTITIONS']), root(q)), E.RANGE],
        [or(stateOf(s, q, K.P_FREE), stateOf(s, q, K.P_STOPPED)), E.STATE],
      ],
      cells: [['partitionState', [q], n(K.P_STOPPED)]],
    };
  },
  partitionDestroy: (s, p, ...args) => {
    const [q] = args as [Term];
    return {
      refusals: [
        onlyRoot(p),
        [outside([q, 'PARTITIONS']), E.RANGE],
        [not(stateOf(s, q, K.P_STOPPED)), E.STATE],
        [eq(epoch(s, q), n(K.EPOCH_MAX)), E.EXHAUSTED],
      ],
      cells: [
        ['partitionState', [q], n(K.P_FREE)],
        ['partitionEpoch', [q], succ(epoch(s, q))],
      ],
    };
  },

  frameAssign: (s, p, ...args) => {
    const [f, q, gpa, perm] = args as [Term, Term, Term, Term];
    return {
      refusals: [
        onlyRoot(p),
        [outside([f, 'FRAMES'], [q, 'PARTITIONS'], [gpa, 'GPA_PAGES']), E.RANGE],
        [not(isPermission(perm)), E.RANGE],
        [not(stateOf(s, q, K.P_INIT)), E.STATE],
        [not(is(s, 'frameState', [f], K.F_FREE)), E.BUSY],
        [occupied(s, q, gpa), E.MAPPED],
      ],
      cells: [
        ['frameState', [f], n(K.F_USED)],
        ['frameOwner', [f], q],
        ['frameEpoch', [f], epoch(s, q)],
        ['frameGpa', [f], gpa],
        ['framePerm', [f], perm],
        ['mapFrame', [q, gpa], succ(f)],
      ],
    };
  },
  /** `content`: what the engine put into the frame, and what was measured. */
  frameMeasure: (s, p, ...args) => {
    const [f, content] = args as [Term, Term];
    return {
      refusals: [
        onlyRoot(p),
        [outside([f, 'FRAMES']), E.RANGE],
        [not(owned(s, f)), E.OWNER],
        [not(stateOf(s, at(s, 'frameOwner', f), K.P_INIT)), E.STATE],
        [is(s, 'frameMeasured', [f], 1), E.BUSY],
      ],
      cells: [
        ['frameMeasured', [f], n(1)],
        [CONTENT, [f], content],
      ],
    };
  },
  memoryLoad: (s, p, ...args) => {
    const [f, value] = args as [Term, Term];
    const q = at(s, 'frameOwner', f);
    const target = ladder(
      [
        onlyRoot(p),
        [outside([f, 'FRAMES']), E.RANGE],
        [not(owned(s, f)), E.OWNER],
        [not(stateOf(s, q, K.P_INIT)), E.STATE],
        [not(is(s, 'partitionKind', [q], K.KIND_STANDARD)), E.DENIED],
      ],
      f,
    );
    return stores(target, value);
  },
  frameProtect: (s, p, ...args) => {
    const [f, perm] = args as [Term, Term];
    return {
      refusals: [
        onlyRunning(s, p),
        [outside([f, 'FRAMES']), E.RANGE],
        [not(isPermission(perm)), E.RANGE],
        [not(owns(s, p, f)), E.OWNER],
        [ne(at(s, 'frameGrant', f), n(0)), E.BUSY],
        [not(within(perm, at(s, 'framePerm', f))), E.PERMISSION],
      ],
      cells: [['framePerm', [f], perm]],
    };
  },
  frameRelease: (s, p, ...args) => {
    const [f] = args as [Term];
    return {
      refusals: [
        onlyRunning(s, p),
        [outside([f, 'FRAMES']), E.RANGE],
        [not(owns(s, p, f)), E.OWNER],
        [ne(at(s, 'frameGrant', f), n(0)), E.BUSY],
      ],
      cells: [['frameState', [f], n(K.F_DIRTY)]],
    };
  },
  frameScrub: (s, p, ...args) => {
    const [f] = args as [Term];
    return {
      refusals: [
        onlyRoot(p),
        [outside([f, 'FRAMES']), E.RANGE],
        [is(s, 'frameState', [f], K.F_FREE), E.STATE],
        [owned(s, f), E.BUSY],
      ],
      cells: [
        ['frameState', [f], n(K.F_FREE)],
        ['frameGrant', [f], n(0)],
        ['frameMeasured', [f], n(0)],
        [CONTENT, [f], n(0)],
      ],
    };
  },

  grantOffer: offering(K.GRANT_SHARE),
  grantLend: offering(K.GRANT_LEND),
  frameDonate: offering(K.GRANT_DONATE),
  grantAccept: (s, p, ...args) => {
    const [from, g, gpa] = args as [Term, Term, Term];
    const f = at(s, 'grantFrame', from, g);
    const donated = is(s, 'grantKind', [from, g], K.GRANT_DONATE);
    return {
      refusals: [
        onlyRunning(s, p),
        [outside([from, 'PARTITIONS'], [g, 'GRANTS'], [gpa, 'GPA_PAGES']), E.RANGE],
        [not(heldIn(s, p, from, g, K.G_OFFERED)), E.GRANT],
        [occupied(s, p, gpa), E.MAPPED],
      ],
      cells: [
        ['mapFrame', [p, gpa], succ(f)],
        ['grantState', [from, g], ite(donated, n(K.G_FREE), n(K.G_MAPPED))],
        ['grantGpa', [from, g], gpa, not(donated)],
        ['frameOwner', [f], p, donated],
        ['frameEpoch', [f], epoch(s, p), donated],
        ['frameGpa', [f], gpa, donated],
        ['framePerm', [f], at(s, 'grantPerm', from, g), donated],
        ['frameGrant', [f], n(0), donated],
        ['frameMeasured', [f], n(0), donated],
      ],
    };
  },
  grantRelease: (s, p, ...args) => {
    const [from, g] = args as [Term, Term];
    return {
      refusals: [
        onlyRunning(s, p),
        [outside([from, 'PARTITIONS'], [g, 'GRANTS']), E.RANGE],
        [not(heldIn(s, p, from, g, K.G_MAPPED)), E.GRANT],
      ],
      cells: [['grantState', [from, g], n(K.G_OFFERED)]],
    };
  },
  grantRevoke: (s, p, ...args) => {
    const [g] = args as [Term];
    return {
      refusals: [
        onlyRunning(s, p),
        [outside([g, 'GRANTS']), E.RANGE],
        [not(granting(s, p, g)), E.GRANT],
        [loanOut(s, p, g), E.BUSY],
      ],
      cells: [
        ['grantState', [p, g], n(K.G_FREE)],
        ['frameGrant', [at(s, 'grantFrame', p, g)], n(0)],
      ],
    };
  },

  channelOpen: (s, p, ...args) => {
    const [a, c, q, d] = args as [Term, Term, Term, Term];
    const end = (x: Term, xEnd: Term, y: Term, yEnd: Term): NonNullable<Spec['cells']> => [
      ['channelState', [x, xEnd], n(K.C_OPEN)],
      ['channelEpoch', [x, xEnd], epoch(s, x)],
      ['channelPeer', [x, xEnd], y],
      ['channelPeerEpoch', [x, xEnd], epoch(s, y)],
      ['channelPeerEnd', [x, xEnd], yEnd],
      ['channelPending', [x, xEnd], n(0)],
      ['channelMasked', [x, xEnd], n(0)],
    ];
    return {
      refusals: [
        onlyRoot(p),
        [or(outside([a, 'PARTITIONS'], [c, 'CHANNELS'], [q, 'PARTITIONS'], [d, 'CHANNELS']), eq(a, q)), E.RANGE],
        [not(and(alive(s, a), alive(s, q))), E.STATE],
        [or(linked(s, a, c), linked(s, q, d)), E.BUSY],
      ],
      cells: [...end(a, c, q, d), ...end(q, d, a, c)],
    };
  },
  channelSignal: (s, p, ...args) => {
    const [c] = args as [Term];
    return { refusals: onEnd(s, p, c), cells: [['channelPending', peerOf(s, p, c), n(1)]] };
  },
  channelTake: (s, p, ...args) => {
    const [c] = args as [Term];
    return {
      refusals: onEnd(s, p, c),
      cells: [['channelPending', [p, c], n(0)]],
      result: at(s, 'channelPending', p, c),
    };
  },
  channelMask: (s, p, ...args) => {
    const [c, masked] = args as [Term, Term];
    return {
      refusals: [
        onlyRunning(s, p),
        [or(outside([c, 'CHANNELS']), lt(n(1), masked)), E.RANGE],
        [not(linked(s, p, c)), E.CLOSED],
      ],
      cells: [['channelMasked', [p, c], masked]],
    };
  },
  channelClose: (s, p, ...args) => {
    const [c] = args as [Term];
    return {
      refusals: onEnd(s, p, c),
      cells: [
        ['channelState', [p, c], n(K.C_CLOSED)],
        ['channelState', peerOf(s, p, c), n(K.C_CLOSED)],
      ],
    };
  },

  deviceAssign: (s, p, ...args) => {
    const [d, q] = args as [Term, Term];
    return {
      refusals: [
        onlyRoot(p),
        [or(outside([d, 'DEVICES'], [q, 'PARTITIONS']), root(q)), E.RANGE],
        [not(alive(s, q)), E.STATE],
        [drives(s, at(s, 'deviceOwner', d), d), E.BUSY],
      ],
      cells: [
        ['deviceState', [d], n(K.D_ASSIGNED)],
        ['deviceOwner', [d], q],
        ['deviceEpoch', [d], epoch(s, q)],
      ],
    };
  },
  deviceRevoke: (s, p, ...args) => {
    const [d] = args as [Term];
    return {
      refusals: [onlyRoot(p), [outside([d, 'DEVICES']), E.RANGE], [is(s, 'deviceState', [d], K.D_FREE), E.STATE]],
      cells: [['deviceState', [d], n(K.D_FREE)]],
    };
  },

  gate: (s, p, ...args) => {
    const [kind, locality] = args as [Term, Term];
    const admin = eq(kind, n(K.GATE_ADMIN));
    const trusted = and(not(root(p)), is(s, 'partitionKind', [p], K.KIND_TRUSTED));
    const mayEver = or(
      and(root(p), not(lt(n(K.LOCALITY_ROOT), locality))),
      and(trusted, not(admin)),
      and(not(root(p)), eq(kind, n(K.GATE_READ)), eq(locality, n(K.LOCALITY_STANDARD))),
    );
    return {
      refusals: [
        onlyRunning(s, p),
        [or(lt(n(K.GATE_ADMIN), kind), lt(n(K.LOCALITY_TRUSTED), locality)), E.RANGE],
        [not(mayEver), E.DENIED],
        [and(admin, ne(at(s, 'bootLocked', n(0)), n(0))), E.LOCKED],
      ],
    };
  },
  bind: (s, p, ...args) => {
    const [w0, w1] = args as [Term, Term];
    return {
      refusals: [onlyRunning(s, p), [not(is(s, 'partitionKind', [p], K.KIND_TRUSTED)), E.DENIED]],
      cells: [
        ['partitionBind0', [p], w0],
        ['partitionBind1', [p], w1],
      ],
    };
  },
  counterIncrement: (s, p, ...args) => {
    const [k] = args as [Term];
    const next = succ(at(s, 'counterValue', p, k));
    return {
      refusals: [
        onlyRunning(s, p),
        [outside([k, 'COUNTERS']), E.RANGE],
        [is(s, 'counterValue', [p, k], K.COUNTER_MAX), E.EXHAUSTED],
      ],
      cells: [['counterValue', [p, k], next]],
      result: next,
    };
  },
  bootLock: (s, p) => ({
    refusals: [onlyRoot(p), [is(s, 'bootLocked', [n(0)], 1), E.LOCKED]],
    cells: [['bootLocked', [n(0)], n(1)]],
  }),

  accessDevice: (s, _, ...args) => {
    const [d, gpa, need] = args as [Term, Term, Term];
    const owner = at(s, 'deviceOwner', d);
    const refusals: Spec['refusals'] = [
      [outside([d, 'DEVICES']), E.RANGE],
      [not(drives(s, owner, d)), E.STATE],
    ];
    return { refusals, result: reach(s, owner, gpa, need) };
  },
  accessFrame: (s, p, ...args) => {
    const [gpa, need] = args as [Term, Term];
    return query(reach(s, p, gpa, need));
  },
  memoryRead: (s, p, ...args) => {
    const [gpa] = args as [Term];
    const f = reach(s, p, gpa, n(K.PERM_READ));
    return query(ite(lt(f, n(K.ERROR_BASE)), at(s, CONTENT, f), f));
  },
  memoryWrite: (s, p, ...args) => {
    const [gpa, value] = args as [Term, Term];
    return stores(reach(s, p, gpa, n(K.PERM_READ_WRITE)), value);
  },
  deviceRead: (s, p, ...args) => {
    const [d, gpa] = args as [Term, Term];
    const f = throughDevice(s, p, d, gpa, K.PERM_READ);
    return query(ite(lt(f, n(K.ERROR_BASE)), at(s, CONTENT, f), f));
  },
  deviceWrite: (s, p, ...args) => {
    const [d, gpa, value] = args as [Term, Term, Term];
    return stores(throughDevice(s, p, d, gpa, K.PERM_READ_WRITE), value);
  },
};

const onEnd = (s: State, p: Term, c: Term): Spec['refusals'] => [
  onlyRunning(s, p),
  [outside([c, 'CHANNELS']), E.RANGE],
  [not(linked(s, p, c)), E.CLOSED],
];

export const specified: readonly string[] = Object.keys(SPECIFICATIONS);

/** Result and state that the specification of `name` demands. */
export function specify(
  name: string,
  s: State,
  args: readonly Term[],
): { readonly result: Term; readonly state: State } {
  const specification = SPECIFICATIONS[name];
  if (specification === undefined) throw new Error(`no specification of ${name}`);
  const spec = specification(s, ...(args as [Term, ...Term[]]));
  const refused = or(...spec.refusals.map(([when]) => when));
  const after: Record<string, Term> = { ...s };
  for (const [array, index, value, when] of spec.cells ?? []) {
    const changed = write(after[array] as Term, index, value);
    after[array] = when === undefined ? changed : ite(when, changed, after[array] as Term);
  }
  const state = Object.fromEntries(
    Object.keys(s).map((array) => [array, ite(refused, s[array] as Term, after[array] as Term)]),
  );
  return { result: ladder(spec.refusals, spec.result ?? n(K.OK)), state };
}
