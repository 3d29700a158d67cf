/**
 * A distribution's bzImage: its setup header, and the kernel proper inside it. Linux Documentation/arch/x86/boot.rst.
 * We unpack the kernel on the host, where it takes a fraction of a second, instead of letting the guest do it.
 */
import { type Elf, loadSegments, parseElf } from './elf.ts';
import { LinuxGuestError } from './error.ts';
import { UNPACKED_MAX, unpack } from './unpack.ts';

export interface LinuxKernel {
  /** The file as the distribution ships it; this is what is measured. */
  readonly image: Uint8Array;
  readonly elf: Elf;
  /** Setup header, offsets 0x1f1 up to its end, to be copied into boot_params. */
  readonly setupHeader: Uint8Array;
  readonly segments: readonly { readonly gpa: number; readonly bytes: Uint8Array; readonly size: number }[];
  /** End of the kernel in memory, its zeroed part included. */
  readonly end: number;
}

const SETUP_HEADER_AT = 0x1f1;
const HEADER_MAGIC_AT = 0x202;
const VERSION_AT = 0x206;
const PAYLOAD_OFFSET_AT = 0x248;
const PAYLOAD_LENGTH_AT = 0x24c;
/** Protocol 2.14 (kernel 4.20, 2018) passes the RSDP in boot_params. */
const VERSION_MIN = 0x20e;
const MAGIC_HDRS = 0x53726448;

/** Read a bzImage. Throws LinuxGuestError LINUX_KERNEL, or LINUX_TOOL when what unpacks it is missing here. */
export async function parseKernel(image: Uint8Array): Promise<LinuxKernel> {
  const fault = (what: string) => new LinuxGuestError('LINUX_KERNEL', `not a kernel image that we can boot: ${what}`);
  if (image.length < 0x1000) throw fault('too short');
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  if (view.getUint32(HEADER_MAGIC_AT, true) !== MAGIC_HDRS) throw fault('no setup header');
  const version = view.getUint16(VERSION_AT, true);
  if (version < VERSION_MIN) throw fault(`boot protocol ${version >> 8}.${version & 0xff} is older than 2.14`);
  const setupSectors = image[SETUP_HEADER_AT] || 4;
  const start = (setupSectors + 1) * 512 + view.getUint32(PAYLOAD_OFFSET_AT, true);
  const length = view.getUint32(PAYLOAD_LENGTH_AT, true);
  if (length < 4 || start + length > image.length) throw fault('the payload leaves the file');
  const payload = image.subarray(start, start + length);
  // The last four bytes are the unpacked size, put there for the kernel's own unpacker.
  const size = view.getUint32(start + length - 4, true);
  if (size > UNPACKED_MAX) throw fault(`it claims ${size} bytes unpacked`);
  const unpacked = await unpack(payload.subarray(0, length - 4), size);
  if (unpacked === undefined) throw fault('the payload is neither xz, zstd, gzip nor lz4');
  const elf = parseElf(unpacked);
  const segments = loadSegments(elf);
  const headerEnd = HEADER_MAGIC_AT + (image[0x201] ?? 0);
  return {
    image,
    elf,
    setupHeader: image.subarray(SETUP_HEADER_AT, headerEnd),
    segments,
    end: segments.reduce((end, segment) => Math.max(end, segment.gpa + segment.size), 0),
  };
}
