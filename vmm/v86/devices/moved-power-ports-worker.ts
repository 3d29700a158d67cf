/** Worker side of power-management ports that firmware moved: every access goes to v86's own place for them. */
import { V86_POWER } from '../../acpi/machine.ts';
import type { DeviceFactory } from '../../device.ts';
import type { V86Io } from '../cpu.ts';

/** v86's bus can be asked for its ports; its published names include these. */
interface Ports extends V86Io {
  port_read16(port: number): number;
  port_read32(port: number): number;
  port_write16(port: number, value: number): void;
}

const create: DeviceFactory<{ readonly base: number }> = ({ cpu }, { base }) => {
  const io = cpu.io as Ports;
  const device = { name: 'moved-power-ports' };
  for (const offset of [0, 2, 4]) {
    const own = V86_POWER.pm1Event + offset;
    io.register_read(base + offset, device, undefined, () => io.port_read16(own));
    io.register_write(base + offset, device, undefined, (value) => io.port_write16(own, value));
  }
  const timer = V86_POWER.pmTimer;
  io.register_read(base + 8, device, undefined, undefined, () => io.port_read32(timer));
  return {};
};

export default create;
