/** The two things we ask of ELF files of a distribution: where a kernel loads, and which libraries a program needs. */
import { LinuxGuestError } from './error.ts';

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_NOTE = 4;
const DT_NEEDED = 1;
const DT_STRTAB = 5;
/** Far more than any linker writes; bounds the work. */
const PROGRAM_HEADERS_MAX = 128;

export interface ProgramHeader {
  readonly type: number;
  readonly offset: number;
  readonly virtual: number;
  readonly physical: number;
  readonly fileSize: number;
  readonly size: number;
}

export interface Elf {
  readonly bits: 32 | 64;
  readonly entry: number;
  readonly headers: readonly ProgramHeader[];
  readonly view: DataView;
}

/** Parse header and program headers. Throws LinuxGuestError LINUX_KERNEL; addresses beyond 2^53 are refused. */
export function parseElf(image: Uint8Array): Elf {
  const fault = (what: string) => new LinuxGuestError('LINUX_KERNEL', `not a little-endian x86 ELF file: ${what}`);
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  if (image.length < 64 || view.getUint32(0) !== 0x7f454c46) throw fault('no ELF header');
  const bits = image[4] === 1 ? 32 : image[4] === 2 ? 64 : undefined;
  if (bits === undefined || image[5] !== 1) throw fault('class or byte order');
  const word = (at: number) => {
    if (bits === 32) return view.getUint32(at, true);
    const value = view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
    return value;
  };
  const wide = bits === 64;
  const [table, size, count] = [
    word(wide ? 32 : 28),
    view.getUint16(wide ? 54 : 42, true),
    view.getUint16(wide ? 56 : 44, true),
  ];
  if (size !== (wide ? 56 : 32) || count > PROGRAM_HEADERS_MAX || table + size * count > image.length) {
    throw fault('program headers');
  }
  const headers = Array.from({ length: count }, (_, i): ProgramHeader => {
    const at = table + i * size;
    const step = wide ? 8 : 4;
    const first = at + step; // type alone, or type and flags
    const header = {
      type: view.getUint32(at, true),
      offset: word(first),
      virtual: word(first + step),
      physical: word(first + 2 * step),
      fileSize: word(first + 3 * step),
      size: word(first + 4 * step),
    };
    if (header.offset + header.fileSize > image.length || header.fileSize > header.size) throw fault(`segment ${i}`);
    return header;
  });
  return { bits, entry: word(24), headers, view };
}

/** Bytes to place in memory, by physical address; the tail up to `size` is zero. */
export function loadSegments(elf: Elf): { gpa: number; bytes: Uint8Array; size: number }[] {
  return elf.headers
    .filter((header) => header.type === PT_LOAD && header.size > 0)
    .map((header) => ({ gpa: header.physical, bytes: part(elf, header), size: header.size }));
}

/** The 32-bit PVH entry point of a kernel (ELF note "Xen", type 18), if it has one. */
export function pvhEntry(elf: Elf): number | undefined {
  for (const header of elf.headers.filter(({ type }) => type === PT_NOTE)) {
    const notes = part(elf, header);
    const view = new DataView(notes.buffer, notes.byteOffset, notes.byteLength);
    const align = (length: number) => Math.ceil(length / 4) * 4;
    for (let at = 0; at + 12 <= notes.length; ) {
      const [nameSize, size, type] = [0, 4, 8].map((field) => view.getUint32(at + field, true)) as [
        number,
        number,
        number,
      ];
      const content = at + 12 + align(nameSize);
      const name = Buffer.from(notes.subarray(at + 12, at + 12 + nameSize)).toString('latin1');
      if (name === 'Xen\0' && type === 18 && content + 4 <= notes.length) return view.getUint32(content, true);
      at = content + align(size);
    }
  }
  return undefined;
}

/** Names of the shared libraries that a program or library is linked with, its interpreter not included. */
export function neededLibraries(image: Uint8Array): string[] {
  const elf = parseElf(image);
  const dynamic = elf.headers.find((header) => header.type === PT_DYNAMIC);
  if (dynamic === undefined) return [];
  const step = elf.bits === 64 ? 8 : 4;
  // Tags and values of interest are below 2^32 in any file that fits into memory.
  const at = (offset: number) => elf.view.getUint32(offset, true);
  const needed: number[] = [];
  let strings: number | undefined;
  for (let entry = dynamic.offset; entry + 2 * step <= dynamic.offset + dynamic.fileSize; entry += 2 * step) {
    if (at(entry) === DT_NEEDED) needed.push(at(entry + step));
    if (at(entry) === DT_STRTAB) strings = at(entry + step);
  }
  const home = elf.headers.find(
    ({ type, virtual, fileSize }) =>
      type === PT_LOAD && strings !== undefined && strings >= virtual && strings < virtual + fileSize,
  );
  if (home === undefined || strings === undefined) return [];
  const table = home.offset + strings - home.virtual;
  return needed.map((offset) => {
    const end = image.indexOf(0, table + offset);
    return Buffer.from(image.subarray(table + offset, end < 0 ? undefined : end)).toString('latin1');
  });
}

const part = ({ view }: Elf, header: ProgramHeader) =>
  new Uint8Array(view.buffer, view.byteOffset + header.offset, header.fileSize);
