/**
 * Grants, after FF-A's memory sharing: an owner offers a frame through one of its own slots, the recipient accepts it
 * at a page of its own choice. The owner picks the slot, the recipient the page: neither learns what the other uses.
 */
import {
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
  PARTITIONS,
} from './constants.ts';
import * as E from './errors.ts';
import { alive, grantedTo, lentAway, occupied, owns, permission, running, within } from './rules.ts';
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
} from './state.ts';

/** Grant slot g of partition p holds a grant. */
function granting(p: number, g: number): boolean {
  return grantState[p * GRANTS + g]! !== G_FREE && grantEpoch[p * GRANTS + g]! === partitionEpoch[p]!;
}

function offer(p: number, g: number, f: number, q: number, perm: number, kind: number): number {
  if (!running(p)) return E.CALLER;
  if (g >= GRANTS || f >= FRAMES || q >= PARTITIONS || q === p) return E.RANGE;
  if (!permission(perm)) return E.RANGE;
  if (!alive(q)) return E.STATE;
  if (!owns(p, f)) return E.OWNER;
  if (frameGrant[f]! !== 0) return E.BUSY;
  if (granting(p, g)) return E.GRANT;
  if (!within(perm, framePerm[f]!)) return E.PERMISSION;
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
  if (!running(p)) return E.CALLER;
  if (from >= PARTITIONS || g >= GRANTS || gpa >= GPA_PAGES) return E.RANGE;
  if (!grantedTo(p, from, g, G_OFFERED)) return E.GRANT;
  if (occupied(p, gpa)) return E.MAPPED;
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
  if (!running(p)) return E.CALLER;
  if (from >= PARTITIONS || g >= GRANTS) return E.RANGE;
  if (!grantedTo(p, from, g, G_MAPPED)) return E.GRANT;
  grantState[from * GRANTS + g] = G_OFFERED;
  return OK;
}

/** End the caller's grant in slot g: in force at once, but a loan that is out must first come back. */
export function grantRevoke(p: number, g: number): number {
  if (!running(p)) return E.CALLER;
  if (g >= GRANTS) return E.RANGE;
  if (!granting(p, g)) return E.GRANT;
  const f = grantFrame[p * GRANTS + g]!;
  if (lentAway(p, f)) return E.BUSY;
  grantState[p * GRANTS + g] = G_FREE;
  frameGrant[f] = 0;
  return OK;
}
