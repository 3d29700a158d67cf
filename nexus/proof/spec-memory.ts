/** What calls on frames and grants must do, and every access to memory. */
import * as K from '../core/constants.ts';
import * as E from '../core/errors.ts';
import { n, onlyRoot, onlyRunning, outside, type Spec, type Specification, stateOf } from './spec-terms.ts';
import {
  alive,
  at,
  CONTENT,
  drives,
  epoch,
  granting,
  heldIn,
  is,
  isPermission,
  ladder,
  loanOut,
  occupied,
  owned,
  owns,
  reach,
  succ,
  within,
} from './state.ts';
import { eq, ite, lt, ne, not, or, type Term } from './terms.ts';
import type { State } from './translate.ts';

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

export const MEMORY: Readonly<Record<string, Specification>> = {
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
