/** A measured Linux guest, started: TPM, measurements, event log, memory, machine. */
import { randomBytes } from 'node:crypto';
import type { TpmDevice } from '../../tpm/device.ts';
import { MONITOR_MACHINE, tpmInterfaceOf } from '../acpi/machine.ts';
import type { DeviceSpec } from '../device.ts';
import { type Disk, diskDevice } from '../devices/disk.ts';
import { powerDevice } from '../devices/power.ts';
import { tpmDevice } from '../devices/tpm.ts';
import type { Engine, Vm, VmExit, VmSpec } from '../engine.ts';
import { type EncodeLog, measureBoot } from '../firmware/direct.ts';
import { jitGate } from '../v86/devices/jit-gate.ts';
import { placeLinux } from './boot.ts';
import type { LinuxFiles } from './guest.ts';
import { measuredEvents } from './measure.ts';

/** What a guest is made of. */
export interface LinuxMachine {
  readonly files: Pick<LinuxFiles, 'kernel' | 'initrd'>;
  readonly commandLine: string;
  readonly memoryBytes: number;
  /** Named in the first event of the log. */
  readonly monitorVersion: string;
  /** Without one the guest finds no TPM and nothing is measured. It is powered on here, off by the caller. */
  readonly tpm?: TpmDevice;
  /** Its disk, `/dev/vda`. */
  readonly disk?: Disk;
  readonly encodeLog: EncodeLog;
}

export interface LinuxLaunch extends LinuxMachine {
  readonly name: string;
  readonly onConsole: (bytes: Uint8Array) => void;
  readonly onExit: (exit: VmExit) => void;
}

/** A guest before its first instruction: measured, and placed in memory that is still to be made. */
export interface PreparedLinux {
  readonly spec: Pick<VmSpec, 'memoryBytes' | 'segments' | 'acpi' | 'devices'> & Required<Pick<VmSpec, 'entry'>>;
  /** What the guest finds at `/sys/kernel/security/tpm0/binary_bios_measurements`; empty without a TPM. */
  readonly eventLog: Uint8Array;
}

export interface LaunchedLinux {
  readonly vm: Vm;
  readonly eventLog: Uint8Array;
}

/** What the kernel's generator holds. */
const SEED_SIZE = 32;

/** The devices of a Linux guest; a resumed one needs the same. */
export const linuxDevices = (engine: Engine, tpm?: TpmDevice, disk?: Disk): DeviceSpec[] => [
  powerDevice(),
  ...(tpm ? [tpmDevice(tpmInterfaceOf(engine), tpm)] : []),
  ...(disk ? [diskDevice(disk)] : []),
  ...(engine.name === 'v86' ? [jitGate()] : []),
];

/**
 * Start the TPM, measure, and lay the guest out. A guest on v86 has its TPM as FIFO, on KVM as CRB.
 * Throws LinuxGuestError or FirmwareError.
 */
export async function prepareLinux(engine: Engine, machine: LinuxMachine): Promise<PreparedLinux> {
  const { files, commandLine, memoryBytes, tpm, disk } = machine;
  const boot = {
    ...{ ...files, commandLine, memoryBytes, machine: { ...MONITOR_MACHINE, disk: disk !== undefined } },
    ...(tpm && { tpm: tpmInterfaceOf(engine) }),
  };
  const eventLog = tpm
    ? await measureBoot(tpm, measuredEvents(boot, machine.monitorVersion), machine.encodeLog)
    : new Uint8Array(0);
  const { segments, entry } = placeLinux({ ...boot, seed: randomBytes(SEED_SIZE), ...(tpm && { eventLog }) });
  return { spec: { memoryBytes, segments, entry, acpi: true, devices: linuxDevices(engine, tpm, disk) }, eventLog };
}

/** Create the partition, stopped before its first instruction. Throws LinuxGuestError, FirmwareError or EngineError. */
export async function launchLinux(engine: Engine, launch: LinuxLaunch): Promise<LaunchedLinux> {
  const { spec, eventLog } = await prepareLinux(engine, launch);
  const vm = await engine.create({
    ...spec,
    name: launch.name,
    // A standard guest has no services of the nexus until its host gives it some.
    onHypercall: () => ({ result: 0 }),
    onConsole: launch.onConsole,
    onExit: launch.onExit,
  });
  return { vm, eventLog };
}
