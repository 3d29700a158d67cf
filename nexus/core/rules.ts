/** The questions that calls ask of the state. Pure; every argument in range. */
import {
  C_OPEN,
  CHANNELS,
  F_USED,
  G_FREE,
  G_MAPPED,
  GPA_PAGES,
  GRANT_LEND,
  GRANTS,
  P_PAUSED,
  P_RUNNING,
  PERM_READ,
  PERM_READ_WRITE,
} from './constants.ts';
import {
  channelEpoch,
  channelPeer,
  channelPeerEpoch,
  channelState,
  frameEpoch,
  frameGpa,
  frameGrant,
  frameOwner,
  frameState,
  grantEpoch,
  grantGpa,
  grantKind,
  grantState,
  grantTo,
  grantToEpoch,
  mapFrame,
  partitionEpoch,
  partitionState,
} from './state.ts';

/** Partition q has been started and not stopped. */
export function alive(q: number): boolean {
  return partitionState[q]! === P_RUNNING || partitionState[q]! === P_PAUSED;
}

/** Frame f belongs to partition p as it is now. */
export function owns(p: number, f: number): boolean {
  return frameState[f]! === F_USED && frameOwner[f]! === p && frameEpoch[f]! === partitionEpoch[p]!;
}

/** Grant slot g of partition p holds a grant. */
export function granting(p: number, g: number): boolean {
  return grantState[p * GRANTS + g]! !== G_FREE && grantEpoch[p * GRANTS + g]! === partitionEpoch[p]!;
}

/** Grant slot g of `from` is in `state` and for partition p as it is now. */
export function grantedTo(p: number, from: number, g: number, state: number): boolean {
  return (
    grantState[from * GRANTS + g]! === state &&
    grantEpoch[from * GRANTS + g]! === partitionEpoch[from]! &&
    grantTo[from * GRANTS + g]! === p &&
    grantToEpoch[from * GRANTS + g]! === partitionEpoch[p]!
  );
}

/** Partition p has frame f of another partition mapped at gpa. */
export function borrows(p: number, f: number, gpa: number): boolean {
  const from = frameOwner[f]!;
  if (!owns(from, f)) return false;
  if (frameGrant[f]! === 0) return false;
  const g = frameGrant[f]! - 1;
  return grantedTo(p, from, g, G_MAPPED) && grantGpa[from * GRANTS + g]! === gpa;
}

/** Something stands at guest-physical page gpa of partition p. */
export function occupied(p: number, gpa: number): boolean {
  if (mapFrame[p * GPA_PAGES + gpa]! === 0) return false;
  const f = mapFrame[p * GPA_PAGES + gpa]! - 1;
  if (owns(p, f)) return frameGpa[f]! === gpa;
  return borrows(p, f, gpa);
}

/** The owner p of frame f has lent it to a partition that still lives and has accepted it. */
export function lentAway(p: number, f: number): boolean {
  if (frameGrant[f]! === 0) return false;
  const g = frameGrant[f]! - 1;
  return (
    grantState[p * GRANTS + g]! === G_MAPPED &&
    grantKind[p * GRANTS + g]! === GRANT_LEND &&
    grantToEpoch[p * GRANTS + g]! === partitionEpoch[grantTo[p * GRANTS + g]!]!
  );
}

/** End c of partition p is open and its peer is there. */
export function linked(p: number, c: number): boolean {
  return (
    channelState[p * CHANNELS + c]! === C_OPEN &&
    channelEpoch[p * CHANNELS + c]! === partitionEpoch[p]! &&
    channelPeerEpoch[p * CHANNELS + c]! === partitionEpoch[channelPeer[p * CHANNELS + c]!]!
  );
}

/** A permission that memory can have. */
export function permission(perm: number): boolean {
  return perm === PERM_READ || perm === PERM_READ_WRITE;
}

/** Permission `part` is contained in `whole`. */
export function within(part: number, whole: number): boolean {
  return part === whole || (part === PERM_READ && whole === PERM_READ_WRITE);
}
