/** ACPI power-off as a device of a partition. */
import type { DeviceSpec } from '../device.ts';

/** Ends the partition; for guests that are given our ACPI tables. */
export const powerDevice = (): DeviceSpec => ({
  name: 'acpi-power',
  module: new URL('./power-worker.js', import.meta.url),
});
