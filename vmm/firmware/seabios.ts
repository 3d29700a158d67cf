/**
 * The distribution's unmodified SeaBIOS in v86, with our ACPI tables and TPM: it starts the TPM, measures what it runs
 * and boots what a drive holds. Any vendor's loader or system can stand on the drive.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type AcpiMachine, V86_INTERRUPTS, V86_POWER } from '../acpi/machine.ts';
import type { DeviceSpec } from '../device.ts';
import type { VmSpec } from '../engine.ts';
import { AptCache } from '../linux/apt.ts';
import { LinuxGuestError } from '../linux/error.ts';
import { firmwareFiles } from './fw-cfg.ts';

/** SeaBIOS moves the PIIX4's power-management ports here (its `PORT_ACPI_PM_BASE`). */
const PM_BASE = 0x600;
const LOG_SIZE = 0x10000;
const PATH = 'usr/share/seabios/bios-256k.bin';

/** v86 keeps its power-management ports where they were; this device answers at SeaBIOS's place, too. */
const movedPowerPorts = (): DeviceSpec => ({
  name: 'moved-power-ports',
  module: new URL('../v86/devices/moved-power-ports-worker.js', import.meta.url),
  config: { base: PM_BASE },
});

export interface SeaBiosMachine {
  /** A SeaBIOS image of up to 256 KiB, such as `fetchSeaBios` gives. */
  readonly bios: Uint8Array;
  readonly tpm: boolean;
}

/** The parts of a `VmSpec` that make a partition start through SeaBIOS, its output on the serial console. */
export function seaBiosMachine({ bios, tpm }: SeaBiosMachine): Required<
  Pick<VmSpec, 'segments' | 'firmware' | 'acpi'>
> & {
  readonly devices: readonly DeviceSpec[];
} {
  const machine: AcpiMachine = {
    power: { ...V86_POWER, pm1Event: PM_BASE, pm1Control: PM_BASE + 4, pmTimer: PM_BASE + 8 },
    interrupts: V86_INTERRUPTS,
    pci: { windowFirst: 0xc0000000, windowLast: 0xd7ffffff },
    // SeaBIOS decides where the log stands.
    ...(tpm && { tpm: { interface: 'tis' as const, logArea: { address: 0, size: LOG_SIZE } } }),
  };
  const consolePort = { name: 'etc/sercon-port', bytes: Uint8Array.of(0xf8, 3, 0, 0, 0, 0, 0, 0) };
  return {
    segments: [],
    acpi: true,
    firmware: { bios, files: [...firmwareFiles(machine), consolePort] },
    devices: [movedPowerPorts()],
  };
}

/** SeaBIOS from the distribution's package. Throws LinuxGuestError. */
export async function fetchSeaBios(cacheDirectory: string): Promise<Uint8Array> {
  return Uint8Array.from(readFileSync(join(await unpackedPackage(cacheDirectory, 'seabios'), PATH)));
}

/** iPXE as a bootable CD image, from the distribution's package: a loader of another vendor. Throws LinuxGuestError. */
export async function fetchIpxe(cacheDirectory: string): Promise<Uint8Array> {
  return Uint8Array.from(readFileSync(join(await unpackedPackage(cacheDirectory, 'ipxe'), 'usr/lib/ipxe/ipxe.iso')));
}

async function unpackedPackage(cacheDirectory: string, name: string): Promise<string> {
  const apt = new AptCache(cacheDirectory, 'i386');
  const [file] = await apt.packages([name]);
  if (file === undefined) throw new LinuxGuestError('LINUX_FETCH', `apt did not deliver ${name}`);
  return apt.unpacked(file);
}
