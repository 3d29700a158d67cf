/**
 * Files that SeaBIOS takes from its firmware-configuration interface to build ACPI tables and find its event log.
 * SeaBIOS docs/ and src/fw/romfile_loader.h; QEMU docs/specs/fw_cfg and hw/acpi/bios-linker-loader.c describe the
 * script: where to put each file, which pointers to relocate, which checksums to set.
 */
import { le } from '../acpi/aml.ts';
import { type AcpiMachine, machineTerms, tpmTable } from '../acpi/machine.ts';
import {
  CHECKSUM_AT,
  dsdt,
  FADT_DSDT_AT,
  FADT_FACS_AT,
  facs,
  fadt,
  HEADER_SIZE,
  madt,
  rsdp,
  rsdt,
  TPM2_LOG_ADDRESS_AT,
  tpm2,
  xsdt,
} from '../acpi/tables.ts';

export interface FirmwareFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

const FILE = {
  tables: 'etc/acpi/tables',
  rsdp: 'etc/acpi/rsdp',
  script: 'etc/table-loader',
  log: 'etc/tpm/log',
} as const;

const COMMAND = { ALLOCATE: 1, ADD_POINTER: 2, ADD_CHECKSUM: 3 } as const;
const ZONE = { HIGH: 1, FSEG: 2 } as const;
const ENTRY_SIZE = 128;
const NAME_SIZE = 56;
const ALIGN = 64;

/** Offsets in the FADT of the 64-bit pointers, and in the RSDP of its own. */
const FADT_X_FACS_AT = 132;
const FADT_X_DSDT_AT = 140;
const RSDP_RSDT_AT = 16;
const RSDP_XSDT_AT = 24;

/** The files for a machine; pointers in them are offsets until SeaBIOS has run the script. */
export function firmwareFiles(machine: AcpiMachine): FirmwareFile[] {
  const script: Uint8Array[] = [];
  const pieces: { at: number; bytes: Uint8Array }[] = [];
  let next = 0;
  const place = (bytes: Uint8Array): number => {
    const at = next;
    pieces.push({ at, bytes });
    next = Math.ceil((at + bytes.length) / ALIGN) * ALIGN;
    return at;
  };
  const checksums: { at: number; length: number }[] = [];
  const placeTable = (bytes: Uint8Array): number => {
    const at = place(bytes);
    checksums.push({ at, length: bytes.length });
    return at;
  };

  script.push(allocate(FILE.rsdp, 16, ZONE.FSEG), allocate(FILE.tables, ALIGN, ZONE.HIGH));
  const facsAt = place(facs());
  const dsdtAt = place(dsdt(machineTerms(machine)));
  const fadtAt = placeTable(fadt(machine.power, { facs: facsAt, dsdt: dsdtAt }));
  for (const [field, size] of [
    [FADT_FACS_AT, 4],
    [FADT_DSDT_AT, 4],
    [FADT_X_FACS_AT, 8],
    [FADT_X_DSDT_AT, 8],
  ] as const) {
    script.push(addPointer(FILE.tables, fadtAt + field, size, FILE.tables));
  }
  const roots = [fadtAt, place(madt(machine.interrupts))];
  if (machine.tpm) {
    const at = placeTable(tpm2(tpmTable({ ...machine.tpm, logArea: { ...machine.tpm.logArea, address: 0 } })));
    script.push(allocate(FILE.log, 1, ZONE.HIGH), addPointer(FILE.tables, at + TPM2_LOG_ADDRESS_AT, 8, FILE.log));
    roots.push(at);
  }
  const rsdtAt = placeTable(rsdt(roots));
  const xsdtAt = placeTable(xsdt(roots));
  roots.forEach((_, i) => {
    script.push(addPointer(FILE.tables, rsdtAt + HEADER_SIZE + 4 * i, 4, FILE.tables));
    script.push(addPointer(FILE.tables, xsdtAt + HEADER_SIZE + 8 * i, 8, FILE.tables));
  });
  for (const { at, length } of checksums) script.push(addChecksum(FILE.tables, at + CHECKSUM_AT, at, length));
  const pointer = rsdp({ rsdt: rsdtAt, xsdt: xsdtAt });
  script.push(
    addPointer(FILE.rsdp, RSDP_RSDT_AT, 4, FILE.tables),
    addPointer(FILE.rsdp, RSDP_XSDT_AT, 8, FILE.tables),
    addChecksum(FILE.rsdp, 8, 0, 20),
    addChecksum(FILE.rsdp, 32, 0, pointer.length),
  );

  const tables = new Uint8Array(next);
  for (const { at, bytes } of pieces) tables.set(bytes, at);
  const files: FirmwareFile[] = [
    { name: FILE.tables, bytes: tables },
    { name: FILE.rsdp, bytes: pointer },
    { name: FILE.script, bytes: Uint8Array.from(Buffer.concat(script)) },
  ];
  if (machine.tpm) files.push({ name: FILE.log, bytes: new Uint8Array(machine.tpm.logArea.size) });
  return files;
}

function entry(command: number, ...fields: Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(ENTRY_SIZE);
  bytes.set(Buffer.concat([le(command, 4), ...fields]));
  return bytes;
}

function fileName(name: string): Uint8Array {
  const bytes = new Uint8Array(NAME_SIZE);
  bytes.set(Buffer.from(name, 'latin1'));
  return bytes;
}

const allocate = (file: string, align: number, zone: number) =>
  entry(COMMAND.ALLOCATE, fileName(file), le(align, 4), le(zone, 1));

/** Add the address of `source` to the `size` bytes at `offset` of `file`. The checksum over them is wrong until set. */
const addPointer = (file: string, offset: number, size: number, source: string) =>
  entry(COMMAND.ADD_POINTER, fileName(file), fileName(source), le(offset, 4), le(size, 1));

const addChecksum = (file: string, at: number, start: number, length: number) =>
  entry(COMMAND.ADD_CHECKSUM, fileName(file), le(at, 4), le(start, 4), le(length, 4));
