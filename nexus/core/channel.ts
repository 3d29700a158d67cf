/** Channels: pairs of event ends, one bit pending at each. */
import {
  C_CLOSED,
  C_OPEN,
  CHANNELS,
  E_BUSY,
  E_CALLER,
  E_CLOSED,
  E_DENIED,
  E_RANGE,
  E_STATE,
  OK,
  P_RUNNING,
  PARTITIONS,
  ROOT,
} from './constants.ts';
import { alive, linked } from './rules.ts';
import {
  channelEpoch,
  channelMasked,
  channelPeer,
  channelPeerEnd,
  channelPeerEpoch,
  channelPending,
  channelState,
  partitionEpoch,
  partitionState,
} from './state.ts';

/** Connect end c of partition a with end d of partition q. Root only. */
export function channelOpen(p: number, a: number, c: number, q: number, d: number): number {
  if (p !== ROOT) return E_DENIED;
  if (a >= PARTITIONS || c >= CHANNELS || q >= PARTITIONS || d >= CHANNELS || a === q) return E_RANGE;
  if (!alive(a) || !alive(q)) return E_STATE;
  if (linked(a, c) || linked(q, d)) return E_BUSY;
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
  if (partitionState[p]! !== P_RUNNING) return E_CALLER;
  if (c >= CHANNELS) return E_RANGE;
  if (!linked(p, c)) return E_CLOSED;
  channelPending[channelPeer[p * CHANNELS + c]! * CHANNELS + channelPeerEnd[p * CHANNELS + c]!] = 1;
  return OK;
}

/** Take the event at end c: 1 if there was one, else 0. */
export function channelTake(p: number, c: number): number {
  if (partitionState[p]! !== P_RUNNING) return E_CALLER;
  if (c >= CHANNELS) return E_RANGE;
  if (!linked(p, c)) return E_CLOSED;
  const pending = channelPending[p * CHANNELS + c]!;
  channelPending[p * CHANNELS + c] = 0;
  return pending;
}

/** Say whether an event at end c should wake the caller. */
export function channelMask(p: number, c: number, masked: number): number {
  if (partitionState[p]! !== P_RUNNING) return E_CALLER;
  if (c >= CHANNELS || masked > 1) return E_RANGE;
  if (!linked(p, c)) return E_CLOSED;
  channelMasked[p * CHANNELS + c] = masked;
  return OK;
}

/** Close both ends of the channel that ends at c. */
export function channelClose(p: number, c: number): number {
  if (partitionState[p]! !== P_RUNNING) return E_CALLER;
  if (c >= CHANNELS) return E_RANGE;
  if (!linked(p, c)) return E_CLOSED;
  channelState[p * CHANNELS + c] = C_CLOSED;
  channelState[channelPeer[p * CHANNELS + c]! * CHANNELS + channelPeerEnd[p * CHANNELS + c]!] = C_CLOSED;
  return OK;
}
