/** The PC that our engines present, as ACPI declares it: one description, from which all tables are encoded. */
import { TPM_BASE, TPM_LOCALITIES, TPM_LOCALITY_SIZE } from '../devices/tpm-backend.ts';
import * as crb from '../devices/tpm-crb/registers.ts';
import { VIRTIO_BASE, VIRTIO_IRQ, VIRTIO_SIZE } from '../devices/virtio-blk/registers.ts';
import {
  type Aml,
  aml,
  bridgeRange,
  device,
  eisaId,
  integer,
  ioPorts,
  irq,
  memory32Fixed,
  name,
  packageOf,
  resources,
  scope,
  string,
} from './aml.ts';
import { type InterruptControllers, type PowerPorts, START_METHOD, type TpmTable } from './tables.ts';

export type TpmInterface = 'tis' | 'crb';

/** Everything that differs between the machines of our engines. */
export interface AcpiMachine {
  readonly power: PowerPorts;
  readonly interrupts: InterruptControllers;
  /** Absent: no PCI. */
  readonly pci?: { readonly windowFirst: number; readonly windowLast: number };
  readonly tpm?: {
    readonly interface: TpmInterface;
    readonly logArea: { readonly address: number; readonly size: number };
  };
  /** A virtio block device over MMIO. */
  readonly disk?: boolean;
}

/** v86: a PIIX4 power-management block and an I/O APIC whose inputs are the ISA lines, one to one. */
export const V86_POWER: PowerPorts = {
  sciInterrupt: 9,
  pm1Event: 0xb000,
  pm1Control: 0xb004,
  pmTimer: 0xb008,
  gpe0: 0xafe0,
  gpe0Length: 4,
};

export const V86_INTERRUPTS: InterruptControllers = {
  localApic: 0xfee00000,
  ioApic: 0xfec00000,
  processors: 1,
  overrides: [{ line: 9, input: 9, levelHigh: true }],
};

/** Both engines' machines as the monitor lays them out: the I/O APIC's inputs are the ISA lines, and there is no PCI. */
export const MONITOR_MACHINE = { power: V86_POWER, interrupts: V86_INTERRUPTS };

/** TPM register model of a guest on an engine. */
export const tpmInterfaceOf = (engine: { readonly name: 'v86' | 'kvm' }): TpmInterface =>
  engine.name === 'v86' ? 'tis' : 'crb';

/** The TPM2 table of a machine's TPM. */
export function tpmTable(tpm: NonNullable<AcpiMachine['tpm']>): TpmTable {
  return tpm.interface === 'tis'
    ? { startMethod: START_METHOD.FIFO, controlArea: 0, logArea: tpm.logArea }
    : { startMethod: START_METHOD.CRB, controlArea: TPM_BASE + crb.REG.CTRL_REQ, logArea: tpm.logArea };
}

/** The DSDT's terms: a serial port, a clock, PCI where there is some, the TPM where there is one, and power-off. */
export function machineTerms(machine: AcpiMachine): Aml {
  const devices: Aml[] = [
    device('COM1', name('_HID', eisaId('PNP0501')), name('_CRS', resources(ioPorts(0x3f8, 8), irq(4)))),
    device('RTC', name('_HID', eisaId('PNP0B00')), name('_CRS', resources(ioPorts(0x70, 2), irq(8)))),
  ];
  if (machine.pci) {
    const { windowFirst, windowLast } = machine.pci;
    devices.push(
      device(
        'PCI0',
        name('_HID', eisaId('PNP0A03')),
        name('_UID', integer(0)),
        name(
          '_CRS',
          resources(
            bridgeRange('bus', 0, 0xff),
            ioPorts(0xcf8, 8),
            bridgeRange('io', 0, 0xcf7),
            bridgeRange('io', 0xd00, 0xffff),
            bridgeRange('memory', windowFirst, windowLast),
          ),
        ),
      ),
    );
  }
  if (machine.tpm) {
    devices.push(
      device(
        'TPM0',
        name('_HID', string('MSFT0101')),
        name('_CID', string('MSFT0101')),
        name('_UID', integer(1)),
        name('_STA', integer(0x0f)),
        name('_CRS', resources(memory32Fixed(TPM_BASE, TPM_LOCALITIES * TPM_LOCALITY_SIZE))),
      ),
    );
  }
  if (machine.disk) {
    // Linux finds virtio-mmio devices by this identifier (drivers/virtio/virtio_mmio.c).
    devices.push(
      device(
        'DSK0',
        name('_HID', string('LNRO0005')),
        name('_UID', integer(0)),
        name('_CRS', resources(memory32Fixed(VIRTIO_BASE, VIRTIO_SIZE), irq(VIRTIO_IRQ))),
      ),
    );
  }
  const POWER_OFF = 0; // SLP_TYP of S5 on PIIX4
  return aml(
    scope('_SB', ...devices),
    name('_S5', packageOf(integer(POWER_OFF), integer(POWER_OFF), integer(0), integer(0))),
  );
}
