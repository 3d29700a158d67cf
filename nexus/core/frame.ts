/** Frames: assigned and measured while a partition is built, reduced and given back by their owner, scrubbed by root. */
import {
  E_BUSY,
  E_CALLER,
  E_DENIED,
  E_MAPPED,
  E_OWNER,
  E_PERMISSION,
  E_RANGE,
  E_STATE,
  F_DIRTY,
  F_FREE,
  F_USED,
  FRAMES,
  GPA_PAGES,
  KIND_STANDARD,
  OK,
  P_INIT,
  P_RUNNING,
  PARTITIONS,
  ROOT,
} from './constants.ts';
import { occupied, owns, permission, within } from './rules.ts';
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
  if (p !== ROOT) return E_DENIED;
  if (f >= FRAMES || q >= PARTITIONS || gpa >= GPA_PAGES) return E_RANGE;
  if (!permission(perm)) return E_RANGE;
  if (partitionState[q]! !== P_INIT) return E_STATE;
  if (frameState[f]! !== F_FREE) return E_BUSY;
  if (occupied(q, gpa)) return E_MAPPED;
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
  if (p !== ROOT) return E_DENIED;
  if (f >= FRAMES) return E_RANGE;
  const q = frameOwner[f]!;
  if (!owns(q, f)) return E_OWNER;
  if (partitionState[q]! !== P_INIT) return E_STATE;
  if (frameMeasured[f]! !== 0) return E_BUSY;
  frameMeasured[f] = 1;
  return OK;
}

/** Query: root may write unmeasured initial content to frame f, because its owner is standard and being built. */
export function frameLoadable(p: number, f: number): number {
  if (p !== ROOT) return E_DENIED;
  if (f >= FRAMES) return E_RANGE;
  const q = frameOwner[f]!;
  if (!owns(q, f)) return E_OWNER;
  if (partitionState[q]! !== P_INIT) return E_STATE;
  if (partitionKind[q]! !== KIND_STANDARD) return E_DENIED;
  return f;
}

/** Reduce the caller's permission on its own frame f. A frame with a grant keeps its permission. */
export function frameProtect(p: number, f: number, perm: number): number {
  if (partitionState[p]! !== P_RUNNING) return E_CALLER;
  if (f >= FRAMES) return E_RANGE;
  if (!permission(perm)) return E_RANGE;
  if (!owns(p, f)) return E_OWNER;
  if (frameGrant[f]! !== 0) return E_BUSY;
  if (!within(perm, framePerm[f]!)) return E_PERMISSION;
  framePerm[f] = perm;
  return OK;
}

/** Give frame f back. Nobody reaches it any more; it is free again after its scrub. */
export function frameRelease(p: number, f: number): number {
  if (partitionState[p]! !== P_RUNNING) return E_CALLER;
  if (f >= FRAMES) return E_RANGE;
  if (!owns(p, f)) return E_OWNER;
  if (frameGrant[f]! !== 0) return E_BUSY;
  frameState[f] = F_DIRTY;
  return OK;
}

/** Make free a frame that nobody owns: given back, or of a destroyed owner. The engine zeroes it (contract A2). */
export function frameScrub(p: number, f: number): number {
  if (p !== ROOT) return E_DENIED;
  if (f >= FRAMES) return E_RANGE;
  if (frameState[f]! === F_FREE) return E_STATE;
  if (owns(frameOwner[f]!, f)) return E_BUSY;
  frameState[f] = F_FREE;
  frameGrant[f] = 0;
  frameMeasured[f] = 0;
  return OK;
}
