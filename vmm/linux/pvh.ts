/**
 * The PVH start information that a 64-bit kernel is entered with, in 32-bit protected mode, EBX pointing at it.
 * Xen docs/misc/pvh.pandoc and Linux include/xen/interface/hvm/start_info.h, version 1.
 */
import { E820, type MemoryRange } from './boot-params.ts';

const MAGIC = 0x336ec578;
const INFO_SIZE = 56;
const MODULE_SIZE = 32;
const RANGE_SIZE = 24;

export interface PvhParams {
  /** Where the block will stand. */
  readonly base: number;
  /** Address of the NUL-terminated command line. */
  readonly commandLine: number;
  readonly initrd: { readonly start: number; readonly size: number };
  readonly rsdp: number;
  readonly memory: readonly MemoryRange[];
}

/** Start information, one module and the memory map, one block from `base`. */
export function pvhStartInfo({ base, commandLine, initrd, rsdp, memory }: PvhParams): Uint8Array {
  const modules = INFO_SIZE;
  const ranges = modules + MODULE_SIZE;
  const bytes = new Uint8Array(ranges + RANGE_SIZE * memory.length);
  const view = new DataView(bytes.buffer);
  const u32 = (at: number, value: number) => view.setUint32(at, value, true);
  u32(0, MAGIC);
  u32(4, 1);
  u32(12, 1); // modules
  u32(16, base + modules);
  u32(24, commandLine);
  u32(32, rsdp);
  u32(40, base + ranges);
  u32(48, memory.length);
  u32(modules, initrd.start);
  u32(modules + 8, initrd.size);
  memory.forEach(({ start, size, type }, i) => {
    const at = ranges + RANGE_SIZE * i;
    u32(at, start);
    u32(at + 8, size);
    u32(at + 16, E820[type]);
  });
  return bytes;
}
