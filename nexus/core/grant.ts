/**
 * Grants, after FF-A's memory sharing: an owner offers a frame through one of its own slots, the recipient accepts it
 * at a page of its own choice. The owner picks the slot, the recipient the page: neither learns what the other uses.
 */
import {
  E_BUSY,
  E_CALLER,
  E_GRANT,
  E_MAPPED,
  E_OWNER,
  E_PERMISSION,
  E_RANGE,
  E_STATE,
  FRAMES,
  G_FREE,
  G_MAPPED,
  G_OFFERED,
  GPA_PAGES,
  GRANT_DONATE,
  GRANT_LEND,
  GRANT_SHARE,
  GRANTS,
  OK,
  P_RUNNING,
  PARTITIONS,
} from './constants.ts';
import { alive, grantedTo, granting, lentAway, occupied, owns, permission, within } from './rules.ts';
import {
  frameEpoch,
  frameGpa,
  frameGrant,
  frameMeasured,
  frameOwner,
  framePerm,
  grantEpoch,
  grantFrame,
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

function offer(p: number, g: number, f: number, q: number, perm: number, kind: number): number {
  if (partitionState[p]! !== P_RUNNING) return E_CALLER;
  if (g >= GRANTS || f >= FRAMES || q >= PARTITIONS || q === p) return E_RANGE;
  if (!permission(perm)) return E_RANGE;
  if (!alive(q)) return E_STATE;
  if (!owns(p, f)) return E_OWNER;
  if (frameGrant[f]! !== 0) return E_BUSY;
  if (granting(p, g)) return E_GRANT;
  if (!within(perm, framePerm[f]!)) return E_PERMISSION;
  grantState[p * GRANTS + g] = G_OFFERED;
  grantEpoch[p * GRANTS + g] = partitionEpoch[p]!;
  grantKind[p * GRANTS + g] = kind;
  grantFrame[p * GRANTS + g] = f;
  grantTo[p * GRANTS + g] = q;
  grantToEpoch[p * GRANTS + g] = partitionEpoch[q]!;
  grantPerm[p * GRANTS + g] = perm;
  frameGrant[f] = g + 1;
  return OK;
}

/** Share frame f with partition q through slot g: both reach it, and the caller may end it at any moment. */
export function grantOffer(p: number, g: number, f: number, q: number, perm: number): number {
  return offer(p, g, f, q, perm, GRANT_SHARE);
}

/** Lend frame f to partition q through slot g: from its acceptance to its release q alone reaches it. */
export function grantLend(p: number, g: number, f: number, q: number, perm: number): number {
  return offer(p, g, f, q, perm, GRANT_LEND);
}

/** Offer frame f to partition q for good through slot g: it is q's, with its content, once q accepts. */
export function frameDonate(p: number, g: number, f: number, q: number, perm: number): number {
  return offer(p, g, f, q, perm, GRANT_DONATE);
}

/** Accept slot g of partition `from`, at page gpa of the caller. */
export function grantAccept(p: number, from: number, g: number, gpa: number): number {
  if (partitionState[p]! !== P_RUNNING) return E_CALLER;
  if (from >= PARTITIONS || g >= GRANTS || gpa >= GPA_PAGES) return E_RANGE;
  if (!grantedTo(p, from, g, G_OFFERED)) return E_GRANT;
  if (occupied(p, gpa)) return E_MAPPED;
  const f = grantFrame[from * GRANTS + g]!;
  mapFrame[p * GPA_PAGES + gpa] = f + 1;
  if (grantKind[from * GRANTS + g]! === GRANT_DONATE) {
    grantState[from * GRANTS + g] = G_FREE;
    frameOwner[f] = p;
    frameEpoch[f] = partitionEpoch[p]!;
    frameGpa[f] = gpa;
    framePerm[f] = grantPerm[from * GRANTS + g]!;
    frameGrant[f] = 0;
    frameMeasured[f] = 0;
    return OK;
  }
  grantState[from * GRANTS + g] = G_MAPPED;
  grantGpa[from * GRANTS + g] = gpa;
  return OK;
}

/** Give slot g of partition `from` back. It can be accepted again until its owner revokes it. */
export function grantRelease(p: number, from: number, g: number): number {
  if (partitionState[p]! !== P_RUNNING) return E_CALLER;
  if (from >= PARTITIONS || g >= GRANTS) return E_RANGE;
  if (!grantedTo(p, from, g, G_MAPPED)) return E_GRANT;
  grantState[from * GRANTS + g] = G_OFFERED;
  return OK;
}

/** End the caller's grant in slot g: in force at once, but a loan that is out must first come back. */
export function grantRevoke(p: number, g: number): number {
  if (partitionState[p]! !== P_RUNNING) return E_CALLER;
  if (g >= GRANTS) return E_RANGE;
  if (!granting(p, g)) return E_GRANT;
  const f = grantFrame[p * GRANTS + g]!;
  if (lentAway(p, f)) return E_BUSY;
  grantState[p * GRANTS + g] = G_FREE;
  frameGrant[f] = 0;
  return OK;
}
