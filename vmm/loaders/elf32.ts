/** Loadable segments of a 32-bit x86 ELF executable (System V ABI, chapters 4 and 5), from hostile bytes. */
import { MultibootError } from './error.ts';

export interface ElfSegment {
  readonly gpa: number;
  /** Bytes in the file; the rest of `size` is zero. A view of the image. */
  readonly bytes: Uint8Array;
  readonly size: number;
}

const HEADER_BYTES = 52;
const PROGRAM_HEADER_BYTES = 32;
/** Far more than any linker writes; bounds the work. */
const PROGRAM_HEADERS_MAX = 64;
const MAGIC = 0x464c457f; // "\x7fELF", little-endian
const PT_LOAD = 1;
const PF_X = 1;

/** Segments by physical address, and the entry point. Each lies wholly in memory and none overlaps another. */
export function elfSegments(image: Uint8Array, memoryBytes: number): { entry: number; segments: ElfSegment[] } {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const refuse = (message: string): never => {
    throw new MultibootError('MULTIBOOT_ELF', message);
  };
  if (image.length < HEADER_BYTES || view.getUint32(0, true) !== MAGIC) refuse('the image is not ELF');
  const [elfClass, order] = [image[4], image[5]];
  const [type, machine] = [view.getUint16(16, true), view.getUint16(18, true)];
  if (elfClass !== 1 || order !== 1 || type !== 2 || machine !== 3) {
    refuse('the image is not a 32-bit little-endian x86 executable; build it with -m32');
  }
  const entry = view.getUint32(24, true);
  const headers = view.getUint32(28, true);
  const headerSize = view.getUint16(42, true);
  const count = view.getUint16(44, true);
  if (headerSize !== PROGRAM_HEADER_BYTES || count === 0 || count > PROGRAM_HEADERS_MAX) {
    refuse(`the image has ${count} program headers of ${headerSize} bytes`);
  }
  if (headers + count * PROGRAM_HEADER_BYTES > image.length) refuse('the program headers leave the file');

  const segments: ElfSegment[] = [];
  let entryLoaded = false;
  for (let i = 0; i < count; i++) {
    const field = (offset: number) => view.getUint32(headers + i * PROGRAM_HEADER_BYTES + offset, true);
    if (field(0) !== PT_LOAD) continue;
    const [offset, gpa, fileSize, size, flags] = [field(4), field(12), field(16), field(20), field(24)];
    if (fileSize > size || offset + fileSize > image.length) refuse(`segment ${i} leaves the file`);
    if (size === 0) continue;
    if (gpa + size > memoryBytes) {
      throw new MultibootError(
        'MULTIBOOT_MEMORY',
        `segment ${i} ends at ${gpa + size}; the partition has ${memoryBytes} bytes of memory`,
      );
    }
    if (segments.some((other) => gpa < other.gpa + other.size && other.gpa < gpa + size)) {
      refuse(`segment ${i} overlaps another`);
    }
    if ((flags & PF_X) !== 0 && entry >= gpa && entry < gpa + fileSize) entryLoaded = true;
    segments.push({ gpa, bytes: image.subarray(offset, offset + fileSize), size });
  }
  if (!entryLoaded) refuse(`the entry point 0x${entry.toString(16)} is in no executable segment`);
  return { entry, segments };
}
