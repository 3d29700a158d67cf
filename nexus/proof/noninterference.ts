/**
 * Who sees what (`view`), and which calls may show a partition something (`flow`), one formula for each with the
 * reason. Everything else is proved to show nothing.
 */
import * as K from '../core/constants.ts';
import { specify } from './spec.ts';
import {
  alive,
  at,
  type Clause,
  CONTENT,
  drives,
  epoch,
  granting,
  held,
  is,
  linked,
  mapped,
  owns,
  peerOf,
  slotOf,
  standing,
} from './state.ts';
import { and, eq, FALSE, implies, lt, ne, or, type Term, u32 } from './terms.ts';
import type { State } from './translate.ts';

const sameAt = (s: State, t: State, names: readonly string[], ...index: Term[]): Term =>
  and(...names.map((name) => eq(at(s, name, ...index), at(t, name, ...index))));
/** `seen` holds in both states or in neither, and where it holds `what` is the same. */
const seen = (inS: Term, inT: Term, what: Term): Term => and(eq(inS, inT), implies(inS, what));

/** A clause of a view; `metadata` is what root sees because it allocates and schedules. */
export interface ViewClause extends Clause {
  readonly metadata?: true;
}

/** States s and t look the same to partition u. */
export const view = (s: State, t: State, u: Term): readonly ViewClause[] => {
  const root = eq(u, u32(K.ROOT));
  return [
    {
      name: 'itself',
      body: () =>
        sameAt(
          s,
          t,
          ['partitionState', 'partitionEpoch', 'partitionKind', 'partitionFlags', 'partitionBind0', 'partitionBind1'],
          u,
        ),
    },
    {
      name: 'which partitions live, in which epoch',
      kind: 'partition',
      body: (p) => and(eq(alive(s, p), alive(t, p)), eq(epoch(s, p), epoch(t, p))),
    },
    {
      name: 'own frames',
      kind: 'frame',
      body: (f) =>
        seen(owns(s, u, f), owns(t, u, f), sameAt(s, t, ['frameGpa', 'framePerm', 'frameGrant', 'frameMeasured'], f)),
    },
    {
      name: 'content of own frames',
      kind: 'frame',
      body: (f) => implies(owns(s, u, f), sameAt(s, t, [CONTENT], f)),
    },
    {
      name: 'grants given, without the page that the recipient chose',
      kind: 'slot',
      body: (p, g) =>
        implies(
          eq(p, u),
          seen(
            granting(s, p, g),
            granting(t, p, g),
            sameAt(s, t, ['grantState', 'grantKind', 'grantFrame', 'grantTo', 'grantToEpoch', 'grantPerm'], p, g),
          ),
        ),
    },
    {
      name: 'grants held',
      kind: 'slot',
      body: (p, g) =>
        seen(
          held(s, u, p, g),
          held(t, u, p, g),
          and(
            sameAt(s, t, ['grantState', 'grantKind', 'grantFrame', 'grantPerm'], p, g),
            implies(eq(at(s, 'grantState', p, g), u32(K.G_MAPPED)), sameAt(s, t, ['grantGpa'], p, g)),
          ),
        ),
    },
    {
      name: 'content of frames offered to it or mapped by it',
      kind: 'slot',
      body: (p, g) => {
        const f = at(s, 'grantFrame', p, g);
        return implies(held(s, u, p, g), sameAt(s, t, [CONTENT], f));
      },
    },
    {
      name: 'own channel ends',
      kind: 'end',
      body: (p, c) =>
        implies(
          eq(p, u),
          seen(
            linked(s, p, c),
            linked(t, p, c),
            sameAt(s, t, ['channelPeer', 'channelPeerEnd', 'channelPending', 'channelMasked'], p, c),
          ),
        ),
    },
    {
      name: 'what stands at its pages',
      kind: 'page',
      body: (p, gpa) => implies(eq(p, u), eq(standing(s, p, gpa), standing(t, p, gpa))),
    },
    {
      name: 'own counters',
      kind: 'counter',
      body: (p, k) => implies(eq(p, u), sameAt(s, t, ['counterValue'], p, k)),
    },
    { name: 'own devices', kind: 'device', body: (d) => eq(drives(s, u, d), drives(t, u, d)) },
    {
      name: 'root: partitions and the boot lock',
      kind: 'partition',
      metadata: true,
      body: (p) =>
        implies(
          root,
          and(
            sameAt(s, t, ['partitionState', 'partitionKind', 'partitionFlags'], p),
            sameAt(s, t, ['bootLocked'], u32(0)),
          ),
        ),
    },
    {
      name: 'root: frames, without content',
      kind: 'frame',
      metadata: true,
      body: (f) =>
        implies(
          root,
          sameAt(
            s,
            t,
            ['frameState', 'frameOwner', 'frameEpoch', 'frameGpa', 'framePerm', 'frameGrant', 'frameMeasured'],
            f,
          ),
        ),
    },
    {
      name: 'root: pages',
      kind: 'page',
      metadata: true,
      body: (p, gpa) => implies(root, sameAt(s, t, ['mapFrame'], p, gpa)),
    },
    {
      name: 'root: grants',
      kind: 'slot',
      metadata: true,
      body: (p, g) =>
        implies(
          root,
          sameAt(
            s,
            t,
            ['grantState', 'grantEpoch', 'grantKind', 'grantFrame', 'grantTo', 'grantToEpoch', 'grantPerm', 'grantGpa'],
            p,
            g,
          ),
        ),
    },
    {
      name: 'root: channels, without events and masks',
      kind: 'end',
      metadata: true,
      body: (p, c) =>
        implies(
          root,
          sameAt(s, t, ['channelState', 'channelEpoch', 'channelPeer', 'channelPeerEpoch', 'channelPeerEnd'], p, c),
        ),
    },
    {
      name: 'root: devices',
      kind: 'device',
      metadata: true,
      body: (d) => implies(root, sameAt(s, t, ['deviceState', 'deviceOwner', 'deviceEpoch'], d)),
    },
  ];
};

/** One allowed flow: the call in state s, if it is not refused, shows partition u something. */
export interface Flow {
  readonly why: string;
  readonly to: (s: State, u: Term, p: Term, ...args: Term[]) => Term;
}

const offered: Flow = {
  why: 'an offer is meant for its recipient, which sees the grant and the content of the frame',
  to: (_s, u, _p, _g, _f, q) => eq(q as Term, u),
};
const answered: Flow = {
  why: 'a giver learns that its grant was accepted or given back, not where it was mapped',
  to: (_s, u, _p, from) => eq(from as Term, u),
};
const toPeer = (s: State, u: Term, p: Term, c: Term): Term => eq(at(s, 'channelPeer', p, c), u);
/** What slot (p, g) holds is for u as it is now. */
const granted = (s: State, u: Term, p: Term, g: Term): Term =>
  and(eq(at(s, 'grantTo', p, g), u), eq(at(s, 'grantToEpoch', p, g), epoch(s, u)));
/** A write reached frame f: its owner sees it, and whom the frame is granted to. */
const written = (s: State, u: Term, f: Term): Term => {
  const [owner, g] = slotOf(s, f) as [Term, Term];
  return or(eq(owner, u), and(ne(at(s, 'frameGrant', f), u32(0)), granted(s, u, owner, g)));
};

/** Name of the call -> its flow. A call that is not named here has none, and a call that is refused has none. */
export const FLOWS: Readonly<Record<string, Flow>> = {
  grantOffer: offered,
  grantLend: offered,
  frameDonate: offered,
  grantAccept: answered,
  grantRelease: answered,
  grantRevoke: {
    why: 'the recipient loses the grant, at once',
    to: (s, u, p, g) => granted(s, u, p, g as Term),
  },
  channelSignal: {
    why: 'the event is for the peer; one that is pending already is no other',
    to: (s, u, p, c) => and(toPeer(s, u, p, c as Term), is(s, 'channelPending', peerOf(s, p, c as Term), 0)),
  },
  channelClose: {
    why: 'the peer learns that the channel is gone',
    to: (s, u, p, c) => toPeer(s, u, p, c as Term),
  },
  memoryWrite: {
    why: 'memory that is shared is seen by those who share it',
    to: (s, u, p, gpa) => written(s, u, mapped(s, p, gpa as Term)),
  },
  deviceWrite: {
    why: 'a device writes for its owner, into what its owner shares',
    to: (s, u, p, _d, gpa) => written(s, u, mapped(s, p, gpa as Term)),
  },
};

/** The call may show u something: it is not refused, and u is whom it is for. */
export const flow = (name: string, s: State, u: Term, args: readonly Term[]): Term => {
  const to = FLOWS[name]?.to(s, u, ...(args as [Term, ...Term[]]));
  return to === undefined ? FALSE : and(lt(specify(name, s, args).result, u32(K.ERROR_BASE)), to);
};

/**
 * The call carries content of the caller to u. By its arguments alone: a frame is offered to u. All other flows tell u
 * that a call was made, and nothing that only the caller knows (theorem CON).
 */
export const carries = (name: string, u: Term, args: readonly Term[]): Term =>
  CARRYING.has(name) ? eq(args[3] as Term, u) : FALSE;
const CARRYING = new Set(['grantOffer', 'grantLend', 'frameDonate']);
