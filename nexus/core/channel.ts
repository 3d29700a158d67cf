/** Channels: pairs of event ends, one bit pending at each. */
import { C_CLOSED, C_OPEN, CHANNELS, OK, PARTITIONS, ROOT } from './constants.ts';
import * as E from './errors.ts';
import { alive, running } from './rules.ts';
import {
  channelEpoch,
  channelMasked,
  channelPeer,
  channelPeerEnd,
  channelPeerEpoch,
  channelPending,
  channelState,
  partitionEpoch,
} from './state.ts';

/** End c of partition p is open and its peer is there. */
function linked(p: number, c: number): boolean {
  return (
    channelState[p * CHANNELS + c]! === C_OPEN &&
    channelEpoch[p * CHANNELS + c]! === partitionEpoch[p]! &&
    channelPeerEpoch[p * CHANNELS + c]! === partitionEpoch[channelPeer[p * CHANNELS + c]!]!
  );
}

/** Connect end c of partition a with end d of partition q. Root only. */
export function channelOpen(p: number, a: number, c: number, q: number, d: number): number {
  if (p !== ROOT) return E.DENIED;
  if (a >= PARTITIONS || c >= CHANNELS || q >= PARTITIONS || d >= CHANNELS || a === q) return E.RANGE;
  if (!alive(a) || !alive(q)) return E.STATE;
  if (linked(a, c) || linked(q, d)) return E.BUSY;
  channelState[a * CHANNELS + c] = C_OPEN;
  channelEpoch[a * CHANNELS + c] = partitionEpoch[a]!;
  channelPeer[a * CHANNELS + c] = q;
  channelPeerEpoch[a * CHANNELS + c] = partitionEpoch[q]!;
  channelPeerEnd[a * CHANNELS + c] = d;
  channelPending[a * CHANNELS + c] = 0;
  channelMasked[a * CHANNELS + c] = 0;
  channelState[q * CHANNELS + d] = C_OPEN;
  channelEpoch[q * CHANNELS + d] = partitionEpoch[q]!;
  channelPeer[q * CHANNELS + d] = a;
  channelPeerEpoch[q * CHANNELS + d] = partitionEpoch[a]!;
  channelPeerEnd[q * CHANNELS + d] = c;
  channelPending[q * CHANNELS + d] = 0;
  channelMasked[q * CHANNELS + d] = 0;
  return OK;
}

/** Set the event at the other end of c. Whether the peer masks it does not show. */
export function channelSignal(p: number, c: number): number {
  if (!running(p)) return E.CALLER;
  if (c >= CHANNELS) return E.RANGE;
  if (!linked(p, c)) return E.CLOSED;
  channelPending[channelPeer[p * CHANNELS + c]! * CHANNELS + channelPeerEnd[p * CHANNELS + c]!] = 1;
  return OK;
}

/** Take the event at end c: 1 if there was one, else 0. */
export function channelTake(p: number, c: number): number {
  if (!running(p)) return E.CALLER;
  if (c >= CHANNELS) return E.RANGE;
  if (!linked(p, c)) return E.CLOSED;
  const pending = channelPending[p * CHANNELS + c]!;
  channelPending[p * CHANNELS + c] = 0;
  return pending;
}

/** Say whether an event at end c should wake the caller. */
export function channelMask(p: number, c: number, masked: number): number {
  if (!running(p)) return E.CALLER;
  if (c >= CHANNELS || masked > 1) return E.RANGE;
  if (!linked(p, c)) return E.CLOSED;
  channelMasked[p * CHANNELS + c] = masked;
  return OK;
}

/** Close both ends of the channel that ends at c. */
export function channelClose(p: number, c: number): number {
  if (!running(p)) return E.CALLER;
  if (c >= CHANNELS) return E.RANGE;
  if (!linked(p, c)) return E.CLOSED;
  channelState[p * CHANNELS + c] = C_CLOSED;
  channelState[channelPeer[p * CHANNELS + c]! * CHANNELS + channelPeerEnd[p * CHANNELS + c]!] = C_CLOSED;
  return OK;
}
