/**
 * A multiboot image with a TPM: measured before its first instruction, under the names that GRUB gives (grub-core,
 * commands/tpm.c: EV_IPL, PCR 8 for command lines, PCR 9 for files), behind the events that stand for firmware. The
 * guest finds tables and log as behind firmware: it looks for the RSDP in the classic area.
 */
import type { TpmDevice } from '../../tpm/device.ts';
import { MONITOR_MACHINE, tpmInterfaceOf } from '../acpi/machine.ts';
import { tpmDevice } from '../devices/tpm.ts';
import type { Engine, VmSpec } from '../engine.ts';
import { ACPI_BASE, directSegments, type EncodeLog, firmwareEvents, measureBoot } from '../firmware/direct.ts';
import type { MeasuredEvent } from '../firmware/tpm-startup.ts';
import { loadMultiboot, MultibootError } from './multiboot.ts';

const EV_IPL = 0x0d;
const PCR = { COMMAND_LINE: 8, FILES: 9 } as const;
const HIGH_MEMORY = 0x100000;

export interface MeasuredMultiboot {
  readonly image: Uint8Array;
  /** Names the image in the log. */
  readonly name: string;
  readonly commandLine: string;
  readonly memoryBytes: number;
  /** Powered on here, off by the caller. */
  readonly tpm: TpmDevice;
  /** Named in the first event of the log. */
  readonly monitorVersion: string;
  readonly encodeLog: EncodeLog;
}

export interface PreparedMultiboot {
  readonly spec: Pick<VmSpec, 'memoryBytes' | 'segments' | 'acpi' | 'devices'> & Required<Pick<VmSpec, 'entry'>>;
  readonly eventLog: Uint8Array;
}

/** Measure the image and lay it out. Throws MultibootError or FirmwareError. */
export async function prepareMultiboot(engine: Engine, boot: MeasuredMultiboot): Promise<PreparedMultiboot> {
  const { image, commandLine, memoryBytes, tpm } = boot;
  const { segments, entry } = loadMultiboot(image, commandLine, memoryBytes);
  if (segments.some(({ gpa, bytes }) => gpa < HIGH_MEMORY && gpa + bytes.length > ACPI_BASE)) {
    throw new MultibootError('MULTIBOOT_MEMORY', 'the image claims the firmware area at 0xe0000; link it higher');
  }
  const machine = { machine: MONITOR_MACHINE, tpm: tpmInterfaceOf(engine) };
  const events = [...firmwareEvents(machine, boot.monitorVersion), ...loaderEvents(boot)];
  const eventLog = await measureBoot(tpm, events, boot.encodeLog);
  return {
    spec: {
      ...{ memoryBytes, entry, acpi: true, devices: [tpmDevice(machine.tpm, tpm)] },
      segments: [...segments, ...directSegments(machine, eventLog)],
    },
    eventLog,
  };
}

function loaderEvents({ image, name, commandLine }: MeasuredMultiboot): MeasuredEvent[] {
  const text = (words: string) => Uint8Array.from(Buffer.from(words, 'latin1'));
  return [
    { pcr: PCR.FILES, type: EV_IPL, measured: [image], event: text(`${name}\0`) },
    {
      pcr: PCR.COMMAND_LINE,
      type: EV_IPL,
      measured: [text(commandLine)],
      event: text(`kernel_cmdline: ${commandLine}\0`),
    },
  ];
}
