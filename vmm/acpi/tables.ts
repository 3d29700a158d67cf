/**
 * ACPI tables, each from its declaration. ACPI 6.5, section 5.2; TCG ACPI Specification 1.4, section 8 (TPM2).
 * Tables that point at others (`RSDP`, `XSDT`, `FADT`, `TPM2`) take addresses: `layout.ts` knows them.
 */
import { type Aml, ascii, le } from './aml.ts';

/** Bytes of the header that all tables but RSDP and FACS share. */
export const HEADER_SIZE = 36;

/** Offset of the checksum in that header. */
export const CHECKSUM_AT = 9;

const OEM_ID = 'NEXUS ';
const OEM_TABLE_ID = 'NEXUSTCB';
const CREATOR_ID = 'NXTC';

/** Write fields into a zeroed table of `size` bytes. */
function fields(
  size: number,
  write: (at: (offset: number, width: number, value: number) => void, bytes: Uint8Array) => void,
) {
  const bytes = new Uint8Array(size);
  write((offset, width, value) => bytes.set(le(value, width), offset), bytes);
  return bytes;
}

/** Make the bytes from `start` to `end` sum to zero modulo 256 by the byte at `at`. */
export function setChecksum(bytes: Uint8Array, at: number, start = 0, end = bytes.length): void {
  bytes[at] = 0;
  bytes[at] = -bytes.subarray(start, end).reduce((sum, byte) => sum + byte, 0);
}

/** A table: the common header before `body`, checksum set. `signature` has four characters. */
export function table(signature: string, revision: number, body: Uint8Array): Uint8Array {
  return fields(HEADER_SIZE + body.length, (at, bytes) => {
    bytes.set(ascii(signature), 0);
    at(4, 4, bytes.length);
    at(8, 1, revision);
    bytes.set(ascii(OEM_ID), 10);
    bytes.set(ascii(OEM_TABLE_ID), 16);
    at(24, 4, 1);
    bytes.set(ascii(CREATOR_ID), 28);
    at(32, 4, 1);
    bytes.set(body, HEADER_SIZE);
    setChecksum(bytes, CHECKSUM_AT);
  });
}

/** Root System Description Pointer, revision 2 (5.2.5.3). */
export function rsdp(addresses: { readonly rsdt: number; readonly xsdt: number }): Uint8Array {
  return fields(36, (at, bytes) => {
    bytes.set(ascii('RSD PTR '), 0);
    bytes.set(ascii(OEM_ID), 9);
    at(15, 1, 2);
    at(16, 4, addresses.rsdt);
    at(20, 4, bytes.length);
    at(24, 8, addresses.xsdt);
    setChecksum(bytes, 8, 0, 20);
    setChecksum(bytes, 32);
  });
}

/** Root table with 32-bit pointers (5.2.7). */
export const rsdt = (tables: readonly number[]): Uint8Array =>
  table('RSDT', 1, Uint8Array.from(tables.flatMap((address) => [...le(address, 4)])));

/** Root table with 64-bit pointers (5.2.8). */
export const xsdt = (tables: readonly number[]): Uint8Array =>
  table('XSDT', 1, Uint8Array.from(tables.flatMap((address) => [...le(address, 8)])));

/** Firmware ACPI Control Structure (5.2.10): the global lock and no waking vector. 64-byte aligned in memory. */
export const facs = (): Uint8Array =>
  fields(64, (at, bytes) => {
    bytes.set(ascii('FACS'), 0);
    at(4, 4, bytes.length);
    at(32, 1, 2);
  });

/** Power-management hardware of a machine, I/O ports. */
export interface PowerPorts {
  readonly sciInterrupt: number;
  readonly pm1Event: number;
  readonly pm1Control: number;
  readonly pmTimer: number;
  readonly gpe0: number;
  readonly gpe0Length: number;
}

/** Offsets in the FADT of what points elsewhere; a firmware's table loader patches these. */
export const FADT_FACS_AT = 36;
export const FADT_DSDT_AT = 40;

/** Fixed ACPI Description Table, revision 3 (5.2.9): ACPI mode from the start, no SMI. */
export function fadt(power: PowerPorts, addresses: { readonly facs: number; readonly dsdt: number }): Uint8Array {
  const WBINVD = 1 << 0;
  const PROC_C1 = 1 << 2;
  const SLP_BUTTON = 1 << 5;
  const RTC_FIXED = 1 << 6;
  /** Legacy devices and an 8042 keyboard controller are there. */
  const BOOT_ARCH = 0x3;
  const io = (bytes: Uint8Array, offset: number, bits: number, port: number) =>
    bytes.set([1, bits, 0, bits === 32 ? 3 : 2, ...le(port, 8)], offset);
  const body = fields(244 - HEADER_SIZE, (absolute, bytes) => {
    const at = (offset: number, width: number, value: number) => absolute(offset - HEADER_SIZE, width, value);
    at(FADT_FACS_AT, 4, addresses.facs);
    at(FADT_DSDT_AT, 4, addresses.dsdt);
    at(46, 2, power.sciInterrupt);
    at(56, 4, power.pm1Event);
    at(64, 4, power.pm1Control);
    at(76, 4, power.pmTimer);
    at(80, 4, power.gpe0);
    at(88, 1, 4);
    at(89, 1, 2);
    at(91, 1, 4);
    at(92, 1, power.gpe0Length);
    at(96, 2, 0xfff); // no C2
    at(98, 2, 0xfff); // no C3
    at(109, 2, BOOT_ARCH);
    at(112, 4, WBINVD | PROC_C1 | SLP_BUTTON | RTC_FIXED);
    at(132, 8, addresses.facs);
    at(140, 8, addresses.dsdt);
    io(bytes, 148 - HEADER_SIZE, 32, power.pm1Event);
    io(bytes, 172 - HEADER_SIZE, 16, power.pm1Control);
    io(bytes, 208 - HEADER_SIZE, 32, power.pmTimer);
    io(bytes, 220 - HEADER_SIZE, power.gpe0Length * 8, power.gpe0);
  });
  return table('FACP', 3, body);
}

export interface InterruptControllers {
  readonly localApic: number;
  readonly ioApic: number;
  /** Processors by APIC identifier, which is also their number. */
  readonly processors: number;
  /** ISA lines that arrive at another input, or otherwise than edge-triggered active high. */
  readonly overrides: readonly {
    readonly line: number;
    readonly input: number;
    readonly levelLow?: boolean;
    readonly levelHigh?: boolean;
  }[];
}

/** Multiple APIC Description Table (5.2.12). */
export function madt(controllers: InterruptControllers): Uint8Array {
  const PCAT_COMPAT = 1; // two 8259 are there, too
  const processors = Array.from({ length: controllers.processors }, (_, id) => [0, 8, id, id, ...le(1, 4)]);
  const ioApic = [1, 12, 0, 0, ...le(controllers.ioApic, 4), ...le(0, 4)];
  const overrides = controllers.overrides.map(({ line, input, levelLow, levelHigh }) => {
    const flags = levelLow ? 0x0f : levelHigh ? 0x0d : 0;
    return [2, 10, 0, line, ...le(input, 4), ...le(flags, 2)];
  });
  const body = [...le(controllers.localApic, 4), ...le(PCAT_COMPAT, 4), ...processors.flat(), ...ioApic];
  return table('APIC', 3, Uint8Array.from([...body, ...overrides.flat()]));
}

/** Differentiated System Description Table: the machine's devices in AML. Revision 2: 64-bit integers. */
export const dsdt = (terms: Aml): Uint8Array => table('DSDT', 2, terms);

/** How a driver starts a command (TCG ACPI Specification 1.4, table 9). */
export const START_METHOD = { FIFO: 6, CRB: 7 } as const;

export interface TpmTable {
  readonly startMethod: (typeof START_METHOD)[keyof typeof START_METHOD];
  /** Address of the CRB's control area; 0 for FIFO. */
  readonly controlArea: number;
  /** The crypto-agile event log: its area's address and size in bytes. */
  readonly logArea: { readonly address: number; readonly size: number };
}

/** Offset of the log area's address in the TPM2 table. */
export const TPM2_LOG_ADDRESS_AT = 68;

/** TPM2 table, revision 4, client platform, with a log area. */
export const tpm2 = (tpm: TpmTable): Uint8Array =>
  table(
    'TPM2',
    4,
    Uint8Array.from([
      ...le(0, 4), // platform class: client
      ...le(tpm.controlArea, 8),
      ...le(tpm.startMethod, 4),
      ...new Uint8Array(12), // parameters of the start method
      ...le(tpm.logArea.size, 4),
      ...le(tpm.logArea.address, 8),
    ]),
  );
