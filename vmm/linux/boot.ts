/**
 * A Linux kernel started directly, without firmware: what goes where in guest memory, and what of it is measured.
 * The monitor is the guest's boot loader, so it measures as one: the names in the log are those that a kernel's own
 * EFI stub uses (TCG PC Client Platform Firmware Profile 1.06, section 10; Linux drivers/firmware/efi/libstub).
 */
import type { EntryState, Segment } from '../engine.ts';
import { ACPI_BASE, type DirectMachine, directSegments, directTables, LOG_AREA } from '../firmware/direct.ts';
import { bootParams, type MemoryRange, rngSeed } from './boot-params.ts';
import { pvhEntry } from './elf.ts';
import { LinuxGuestError } from './error.ts';
import type { LinuxKernel } from './kernel.ts';
import { pvhStartInfo } from './pvh.ts';

/** What a loader is given. */
export interface KernelBoot {
  readonly kernel: LinuxKernel;
  readonly initrd: Uint8Array;
  readonly commandLine: string;
  readonly memoryBytes: number;
  /** Fresh randomness for the guest's generator; 32-bit kernels take it. */
  readonly seed?: Uint8Array;
}

export interface LinuxBoot extends KernelBoot, DirectMachine {
  /** The event log for the log area, given after the TPM has been extended. Up to `LOG_AREA.size` bytes. */
  readonly eventLog?: Uint8Array;
}

export interface PlacedLinux {
  readonly segments: readonly Segment[];
  readonly entry: EntryState;
}

const MEBIBYTE = 1 << 20;

/** Memory below 1 MiB: the zero page and command line, the classic firmware area with tables and log. */
const BOOT_PARAMS = 0x10000;
const SETUP_DATA = 0x11000;
const COMMAND_LINE = 0x20000;
const LOW_RAM_END = 0x9f000;
const COMMAND_LINE_MAX = 2047;

/** Place everything. Throws LinuxGuestError LINUX_MEMORY when it does not fit. */
export function placeLinux(boot: LinuxBoot): PlacedLinux {
  const { memoryBytes, eventLog } = boot;
  const memory: MemoryRange[] = [
    { start: 0, size: LOW_RAM_END, type: 'ram' },
    { start: ACPI_BASE, size: LOG_AREA.address - ACPI_BASE, type: 'acpi' },
    { start: LOG_AREA.address, size: LOG_AREA.size, type: 'nvs' },
    { start: MEBIBYTE, size: memoryBytes - MEBIBYTE, type: 'ram' },
  ];
  const { segments, entry } = placeKernel(boot, memoryBytes, memory, directTables(boot).rsdp);
  return { segments: [...segments, ...directSegments(boot, eventLog)], entry };
}

/** What firmware has at the top of memory: tables, the event log, its own stacks. */
const FIRMWARE_TOP = MEBIBYTE;

/** The same behind firmware, which placed tables and log at the top of memory, and a pointer to them where kernels look. */
export function placeBehindFirmware(boot: KernelBoot): PlacedLinux {
  const top = boot.memoryBytes - FIRMWARE_TOP;
  const memory: MemoryRange[] = [
    { start: 0, size: LOW_RAM_END, type: 'ram' },
    { start: LOW_RAM_END, size: MEBIBYTE - LOW_RAM_END, type: 'reserved' },
    { start: MEBIBYTE, size: top - MEBIBYTE, type: 'ram' },
    { start: top, size: FIRMWARE_TOP, type: 'reserved' },
  ];
  return placeKernel(boot, top, memory, 0);
}

/** Kernel, initramfs below `top`, and what the kernel is told; `rsdp` 0 has it look for the tables itself. */
function placeKernel(boot: KernelBoot, top: number, memory: readonly MemoryRange[], rsdp: number): PlacedLinux {
  const { kernel, initrd } = boot;
  const commandLine = encodeCommandLine(boot.commandLine);
  const initrdStart = Math.floor((top - initrd.length) / MEBIBYTE) * MEBIBYTE;
  if (initrdStart < kernel.end) {
    const needed = Math.ceil((kernel.end + initrd.length) / MEBIBYTE) + 1;
    throw new LinuxGuestError('LINUX_MEMORY', `kernel and initramfs need ${needed} MiB of memory at the least`);
  }
  const params = { commandLine: COMMAND_LINE, initrd: { start: initrdStart, size: initrd.length }, rsdp, memory };
  const start = entryOf(kernel);
  const information =
    start.protocol === 'pvh'
      ? pvhStartInfo({ ...params, base: BOOT_PARAMS })
      : bootParams({ ...params, kernel, setupData: boot.seed ? SETUP_DATA : 0 });
  return {
    segments: [
      ...kernel.segments.map(({ gpa, bytes }) => ({ gpa, bytes })),
      { gpa: initrdStart, bytes: initrd },
      { gpa: BOOT_PARAMS, bytes: information },
      { gpa: COMMAND_LINE, bytes: commandLine },
      ...(boot.seed ? [{ gpa: SETUP_DATA, bytes: rngSeed(boot.seed) }] : []),
    ],
    // Each protocol looks for its information in a register of its own.
    entry: { eip: start.eip, esi: BOOT_PARAMS, ebx: start.protocol === 'pvh' ? BOOT_PARAMS : 0 },
  };
}

/** A 32-bit kernel is entered by the 32-bit boot protocol, a 64-bit one where its PVH note says. */
function entryOf({ elf }: LinuxKernel): { eip: number; protocol: 'linux' | 'pvh' } {
  if (elf.bits === 32) return { eip: elf.entry, protocol: 'linux' };
  const eip = pvhEntry(elf);
  if (eip === undefined) throw new LinuxGuestError('LINUX_KERNEL', 'the 64-bit kernel has no PVH entry point');
  return { eip, protocol: 'pvh' };
}

function encodeCommandLine(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(`${text}\0`);
  if (bytes.length > COMMAND_LINE_MAX + 1 || bytes.indexOf(0) !== bytes.length - 1) {
    throw new LinuxGuestError('LINUX_KERNEL', `the command line must have up to ${COMMAND_LINE_MAX} bytes and no NUL`);
  }
  return bytes;
}
