/** All ACPI tables of a machine, placed and linked in guest memory, for partitions that start without firmware. */
import { type AcpiMachine, machineTerms, tpmTable } from './machine.ts';
import { dsdt, facs, fadt, madt, rsdp, rsdt, tpm2, xsdt } from './tables.ts';

export interface PlacedTables {
  /** Address of the RSDP. */
  readonly rsdp: number;
  /** Everything from `base`, one block. */
  readonly bytes: Uint8Array;
  readonly base: number;
  /** Signature and bytes of each table, in memory order. */
  readonly tables: readonly { readonly signature: string; readonly address: number; readonly bytes: Uint8Array }[];
}

/** FACS wants 64; the others are content with less. */
const ALIGN = 64;

/** Encode the tables of `machine` from guest-physical address `base`, a multiple of 64. */
export function placeTables(machine: AcpiMachine, base: number): PlacedTables {
  if (base % ALIGN !== 0) throw new RangeError(`ACPI tables need a base aligned to ${ALIGN}, not ${base}`);
  const tables: { signature: string; address: number; bytes: Uint8Array }[] = [];
  let next = base;
  const place = (signature: string, bytes: Uint8Array): number => {
    const address = next;
    tables.push({ signature, address, bytes });
    next = Math.ceil((address + bytes.length) / ALIGN) * ALIGN;
    return address;
  };
  const facsAt = place('FACS', facs());
  const dsdtAt = place('DSDT', dsdt(machineTerms(machine)));
  const roots = [
    place('FACP', fadt(machine.power, { facs: facsAt, dsdt: dsdtAt })),
    place('APIC', madt(machine.interrupts)),
  ];
  if (machine.tpm) roots.push(place('TPM2', tpm2(tpmTable(machine.tpm))));
  const rsdtAt = place('RSDT', rsdt(roots));
  const xsdtAt = place('XSDT', xsdt(roots));
  const pointer = place('RSD PTR ', rsdp({ rsdt: rsdtAt, xsdt: xsdtAt }));
  const bytes = new Uint8Array(next - base);
  for (const { address, bytes: content } of tables) bytes.set(content, address - base);
  return { rsdp: pointer, bytes, base, tables };
}
