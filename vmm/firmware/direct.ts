/**
 * A machine without firmware: the monitor places ACPI tables and event log where firmware would, and measures what
 * firmware would, under the names that it would give. TCG PC Client Platform Firmware Profile 1.06, sections 3.3.4
 * (which PCR) and 10.4 (event types).
 */
import type { TpmDevice } from '../../tpm/device.ts';
import { type PlacedTables, placeTables } from '../acpi/layout.ts';
import type { AcpiMachine, TpmInterface } from '../acpi/machine.ts';
import type { Segment } from '../engine.ts';
import {
  closePlatformHierarchy,
  FirmwareError,
  type MeasuredEvent,
  type MeasuredLog,
  measure,
  startTpm,
} from './tpm-startup.ts';

/** The classic firmware area, which no memory map offers. */
export const ACPI_BASE = 0xe0000;
export const LOG_AREA = { address: 0xf0000, size: 0x10000 } as const;

const EV = { POST_CODE: 0x01, SEPARATOR: 0x04, S_CRTM_VERSION: 0x08 } as const;

/** What ACPI declares; the log area of its TPM is set here. */
export interface DirectMachine {
  readonly machine: Omit<AcpiMachine, 'tpm'>;
  readonly tpm?: TpmInterface;
}

/** Writes the TCG crypto-agile event log; the attestation room's writer. */
export type EncodeLog = (log: MeasuredLog) => Uint8Array;

/** The ACPI tables of a direct boot. */
export const directTables = ({ machine, tpm }: DirectMachine): PlacedTables =>
  placeTables({ ...machine, ...(tpm && { tpm: { interface: tpm, logArea: LOG_AREA } }) }, ACPI_BASE);

/** PCR 0: monitor and ACPI tables. 0-7: separators. What the monitor loads as a boot loader comes after them. */
export function firmwareEvents(machine: DirectMachine, monitorVersion: string): MeasuredEvent[] {
  const version = Uint8Array.from(Buffer.from(`${monitorVersion}\0`, 'utf16le'));
  const separator = new Uint8Array(4);
  return [
    { pcr: 0, type: EV.S_CRTM_VERSION, measured: [version], event: version },
    { pcr: 0, type: EV.POST_CODE, measured: [directTables(machine).bytes], event: Buffer.from('ACPI DATA', 'latin1') },
    ...[0, 1, 2, 3, 4, 5, 6, 7].map((pcr) => ({
      pcr,
      type: EV.SEPARATOR,
      measured: [separator],
      event: separator,
    })),
  ];
}

/** Power the TPM on, measure, close its platform hierarchy; gives the log. Throws FirmwareError. */
export async function measureBoot(
  tpm: TpmDevice,
  events: readonly MeasuredEvent[],
  encodeLog: EncodeLog,
): Promise<Uint8Array> {
  tpm.powerOn();
  await startTpm(tpm);
  const log = Uint8Array.from(encodeLog(await measure(tpm, events)));
  if (log.length > LOG_AREA.size) {
    throw new FirmwareError(`the event log has ${log.length} bytes; its area ${LOG_AREA.size}`);
  }
  await closePlatformHierarchy(tpm);
  return log;
}

/** Tables and log in guest memory. */
export const directSegments = (machine: DirectMachine, eventLog?: Uint8Array): Segment[] => [
  { gpa: ACPI_BASE, bytes: directTables(machine).bytes },
  ...(eventLog ? [{ gpa: LOG_AREA.address, bytes: eventLog }] : []),
];
