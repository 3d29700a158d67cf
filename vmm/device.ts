/**
 * Devices that plug into a machine of either engine. A device is a module that the partition's Worker loads; its default export
 * builds the device on the machine. What the device must ask the host thread for (a TPM command, a disk block) goes
 * as a message and comes back as one; the guest sees a busy register meanwhile.
 */
import type { V86Cpu } from './v86/cpu.ts';

/** What a device of either engine may touch: ports and registers in memory, guest RAM, interrupt lines. */
export type BoardCpu = Pick<V86Cpu, 'io' | 'mem8' | 'write_blob' | 'device_raise_irq' | 'device_lower_irq'>;

/** What a device module gets inside the Worker; one for v86 alone may ask for the whole of its processor. */
export interface DeviceHost<Cpu extends BoardCpu = BoardCpu> {
  readonly cpu: Cpu;
  /** Send a structured-cloneable message to `DeviceSpec.onMessage` on the host thread. */
  send(message: unknown): void;
  /** Called with every message of `DevicePort.send`, also while the guest is blocked in a hypercall. */
  onMessage(receive: (message: unknown) => void): void;
  /** Stop the partition for good, as a power button would. */
  powerOff(): void;
}

/** What a device module gives back. */
export interface Device {
  /** The state that a snapshot must hold, or nothing. */
  save?(): Uint8Array;
  /** Take that state; called before the first instruction. */
  restore?(state: Uint8Array): void;
}

/** The default export of a device module. */
export type DeviceFactory<Config = unknown, Cpu extends BoardCpu = BoardCpu> = (
  host: DeviceHost<Cpu>,
  config: Config,
) => Device | Promise<Device>;

/** The host thread's end of one device. */
export interface DevicePort {
  send(message: unknown): void;
}

/** A device of one partition, named in `VmSpec.devices`. */
export interface DeviceSpec {
  /** Unique in its partition; names the state in a snapshot. */
  readonly name: string;
  /** A JavaScript module of the built package: `new URL('./tis-device.js', import.meta.url)`. */
  readonly module: URL;
  /** Structured-cloneable. */
  readonly config?: unknown;
  /** Messages from the device, in order. A throw crashes the partition. */
  readonly onMessage?: (message: unknown, port: DevicePort) => void | Promise<void>;
}
