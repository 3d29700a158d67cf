/** The memory rule (contract A1): what an engine asks before a guest's or a device's access reaches memory. */
import {
  D_ASSIGNED,
  DEVICES,
  E_DENIED,
  E_PERMISSION,
  E_RANGE,
  E_STATE,
  E_UNMAPPED,
  GPA_PAGES,
  GRANTS,
  PARTITIONS,
} from './constants.ts';
import { alive, borrows, lentAway, owns, permission, within } from './rules.ts';
import {
  deviceEpoch,
  deviceOwner,
  deviceState,
  frameGpa,
  frameGrant,
  frameOwner,
  framePerm,
  grantPerm,
  mapFrame,
  partitionEpoch,
} from './state.ts';

/** The frame that partition p reaches at page gpa with permission `need`, or why it reaches none. */
export function accessFrame(p: number, gpa: number, need: number): number {
  if (p >= PARTITIONS || gpa >= GPA_PAGES) return E_RANGE;
  if (!permission(need)) return E_RANGE;
  if (!alive(p)) return E_STATE;
  if (mapFrame[p * GPA_PAGES + gpa]! === 0) return E_UNMAPPED;
  const f = mapFrame[p * GPA_PAGES + gpa]! - 1;
  if (owns(p, f)) {
    if (frameGpa[f]! !== gpa) return E_UNMAPPED;
    if (lentAway(p, f)) return E_DENIED;
    if (!within(need, framePerm[f]!)) return E_PERMISSION;
    return f;
  }
  if (!borrows(p, f, gpa)) return E_UNMAPPED;
  if (!within(need, grantPerm[frameOwner[f]! * GRANTS + (frameGrant[f]! - 1)]!)) return E_PERMISSION;
  return f;
}

/** The same question for the DMA of device d: it reaches what its owner reaches. */
export function accessDevice(d: number, gpa: number, need: number): number {
  if (d >= DEVICES) return E_RANGE;
  if (deviceState[d]! !== D_ASSIGNED || deviceEpoch[d]! !== partitionEpoch[deviceOwner[d]!]!) return E_STATE;
  return accessFrame(deviceOwner[d]!, gpa, need);
}
