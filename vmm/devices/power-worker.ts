/** Worker side of ACPI power-off: v86 keeps the power-management registers but does not act on them. */
import { V86_POWER } from '../acpi/machine.ts';
import type { DeviceFactory } from '../device.ts';

const SLP_ENABLE = 1 << 13;
const SLP_TYPE = 7 << 10;
/** SCI_EN: the machine is in ACPI mode from the start. */
const SCI_ENABLED = 1;

const create: DeviceFactory = (host) => {
  let control = SCI_ENABLED;
  const device = { name: 'acpi-power' };
  host.cpu.io.register_read(
    V86_POWER.pm1Control,
    device,
    () => control & 0xff,
    () => control,
  );
  host.cpu.io.register_write(V86_POWER.pm1Control, device, undefined, (value) => {
    // The only sleep that the DSDT declares is S5, type 0.
    if ((value & SLP_ENABLE) !== 0 && (value & SLP_TYPE) === 0) host.powerOff();
    control = (value & ~SLP_ENABLE) | SCI_ENABLED;
  });
  return {
    save: () => Uint8Array.of(control & 0xff, control >> 8),
    restore: ([low = SCI_ENABLED, high = 0]) => {
      control = low | (high << 8);
    },
  };
};

export default create;
