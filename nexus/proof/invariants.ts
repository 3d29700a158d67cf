/** What holds in every reachable state. */
import * as K from '../core/constants.ts';
import {
  at,
  type Clause,
  CONTENT,
  drives,
  epoch,
  granting,
  is,
  isPermission,
  linked,
  owned,
  owns,
  peerOf,
  slotOf,
  succ,
  within,
} from './state.ts';
import { and, eq, implies, le, lt, ne, not, or, type Term, u32, variable } from './terms.ts';
import type { State } from './translate.ts';

const below = (term: Term, size: string): Term => lt(term, variable(size));
const most = (term: Term, value: number): Term => le(term, u32(value));
const notYet = (s: State, p: Term): Term =>
  or(is(s, 'partitionState', [p], K.P_INIT), is(s, 'partitionState', [p], K.P_SEALED));

export const invariants = (s: State): readonly Clause[] => [
  {
    name: 'partition fields are in range',
    kind: 'partition',
    body: (p) =>
      and(
        most(at(s, 'partitionState', p), K.P_STOPPED),
        most(epoch(s, p), K.EPOCH_MAX),
        most(at(s, 'partitionKind', p), K.KIND_TRUSTED),
        most(at(s, 'partitionFlags', p), K.FLAG_DEBUG),
      ),
  },
  {
    name: 'root runs and is neither standard nor trusted',
    body: () => and(is(s, 'partitionState', [u32(K.ROOT)], K.P_RUNNING), is(s, 'partitionKind', [u32(K.ROOT)], 0)),
  },
  { name: 'the boot lock is open or shut', body: () => most(at(s, 'bootLocked', u32(0)), 1) },
  {
    name: 'frame fields are in range, its epoch not of the future',
    kind: 'frame',
    body: (f) =>
      and(
        most(at(s, 'frameState', f), K.F_DIRTY),
        below(at(s, 'frameOwner', f), 'PARTITIONS'),
        le(at(s, 'frameEpoch', f), epoch(s, at(s, 'frameOwner', f))),
        below(at(s, 'frameGpa', f), 'GPA_PAGES'),
        le(at(s, 'frameGrant', f), variable('GRANTS')),
        most(at(s, 'frameMeasured', f), 1),
      ),
  },
  {
    name: 'an owned frame has an owner that exists, and a permission',
    kind: 'frame',
    body: (f) =>
      implies(
        owned(s, f),
        and(not(is(s, 'partitionState', [at(s, 'frameOwner', f)], K.P_FREE)), isPermission(at(s, 'framePerm', f))),
      ),
  },
  {
    name: 'a free frame is zero, unmeasured and without grant',
    kind: 'frame',
    body: (f) =>
      implies(
        is(s, 'frameState', [f], K.F_FREE),
        and(is(s, 'frameGrant', [f], 0), is(s, 'frameMeasured', [f], 0), is(s, CONTENT, [f], 0)),
      ),
  },
  {
    name: 'a page points at a frame',
    kind: 'page',
    body: (p, gpa) => le(at(s, 'mapFrame', p, gpa), variable('FRAMES')),
  },
  {
    name: 'an owned frame stands at its page',
    kind: 'frame',
    body: (f) => implies(owned(s, f), eq(at(s, 'mapFrame', at(s, 'frameOwner', f), at(s, 'frameGpa', f)), succ(f))),
  },
  {
    name: 'a frame with a grant points at a slot that points back',
    kind: 'frame',
    body: (f) => {
      const [p, g] = slotOf(s, f) as [Term, Term];
      return implies(
        and(owned(s, f), ne(at(s, 'frameGrant', f), u32(0))),
        and(granting(s, p, g), eq(at(s, 'grantFrame', p, g), f)),
      );
    },
  },
  {
    name: 'slot fields are in range, epochs not of the future',
    kind: 'slot',
    body: (p, g) =>
      and(
        most(at(s, 'grantState', p, g), K.G_MAPPED),
        most(at(s, 'grantKind', p, g), K.GRANT_DONATE),
        below(at(s, 'grantFrame', p, g), 'FRAMES'),
        below(at(s, 'grantTo', p, g), 'PARTITIONS'),
        below(at(s, 'grantGpa', p, g), 'GPA_PAGES'),
        le(at(s, 'grantEpoch', p, g), epoch(s, p)),
        le(at(s, 'grantToEpoch', p, g), epoch(s, at(s, 'grantTo', p, g))),
      ),
  },
  {
    name: 'a grant is of a frame that its giver owns, to another, within its permission',
    kind: 'slot',
    body: (p, g) => {
      const f = at(s, 'grantFrame', p, g);
      return implies(
        granting(s, p, g),
        and(
          owns(s, p, f),
          eq(at(s, 'frameGrant', f), succ(g)),
          ne(at(s, 'grantTo', p, g), p),
          isPermission(at(s, 'grantPerm', p, g)),
          within(at(s, 'grantPerm', p, g), at(s, 'framePerm', f)),
          not(notYet(s, p)),
        ),
      );
    },
  },
  {
    name: 'an accepted grant stands at its page and is no donation',
    kind: 'slot',
    body: (p, g) => {
      const to = at(s, 'grantTo', p, g);
      const accepted = and(granting(s, p, g), is(s, 'grantState', [p, g], K.G_MAPPED));
      return and(
        implies(accepted, not(is(s, 'grantKind', [p, g], K.GRANT_DONATE))),
        implies(
          and(accepted, eq(at(s, 'grantToEpoch', p, g), epoch(s, to))),
          eq(at(s, 'mapFrame', to, at(s, 'grantGpa', p, g)), succ(at(s, 'grantFrame', p, g))),
        ),
      );
    },
  },
  {
    name: 'channel fields are in range, epochs not of the future',
    kind: 'end',
    body: (p, c) =>
      and(
        most(at(s, 'channelState', p, c), K.C_OPEN),
        below(at(s, 'channelPeer', p, c), 'PARTITIONS'),
        below(at(s, 'channelPeerEnd', p, c), 'CHANNELS'),
        most(at(s, 'channelPending', p, c), 1),
        most(at(s, 'channelMasked', p, c), 1),
        le(at(s, 'channelEpoch', p, c), epoch(s, p)),
        le(at(s, 'channelPeerEpoch', p, c), epoch(s, at(s, 'channelPeer', p, c))),
      ),
  },
  {
    name: 'a linked end has a peer that is linked back to it',
    kind: 'end',
    body: (p, c) => {
      const [q, d] = peerOf(s, p, c) as [Term, Term];
      const [back, backEnd] = peerOf(s, q, d) as [Term, Term];
      return implies(linked(s, p, c), and(ne(p, q), linked(s, q, d), eq(back, p), eq(backEnd, c)));
    },
  },
  {
    name: 'a device reaches only the current epoch of a partition that exists and is not root',
    kind: 'device',
    body: (d) => {
      const q = at(s, 'deviceOwner', d);
      return and(
        most(at(s, 'deviceState', d), K.D_ASSIGNED),
        below(q, 'PARTITIONS'),
        le(at(s, 'deviceEpoch', d), epoch(s, q)),
        implies(drives(s, q, d), and(ne(q, u32(K.ROOT)), not(is(s, 'partitionState', [q], K.P_FREE)))),
      );
    },
  },
  {
    name: 'a counter is below the errors',
    kind: 'counter',
    body: (p, k) => most(at(s, 'counterValue', p, k), K.COUNTER_MAX),
  },
  {
    name: 'until it first runs, a trusted partition owns only frames that were measured or are zero',
    kind: 'frame',
    body: (f) => {
      const q = at(s, 'frameOwner', f);
      return implies(
        and(owned(s, f), notYet(s, q), is(s, 'partitionKind', [q], K.KIND_TRUSTED)),
        or(is(s, 'frameMeasured', [f], 1), is(s, CONTENT, [f], 0)),
      );
    },
  },
];

/** What never falls, from one state to the next (theorem MON). */
export const monotonic = (s: State, t: State): readonly Clause[] => [
  { name: 'epochs never fall', kind: 'partition', body: (p) => le(epoch(s, p), epoch(t, p)) },
  {
    name: 'counters never fall',
    kind: 'counter',
    body: (p, k) => le(at(s, 'counterValue', p, k), at(t, 'counterValue', p, k)),
  },
  { name: 'the boot lock never opens', body: () => le(at(s, 'bootLocked', u32(0)), at(t, 'bootLocked', u32(0))) },
  {
    name: 'a permission of a frame that stays owned never grows',
    kind: 'frame',
    body: (f) => {
      const stays = and(
        owned(s, f),
        owned(t, f),
        eq(at(s, 'frameOwner', f), at(t, 'frameOwner', f)),
        eq(at(s, 'frameEpoch', f), at(t, 'frameEpoch', f)),
      );
      return implies(stays, within(at(t, 'framePerm', f), at(s, 'framePerm', f)));
    },
  },
];
