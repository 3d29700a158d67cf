/**
 * Linux behind the distribution's unmodified SeaBIOS. The firmware starts the TPM, measures itself and keeps the log; it
 * does not measure a kernel that the monitor loads. The monitor does, before the kernel's first instruction: it extends
 * the TPM and continues the log where the firmware left it.
 */
import { randomBytes } from 'node:crypto';
import type { TpmDevice } from '../../tpm/device.ts';
import { powerDevice } from '../devices/power.ts';
import { tpmDevice } from '../devices/tpm.ts';
import type { Engine, Vm } from '../engine.ts';
import { handoverDevice, handoverRom } from '../firmware/handover.ts';
import { findLog } from '../firmware/log-area.ts';
import { seaBiosMachine } from '../firmware/seabios.ts';
import { FirmwareError, type MeasuredLog, measure } from '../firmware/tpm-startup.ts';
import { jitGate } from '../v86/devices/jit-gate.ts';
import { type KernelBoot, placeBehindFirmware } from './boot.ts';
import type { LinuxLaunch } from './launch.ts';
import { kernelEvents } from './measure.ts';

export interface FirmwareLaunch extends Omit<LinuxLaunch, 'tpm' | 'disk' | 'monitorVersion'> {
  /** A SeaBIOS image, such as `fetchSeaBios` gives. */
  readonly bios: Uint8Array;
  /** Powered on here, off by the caller. */
  readonly tpm: TpmDevice;
}

const SEED_SIZE = 32;

/** Create the partition, stopped before the firmware's first instruction. Throws EngineError; v86 only. */
export async function launchBehindFirmware(engine: Engine, launch: FirmwareLaunch): Promise<Vm> {
  const { tpm, memoryBytes, files, commandLine } = launch;
  const boot: KernelBoot = { ...files, commandLine, memoryBytes, seed: randomBytes(SEED_SIZE) };
  const machine = seaBiosMachine({ bios: launch.bios, tpm: true });
  const { firmware } = machine;
  tpm.powerOn();
  const vm: Vm = await engine.create({
    ...machine,
    name: launch.name,
    memoryBytes,
    firmware: { ...firmware, files: [...(firmware.files ?? []), handoverRom()] },
    devices: [
      ...machine.devices,
      powerDevice(),
      tpmDevice('tis', tpm),
      jitGate(),
      handoverDevice(async (port) => {
        await measureKernel(vm, tpm, boot, launch.encodeLog);
        port.send(placeBehindFirmware(boot));
      }),
    ],
    onHypercall: () => ({ result: 0 }),
    onConsole: launch.onConsole,
    onExit: launch.onExit,
  });
  return vm;
}

/** Extend the kernel's events, and write them after the firmware's. Throws FirmwareError, and the guest ends. */
async function measureKernel(
  vm: Vm,
  tpm: TpmDevice,
  boot: KernelBoot,
  encodeLog: (log: MeasuredLog) => Uint8Array,
): Promise<void> {
  const area = findLog(await vm.readMemory(0, boot.memoryBytes));
  const log = await measure(tpm, kernelEvents(boot));
  if ([...log.banks].sort().join() !== [...area.banks].sort().join()) {
    throw new FirmwareError(`the firmware's log is of banks ${area.banks}, the TPM's are ${log.banks}`);
  }
  const events = encodeLog(log).subarray(encodeLog({ ...log, entries: [] }).length);
  if (area.used + events.length > area.size) {
    throw new FirmwareError(`the event log has no room for ${events.length} bytes more`);
  }
  await vm.writeMemory(area.address + area.used, events);
}
