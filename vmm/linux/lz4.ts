/**
 * LZ4 in its legacy frame, which Linux kernels are packed with: a magic number, then blocks with their packed size.
 * Source: lz4 doc/lz4_Frame_format.md ("Legacy frame") and doc/lz4_Block_format.md. No tool of a base system undoes it.
 */
import { LinuxGuestError } from './error.ts';

export const LZ4_LEGACY_MAGIC = [0x02, 0x21, 0x4c, 0x18] as const;

const fault = (what: string) => new LinuxGuestError('LINUX_KERNEL', `the LZ4 payload is damaged: ${what}`);

/** Unpack a frame of exactly `size` bytes. Throws LinuxGuestError LINUX_KERNEL. */
export function unpackLz4(frame: Uint8Array, size: number): Uint8Array {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const out = new Uint8Array(size);
  let written = 0;
  for (let at = LZ4_LEGACY_MAGIC.length; at + 4 <= frame.length; ) {
    const packed = view.getUint32(at, true);
    at += 4;
    if (packed > frame.length - at) throw fault('a block leaves the frame');
    written = unpackBlock(frame.subarray(at, at + packed), out, written);
    at += packed;
  }
  if (written !== size) throw fault(`${written} bytes where ${size} are announced`);
  return out;
}

/** Sequences of literals and matches; gives the new end of `out`. */
function unpackBlock(block: Uint8Array, out: Uint8Array, start: number): number {
  let at = 0;
  let end = start;
  const next = (): number => {
    const byte = block[at++];
    if (byte === undefined) throw fault('a block ends inside a sequence');
    return byte;
  };
  const length = (nibble: number): number => {
    let total = nibble;
    if (nibble === 15) {
      for (let more = 255; more === 255; total += more) more = next();
    }
    return total;
  };
  while (at < block.length) {
    const token = next();
    const literals = length(token >> 4);
    if (literals > block.length - at || literals > out.length - end) throw fault('literals leave the block');
    out.set(block.subarray(at, at + literals), end);
    at += literals;
    end += literals;
    if (at === block.length) break; // the last sequence has no match
    const distance = next() | (next() << 8);
    const match = length(token & 15) + 4;
    if (distance === 0 || distance > end || match > out.length - end) throw fault('a match leaves the output');
    // Matches may overlap what they write, so they are copied in order.
    if (distance >= match) out.copyWithin(end, end - distance, end - distance + match);
    else for (let i = 0; i < match; i++) out[end + i] = out[end - distance + i] ?? 0;
    end += match;
  }
  return end;
}
