/**
 * Multiboot images (Multiboot Specification 0.6.96) in 32-bit ELF: what a freestanding guest of either engine is.
 * The parser takes hostile bytes: every offset is checked before it is used, and every fault is a `MultibootError`.
 */
import type { EntryState, Segment } from '../engine.ts';
import { elfSegments } from './elf32.ts';
import { MultibootError } from './error.ts';

export { MultibootError };

/** What an engine needs to start the image. Memory that no segment covers (BSS among it) is zero. */
export interface LoadedImage {
  readonly segments: readonly Segment[];
  readonly entry: EntryState;
}

const HEADER_MAGIC = 0x1badb002;
const BOOT_MAGIC = 0x2badb002;
/** The header lies in the first 8 KiB, aligned to 4 bytes (section 3.1). */
const HEADER_SEARCH = 8192;
/** Requirements that this loader meets: page alignment (bit 0) and a memory map (bit 1). Bits 16 and up are hints. */
const KNOWN_FLAGS = 0x3;
const MANDATORY_FLAGS = 0xffff;

/** Where the boot information lies: one page in low memory, which images must leave free. */
export const BOOT_INFO = 0x9000;
const PAGE = 4096;
const MMAP = BOOT_INFO + 128;
const LOADER_NAME = BOOT_INFO + 192;
const COMMAND_LINE = BOOT_INFO + 256;
const COMMAND_LINE_MAX = PAGE - 256 - 1;
/** End of conventional memory that the information reports, and start of memory above 1 MiB. */
const LOW_END = 0x9fc00;
const HIGH_START = 0x100000;

const INFO_MEMORY = 1 << 0;
const INFO_COMMAND_LINE = 1 << 2;
const INFO_MMAP = 1 << 6;
const INFO_LOADER_NAME = 1 << 9;

/** Segments and entry state of an image. `memoryBytes` is the partition's RAM; the command line is ASCII. */
export function loadMultiboot(image: Uint8Array, commandLine: string, memoryBytes: number): LoadedImage {
  requireHeader(image);
  const { entry, segments } = elfSegments(image, memoryBytes);
  const overlapping = segments.find(({ gpa, size }) => gpa < BOOT_INFO + PAGE && gpa + size > BOOT_INFO);
  if (overlapping) {
    throw new MultibootError(
      'MULTIBOOT_MEMORY',
      `the image claims the boot information page at 0x9000; link it higher`,
    );
  }
  const info: Segment = { gpa: BOOT_INFO, bytes: bootInformation(commandLine, memoryBytes) };
  return {
    segments: [info, ...segments.filter(({ bytes }) => bytes.length > 0).map(({ gpa, bytes }) => ({ gpa, bytes }))],
    entry: { eip: entry, eax: BOOT_MAGIC, ebx: BOOT_INFO },
  };
}

function requireHeader(image: Uint8Array): void {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const end = Math.min(HEADER_SEARCH, image.byteLength) - 12;
  for (let at = 0; at <= end; at += 4) {
    if (view.getUint32(at, true) !== HEADER_MAGIC) continue;
    const flags = view.getUint32(at + 4, true);
    const checksum = view.getUint32(at + 8, true);
    if ((HEADER_MAGIC + flags + checksum) >>> 0 !== 0) continue;
    const unknown = flags & MANDATORY_FLAGS & ~KNOWN_FLAGS;
    if (unknown === 0) return;
    throw new MultibootError('MULTIBOOT_HEADER', `the image requires features 0x${unknown.toString(16)}`);
  }
  throw new MultibootError('MULTIBOOT_HEADER', 'no Multiboot header in the first 8 KiB; is this a Multiboot image?');
}

/** The boot information structure (section 3.3), memory map, loader name and command line in one page. */
function bootInformation(commandLine: string, memoryBytes: number): Uint8Array {
  if (!/^[\x20-\x7e]*$/.test(commandLine) || commandLine.length > COMMAND_LINE_MAX) {
    throw new MultibootError(
      'MULTIBOOT_COMMAND_LINE',
      `the command line must be at most ${COMMAND_LINE_MAX} printable ASCII characters`,
    );
  }
  const bytes = new Uint8Array(PAGE);
  const view = new DataView(bytes.buffer);
  const put = (gpa: number, value: number) => view.setUint32(gpa - BOOT_INFO, value, true);
  const text = (gpa: number, value: string) => bytes.set(new TextEncoder().encode(value), gpa - BOOT_INFO);
  const map = [
    { base: 0, length: LOW_END },
    { base: HIGH_START, length: memoryBytes - HIGH_START },
  ].filter(({ length }) => length > 0);
  const ENTRY = 24;
  put(BOOT_INFO, INFO_MEMORY | INFO_COMMAND_LINE | INFO_MMAP | INFO_LOADER_NAME);
  put(BOOT_INFO + 4, LOW_END >>> 10);
  put(BOOT_INFO + 8, (memoryBytes - HIGH_START) >>> 10);
  put(BOOT_INFO + 16, COMMAND_LINE);
  put(BOOT_INFO + 44, map.length * ENTRY);
  put(BOOT_INFO + 48, MMAP);
  put(BOOT_INFO + 64, LOADER_NAME);
  map.forEach(({ base, length }, i) => {
    const at = MMAP + i * ENTRY;
    put(at, ENTRY - 4); // size of the rest of the entry
    put(at + 4, base);
    put(at + 12, length);
    put(at + 20, 1); // available RAM
  });
  text(LOADER_NAME, 'nexus-tcb');
  text(COMMAND_LINE, commandLine);
  return bytes;
}
