/** Life-cycle of partitions: FREE -> INIT -> SEALED -> RUNNING <-> PAUSED -> STOPPED -> FREE with the next epoch. */
import {
  EPOCH_MAX,
  FLAG_DEBUG,
  KIND_STANDARD,
  KIND_TRUSTED,
  OK,
  P_FREE,
  P_INIT,
  P_PAUSED,
  P_RUNNING,
  P_SEALED,
  P_STOPPED,
  PARTITIONS,
  ROOT,
} from './constants.ts';
import * as E from './errors.ts';
import { alive, running } from './rules.ts';
import {
  bootLocked,
  partitionBind0,
  partitionBind1,
  partitionEpoch,
  partitionFlags,
  partitionKind,
  partitionState,
} from './state.ts';

/** Begin partition q. Root only; a partition to be debugged only before the boot lock. */
export function partitionCreate(p: number, q: number, kind: number, flags: number): number {
  if (p !== ROOT) return E.DENIED;
  if (q >= PARTITIONS || flags > FLAG_DEBUG) return E.RANGE;
  if (kind !== KIND_STANDARD && kind !== KIND_TRUSTED) return E.RANGE;
  if (partitionState[q]! !== P_FREE) return E.STATE;
  if (flags === FLAG_DEBUG && bootLocked[0]! !== 0) return E.LOCKED;
  partitionState[q] = P_INIT;
  partitionKind[q] = kind;
  partitionFlags[q] = flags;
  partitionBind0[q] = 0;
  partitionBind1[q] = 0;
  return OK;
}

/** End the building of partition q: from here on root can neither add frames nor change them. */
export function partitionSeal(p: number, q: number): number {
  if (p !== ROOT) return E.DENIED;
  if (q >= PARTITIONS) return E.RANGE;
  if (partitionState[q]! !== P_INIT) return E.STATE;
  partitionState[q] = P_SEALED;
  return OK;
}

/** Start partition q, or let it continue. */
export function partitionRun(p: number, q: number): number {
  if (p !== ROOT) return E.DENIED;
  if (q >= PARTITIONS) return E.RANGE;
  if (partitionState[q]! !== P_SEALED && partitionState[q]! !== P_PAUSED) return E.STATE;
  partitionState[q] = P_RUNNING;
  return OK;
}

/** Halt partition q until the next partitionRun. Root itself never pauses. */
export function partitionPause(p: number, q: number): number {
  if (p !== ROOT) return E.DENIED;
  if (q >= PARTITIONS || q === ROOT) return E.RANGE;
  if (partitionState[q]! !== P_RUNNING) return E.STATE;
  partitionState[q] = P_PAUSED;
  return OK;
}

/** The caller has nothing to do. Scheduling is root's: no state changes, so yielding signals nothing to anyone else. */
export function partitionYield(p: number): number {
  if (!running(p)) return E.CALLER;
  return OK;
}

/** Stop partition q for good. */
export function partitionStop(p: number, q: number): number {
  if (p !== ROOT) return E.DENIED;
  if (q >= PARTITIONS || q === ROOT) return E.RANGE;
  if (partitionState[q]! !== P_INIT && partitionState[q]! !== P_SEALED && !alive(q)) return E.STATE;
  partitionState[q] = P_STOPPED;
  return OK;
}

/** Free the id of a stopped partition. Its frames, grants, channel ends and devices go stale with its epoch. */
export function partitionDestroy(p: number, q: number): number {
  if (p !== ROOT) return E.DENIED;
  if (q >= PARTITIONS) return E.RANGE;
  if (partitionState[q]! !== P_STOPPED) return E.STATE;
  if (partitionEpoch[q]! >= EPOCH_MAX) return E.EXHAUSTED;
  partitionState[q] = P_FREE;
  partitionEpoch[q] = partitionEpoch[q]! + 1;
  return OK;
}
