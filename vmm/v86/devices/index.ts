/** Devices of partitions on v86, for `VmSpec.devices`. */
import type { DeviceSpec } from '../device.ts';

export { type Disk, diskDevice } from './disk.ts';
export { tpmDevice } from './tpm.ts';

/** ACPI power-off ends the partition; for guests that are given our ACPI tables. */
export const powerDevice = (): DeviceSpec => ({
  name: 'acpi-power',
  module: new URL('./power-worker.js', import.meta.url),
});

/** The compiler stays off until the guest's user mode; for guests whose kernel starts from cold. */
export const jitGate = (): DeviceSpec => ({
  name: 'jit-gate',
  module: new URL('./jit-gate-worker.js', import.meta.url),
});
