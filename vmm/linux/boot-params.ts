/** The zero page that a kernel is entered with. Linux arch/x86/include/uapi/asm/bootparam.h, protocol 2.15. */
import type { LinuxKernel } from './kernel.ts';

/** Types of e820 entries. */
export const E820 = { ram: 1, reserved: 2, acpi: 3, nvs: 4 } as const;

export interface MemoryRange {
  readonly start: number;
  readonly size: number;
  readonly type: keyof typeof E820;
}

export interface BootParams {
  readonly kernel: LinuxKernel;
  /** Address of the NUL-terminated command line. */
  readonly commandLine: number;
  readonly initrd: { readonly start: number; readonly size: number };
  /** Address of the RSDP. */
  readonly rsdp: number;
  readonly memory: readonly MemoryRange[];
  /** Address of the first `setup_data` item; 0 for none. */
  readonly setupData: number;
}

const SETUP_HEADER_AT = 0x1f1;
const RSDP_AT = 0x070;
const E820_COUNT_AT = 0x1e8;
const E820_TABLE_AT = 0x2d0;
const E820_MAX = 128;

/** 4096 bytes for the guest; the kernel finds them through ESI (32-bit protocol) or RSI. */
export function bootParams(params: BootParams): Uint8Array {
  const page = new Uint8Array(4096);
  const view = new DataView(page.buffer);
  page.set(params.kernel.setupHeader, SETUP_HEADER_AT);
  view.setUint32(RSDP_AT, params.rsdp, true);
  view.setUint16(0x1fa, 0xffff, true); // vid_mode: normal
  page[0x210] = 0xff; // type_of_loader: undefined
  page[0x211] = (page[0x211] ?? 0) | 0x81; // loadflags: LOADED_HIGH, CAN_USE_HEAP
  view.setUint32(0x218, params.initrd.start, true);
  view.setUint32(0x21c, params.initrd.size, true);
  view.setUint32(0x228, params.commandLine, true);
  view.setUint32(0x250, params.setupData, true);
  if (params.memory.length > E820_MAX) throw new RangeError('too many memory ranges');
  page[E820_COUNT_AT] = params.memory.length;
  params.memory.forEach(({ start, size, type }, i) => {
    const at = E820_TABLE_AT + 20 * i;
    view.setUint32(at, start, true);
    view.setUint32(at + 8, size, true);
    view.setUint32(at + 16, E820[type], true);
  });
  return page;
}

const SETUP_RNG_SEED = 9;

/** A `setup_data` item with randomness for the kernel, which otherwise spends a second on gathering some. */
export function rngSeed(seed: Uint8Array): Uint8Array {
  const item = new Uint8Array(16 + seed.length);
  const view = new DataView(item.buffer);
  view.setUint32(8, SETUP_RNG_SEED, true);
  view.setUint32(12, seed.length, true);
  item.set(seed, 16);
  return item;
}
