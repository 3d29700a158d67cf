/**
 * The core's invariants, checked on its state at run time, written against the documentation and not against the
 * core's own rules. Gives one line per violation.
 */
import {
  C_OPEN,
  CHANNELS,
  F_FREE,
  F_USED,
  FRAMES,
  G_FREE,
  GPA_PAGES,
  GRANTS,
  PARTITIONS,
  state,
} from 'nexus-tcb/nexus/core';

const at = (array: Uint32Array, index: number) => array[index] ?? Number.NaN;

export function violations(): string[] {
  return [...frameViolations(), ...grantViolations(), ...channelViolations()];
}

/** A used frame's owner is as it was, or gone; where it lives, the owner's map leads to this frame and no other. */
function owner(frame: number): number | undefined {
  if (at(state.frameState, frame) !== F_USED) return undefined;
  const p = at(state.frameOwner, frame);
  return at(state.frameEpoch, frame) === at(state.partitionEpoch, p) ? p : undefined;
}

function frameViolations(): string[] {
  const found: string[] = [];
  const places = new Map<number, number>();
  for (let f = 0; f < FRAMES; f++) {
    if (at(state.frameState, f) === F_FREE) {
      if (at(state.frameGrant, f) !== 0) found.push(`free frame ${f} has a grant`);
      continue;
    }
    const p = owner(f);
    if (p === undefined) continue;
    const place = p * GPA_PAGES + at(state.frameGpa, f);
    if (places.has(place)) found.push(`frames ${places.get(place)} and ${f} stand at one page of partition ${p}`);
    places.set(place, f);
    const slot = at(state.frameGrant, f) - 1;
    if (slot < 0) continue;
    const grant = p * GRANTS + slot;
    if (at(state.grantState, grant) === G_FREE || at(state.grantFrame, grant) !== f) {
      found.push(`frame ${f} names grant ${slot} of partition ${p}, which is not its own`);
    }
  }
  return found;
}

function grantViolations(): string[] {
  const found: string[] = [];
  for (let p = 0; p < PARTITIONS; p++) {
    for (let g = 0; g < GRANTS; g++) {
      const grant = p * GRANTS + g;
      const stale = at(state.grantEpoch, grant) !== at(state.partitionEpoch, p);
      if (at(state.grantState, grant) === G_FREE || stale) continue;
      const f = at(state.grantFrame, grant);
      if (owner(f) !== p) found.push(`grant ${g} of partition ${p} is over frame ${f}, which is not its own`);
      if (at(state.frameGrant, f) !== g + 1) found.push(`frame ${f} does not know grant ${g} of partition ${p}`);
    }
  }
  return found;
}

function channelViolations(): string[] {
  const found: string[] = [];
  for (let p = 0; p < PARTITIONS; p++) {
    for (let c = 0; c < CHANNELS; c++) {
      const end = p * CHANNELS + c;
      const peer = at(state.channelPeer, end);
      const live =
        at(state.channelState, end) === C_OPEN &&
        at(state.channelEpoch, end) === at(state.partitionEpoch, p) &&
        at(state.channelPeerEpoch, end) === at(state.partitionEpoch, peer);
      if (!live) continue;
      const other = peer * CHANNELS + at(state.channelPeerEnd, end);
      const mutual = at(state.channelPeer, other) === p && at(state.channelPeerEnd, other) === c;
      if (!mutual) found.push(`channel end ${c} of partition ${p} points where nothing points back`);
    }
  }
  return found;
}
