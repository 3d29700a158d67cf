/** A device that only v86 has, for `VmSpec.devices`. */
import type { DeviceSpec } from '../../device.ts';

/** The compiler stays off until the guest's user mode; for guests whose kernel starts from cold. */
export const jitGate = (): DeviceSpec => ({
  name: 'jit-gate',
  module: new URL('./jit-gate-worker.js', import.meta.url),
});
