/**
 * The state of the core: fixed arrays, written by the calls of this folder only. Untouched pages of the large ones
 * cost no memory. Ownership is "owner = p and epoch = the epoch of p", so destroying a partition takes one assignment
 * and everything that bore its epoch is stale at once. Reads carry a `!`: theorem BND proves every index in range.
 */
import { CHANNELS, COUNTERS, DEVICES, FRAMES, GPA_PAGES, GRANTS, PARTITIONS } from './constants.ts';

export const partitionState = new Uint32Array(PARTITIONS);
export const partitionEpoch = new Uint32Array(PARTITIONS);
export const partitionKind = new Uint32Array(PARTITIONS);
export const partitionFlags = new Uint32Array(PARTITIONS);
/** Two words of the partition's own that its report carries. */
export const partitionBind0 = new Uint32Array(PARTITIONS);
export const partitionBind1 = new Uint32Array(PARTITIONS);

export const frameState = new Uint32Array(FRAMES);
export const frameOwner = new Uint32Array(FRAMES);
export const frameEpoch = new Uint32Array(FRAMES);
export const frameGpa = new Uint32Array(FRAMES);
export const framePerm = new Uint32Array(FRAMES);
/** 0, or 1 + the owner's grant slot that shares the frame. */
export const frameGrant = new Uint32Array(FRAMES);
/** 1 once the frame's initial content is part of the launch measurement. */
export const frameMeasured = new Uint32Array(FRAMES);

/** What stands at (partition, gpa): 0, or 1 + frame. A hint that the frame or its grant must confirm. */
export const mapFrame = new Uint32Array(PARTITIONS * GPA_PAGES);

/** Grant slots by (owner, slot). `grantEpoch` is the owner's epoch: a slot of an earlier one counts as free. */
export const grantState = new Uint32Array(PARTITIONS * GRANTS);
export const grantEpoch = new Uint32Array(PARTITIONS * GRANTS);
export const grantKind = new Uint32Array(PARTITIONS * GRANTS);
export const grantFrame = new Uint32Array(PARTITIONS * GRANTS);
export const grantTo = new Uint32Array(PARTITIONS * GRANTS);
export const grantToEpoch = new Uint32Array(PARTITIONS * GRANTS);
export const grantPerm = new Uint32Array(PARTITIONS * GRANTS);
export const grantGpa = new Uint32Array(PARTITIONS * GRANTS);

/** Channel ends by (partition, end). An end whose own or whose peer's epoch has passed counts as closed. */
export const channelState = new Uint32Array(PARTITIONS * CHANNELS);
export const channelEpoch = new Uint32Array(PARTITIONS * CHANNELS);
export const channelPeer = new Uint32Array(PARTITIONS * CHANNELS);
export const channelPeerEpoch = new Uint32Array(PARTITIONS * CHANNELS);
export const channelPeerEnd = new Uint32Array(PARTITIONS * CHANNELS);
export const channelPending = new Uint32Array(PARTITIONS * CHANNELS);
export const channelMasked = new Uint32Array(PARTITIONS * CHANNELS);

export const deviceState = new Uint32Array(DEVICES);
export const deviceOwner = new Uint32Array(DEVICES);
export const deviceEpoch = new Uint32Array(DEVICES);

/** Monotonic counters by (partition, counter). */
export const counterValue = new Uint32Array(PARTITIONS * COUNTERS);

/** One cell: 1 after bootLock, for good. */
export const bootLocked = new Uint32Array(1);
