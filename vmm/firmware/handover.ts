/**
 * Where firmware hands over: an option ROM whose boot vector knocks at a port and waits. SeaBIOS measures the ROM, offers
 * it as a way to boot and measures the end of its own work before it goes there, so what stands behind it, the monitor,
 * is the loader. Plug and Play BIOS Specification 1.0A, section 3; BIOS Boot Specification 1.01, section 3.
 */
import { le } from '../acpi/aml.ts';
import type { DevicePort, DeviceSpec } from '../device.ts';
import type { FirmwareFile } from './fw-cfg.ts';

/** A port that no device of a PC has. */
export const HANDOVER_PORT = 0x5d0;

const ROM_SIZE = 512;
const PNP_AT = 0x20;
const CODE_AT = 0x50;
const NAME_AT = 0x70;

/** The ROM; SeaBIOS runs files of this directory of its firmware-configuration interface. */
export function handoverRom(): FirmwareFile {
  const rom = new Uint8Array(ROM_SIZE);
  rom.set([0x55, 0xaa, ROM_SIZE / 512, 0xcb]); // signature, size, initialisation: RETF
  rom.set(le(PNP_AT, 2), 0x1a);
  const pnp = new Uint8Array(32);
  pnp.set(Buffer.from('$PnP'));
  pnp.set([1, pnp.length / 16], 4);
  pnp.set(le(NAME_AT, 2), 16); // product
  pnp.set(le(CODE_AT, 2), 26); // bootstrap entry vector
  pnp[9] = checksum(pnp);
  rom.set(pnp, PNP_AT);
  rom.set(
    [
      ...[0xba, ...le(HANDOVER_PORT, 2)], // MOV DX, port
      ...[0xb0, 0x01, 0xee], // MOV AL, 1; OUT DX, AL
      ...[0xec, 0xeb, 0xfd], // IN AL, DX, for ever
    ],
    CODE_AT,
  );
  rom.set(Buffer.from('Linux\0'), NAME_AT);
  rom[ROM_SIZE - 1] = checksum(rom);
  return { name: 'genroms/nexus-linux.bin', bytes: rom };
}

/** What makes the sum of the bytes zero. */
const checksum = (bytes: Uint8Array) => -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff;

/** The port on v86; `handOver` is called once, and the guest goes on as the message that it sends says. */
export function handoverDevice(handOver: (port: DevicePort) => Promise<void>): DeviceSpec {
  let knocked = false;
  return {
    name: 'handover',
    module: new URL('../v86/devices/handover-worker.js', import.meta.url),
    config: { port: HANDOVER_PORT },
    onMessage: (_message, port) => {
      if (knocked) throw new Error('the firmware handed over twice');
      knocked = true;
      return handOver(port);
    },
  };
}
