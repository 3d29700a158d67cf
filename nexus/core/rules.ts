/** The questions that calls ask of the state, arguments in range; last, the memory rule that engines ask. All pure. */
import {
  F_USED,
  G_MAPPED,
  GPA_PAGES,
  GRANT_LEND,
  GRANTS,
  P_PAUSED,
  P_RUNNING,
  PARTITIONS,
  PERM_READ,
  PERM_READ_WRITE,
} from './constants.ts';
import * as E from './errors.ts';
import {
  frameEpoch,
  frameGpa,
  frameGrant,
  frameOwner,
  framePerm,
  frameState,
  grantEpoch,
  grantGpa,
  grantKind,
  grantPerm,
  grantState,
  grantTo,
  grantToEpoch,
  mapFrame,
  partitionEpoch,
  partitionState,
} from './state.ts';

/** Partition p may make calls. */
export function running(p: number): boolean {
  return partitionState[p]! === P_RUNNING;
}

/** Partition q has been started and not stopped. */
export function alive(q: number): boolean {
  return running(q) || partitionState[q]! === P_PAUSED;
}

/** Frame f belongs to partition p as it is now. */
export function owns(p: number, f: number): boolean {
  return frameState[f]! === F_USED && frameOwner[f]! === p && frameEpoch[f]! === partitionEpoch[p]!;
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

/** A permission that memory can have. */
export function permission(perm: number): boolean {
  return perm === PERM_READ || perm === PERM_READ_WRITE;
}

/** Permission `part` is contained in `whole`. */
export function within(part: number, whole: number): boolean {
  return part === whole || (part === PERM_READ && whole === PERM_READ_WRITE);
}

/**
 * The memory rule (contract A1), asked before a guest's access reaches memory: the frame that partition p reaches at page
 * gpa with permission `need`, or why it reaches none.
 */
export function accessFrame(p: number, gpa: number, need: number): number {
  if (p >= PARTITIONS || gpa >= GPA_PAGES) return E.RANGE;
  if (!permission(need)) return E.RANGE;
  if (!alive(p)) return E.STATE;
  if (!occupied(p, gpa)) return E.UNMAPPED;
  const f = mapFrame[p * GPA_PAGES + gpa]! - 1;
  if (owns(p, f)) {
    if (lentAway(p, f)) return E.DENIED;
    if (!within(need, framePerm[f]!)) return E.PERMISSION;
    return f;
  }
  if (!within(need, grantPerm[frameOwner[f]! * GRANTS + (frameGrant[f]! - 1)]!)) return E.PERMISSION;
  return f;
}
