/** Frames: assigned and measured while a partition is built, reduced and given back by their owner, scrubbed by root. */
import {
  F_DIRTY,
  F_FREE,
  F_USED,
  FRAMES,
  GPA_PAGES,
  KIND_STANDARD,
  OK,
  P_INIT,
  PARTITIONS,
  ROOT,
} from './constants.ts';
import * as E from './errors.ts';
import { occupied, owns, permission, running, within } from './rules.ts';
import {
  frameEpoch,
  frameGpa,
  frameGrant,
  frameMeasured,
  frameOwner,
  framePerm,
  frameState,
  mapFrame,
  partitionEpoch,
  partitionKind,
  partitionState,
} from './state.ts';

/** Give the free, zero frame f to partition q, which is being built, at page gpa. */
export function frameAssign(p: number, f: number, q: number, gpa: number, perm: number): number {
  if (p !== ROOT) return E.DENIED;
  if (f >= FRAMES || q >= PARTITIONS || gpa >= GPA_PAGES) return E.RANGE;
  if (!permission(perm)) return E.RANGE;
  if (partitionState[q]! !== P_INIT) return E.STATE;
  if (frameState[f]! !== F_FREE) return E.BUSY;
  if (occupied(q, gpa)) return E.MAPPED;
  frameState[f] = F_USED;
  frameOwner[f] = q;
  frameEpoch[f] = partitionEpoch[q]!;
  frameGpa[f] = gpa;
  framePerm[f] = perm;
  mapFrame[q * GPA_PAGES + gpa] = f + 1;
  return OK;
}

/** The initial content of frame f is in its owner's launch measurement. Once for each frame, before the seal. */
export function frameMeasure(p: number, f: number): number {
  if (p !== ROOT) return E.DENIED;
  if (f >= FRAMES) return E.RANGE;
  const q = frameOwner[f]!;
  if (!owns(q, f)) return E.OWNER;
  if (partitionState[q]! !== P_INIT) return E.STATE;
  if (frameMeasured[f]! !== 0) return E.BUSY;
  frameMeasured[f] = 1;
  return OK;
}

/** Query: root may write unmeasured initial content to frame f, because its owner is standard and being built. */
export function frameLoadable(p: number, f: number): number {
  if (p !== ROOT) return E.DENIED;
  if (f >= FRAMES) return E.RANGE;
  const q = frameOwner[f]!;
  if (!owns(q, f)) return E.OWNER;
  if (partitionState[q]! !== P_INIT) return E.STATE;
  if (partitionKind[q]! !== KIND_STANDARD) return E.DENIED;
  return f;
}

/** Reduce the caller's permission on its own frame f. A frame with a grant keeps its permission. */
export function frameProtect(p: number, f: number, perm: number): number {
  if (!running(p)) return E.CALLER;
  if (f >= FRAMES) return E.RANGE;
  if (!permission(perm)) return E.RANGE;
  if (!owns(p, f)) return E.OWNER;
  if (frameGrant[f]! !== 0) return E.BUSY;
  if (!within(perm, framePerm[f]!)) return E.PERMISSION;
  framePerm[f] = perm;
  return OK;
}

/** Give frame f back. Nobody reaches it any more; it is free again after its scrub. */
export function frameRelease(p: number, f: number): number {
  if (!running(p)) return E.CALLER;
  if (f >= FRAMES) return E.RANGE;
  if (!owns(p, f)) return E.OWNER;
  if (frameGrant[f]! !== 0) return E.BUSY;
  frameState[f] = F_DIRTY;
  return OK;
}

/** Make free a frame that nobody owns: given back, or of a destroyed owner. The engine zeroes it (contract A2). */
export function frameScrub(p: number, f: number): number {
  if (p !== ROOT) return E.DENIED;
  if (f >= FRAMES) return E.RANGE;
  if (frameState[f]! === F_FREE) return E.STATE;
  if (owns(frameOwner[f]!, f)) return E.BUSY;
  frameState[f] = F_FREE;
  frameGrant[f] = 0;
  frameMeasured[f] = 0;
  return OK;
}
