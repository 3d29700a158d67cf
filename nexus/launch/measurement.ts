/**
 * The launch measurement of a partition, and its code identity. What is covered: every populated frame with its
 * address and permission, the size of memory (so that the rest is known to be zero), and the processor's entry state.
 */
import { createHash } from 'node:crypto';

export const FRAME_SIZE = 4096;
/** Bytes of a launch measurement and of a code identity (SHA-256). */
export const DIGEST_SIZE = 32;

const MEASUREMENT_LABEL = 'nexus-tcb launch measurement v1';
const IDENTITY_LABEL = 'nexus-tcb code identity v1';

/** A populated frame: its page number in guest-physical memory, PERM_* rights, and its 4096 bytes. */
export interface MeasuredFrame {
  readonly page: number;
  readonly permission: number;
  readonly content: Uint8Array;
}

/** What the processor starts with; absent registers are zero. */
export interface MeasuredEntry {
  readonly eip: number;
  readonly eax?: number;
  readonly ebx?: number;
  readonly esi?: number;
}

/**
 * SHA-256 chain: m0 = H(label); m = H(m || page || permission || H(content)) per frame in ascending page order; last
 * H(m || memory pages || eip || eax || ebx || esi). Integers are 32-bit little-endian. Throws RangeError when frames
 * are out of order or not 4096 bytes: the measurement would not say what it seems to.
 */
export function launchMeasurement(
  frames: readonly MeasuredFrame[],
  memoryPages: number,
  entry: MeasuredEntry,
): Uint8Array {
  let chain = createHash('sha256').update(MEASUREMENT_LABEL).digest();
  let previous = -1;
  for (const { page, permission, content } of frames) {
    if (page <= previous || page >= memoryPages) throw new RangeError(`frame at page ${page} is out of order or range`);
    if (content.length !== FRAME_SIZE) throw new RangeError(`frame at page ${page} has ${content.length} bytes`);
    previous = page;
    const contentDigest = createHash('sha256').update(content).digest();
    chain = createHash('sha256').update(chain).update(words(page, permission)).update(contentDigest).digest();
  }
  const state = words(memoryPages, entry.eip, entry.eax ?? 0, entry.ebx ?? 0, entry.esi ?? 0);
  return createHash('sha256').update(chain).update(state).digest();
}

/**
 * The code identity that sealing and reports name: H(label || launch measurement || H(manifest payload)). The payload
 * holds the signer's key digest; the signature itself is left out, so that re-signing the same manifest changes nothing.
 */
export function codeIdentity(measurement: Uint8Array, manifestPayload: Uint8Array): Uint8Array {
  const manifestDigest = createHash('sha256').update(manifestPayload).digest();
  return createHash('sha256').update(IDENTITY_LABEL).update(measurement).update(manifestDigest).digest();
}

/** Split loaded segments into the frames they populate, zero-padded, in ascending page order. */
export function populatedFrames(
  segments: readonly { readonly gpa: number; readonly bytes: Uint8Array }[],
  permission: number,
): MeasuredFrame[] {
  const pages = new Map<number, Uint8Array>();
  for (const { gpa, bytes } of segments) {
    for (let offset = 0; offset < bytes.length; ) {
      const page = Math.floor((gpa + offset) / FRAME_SIZE);
      const start = (gpa + offset) % FRAME_SIZE;
      const length = Math.min(FRAME_SIZE - start, bytes.length - offset);
      const content = pages.get(page) ?? new Uint8Array(FRAME_SIZE);
      pages.set(page, content);
      content.set(bytes.subarray(offset, offset + length), start);
      offset += length;
    }
  }
  return [...pages.entries()].sort(([a], [b]) => a - b).map(([page, content]) => ({ page, permission, content }));
}

function words(...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  const view = new DataView(bytes.buffer);
  values.forEach((value, index) => {
    view.setUint32(4 * index, value, true);
  });
  return bytes;
}
