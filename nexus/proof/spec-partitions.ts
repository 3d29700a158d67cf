/** What calls on partitions, channels, devices and the platform must do. */
import * as K from '../core/constants.ts';
import * as E from '../core/errors.ts';
import { n, onlyRoot, onlyRunning, outside, root, type Spec, type Specification, stateOf } from './spec-terms.ts';
import { alive, at, drives, epoch, is, linked, peerOf, succ } from './state.ts';
import { and, eq, lt, ne, not, or, type Term } from './terms.ts';
import type { State } from './translate.ts';

export const PARTITIONS: Readonly<Record<string, Specification>> = {
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
};

const onEnd = (s: State, p: Term, c: Term): Spec['refusals'] => [
  onlyRunning(s, p),
  [outside([c, 'CHANNELS']), E.RANGE],
  [not(linked(s, p, c)), E.CLOSED],
];
