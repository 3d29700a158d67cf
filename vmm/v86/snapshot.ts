/** Saving and restoring a paused machine: v86's own state, the hypercall registers and the devices. */

import type { Device } from '../device.ts';
import type { VmSnapshot } from '../engine.ts';
import type { Emulator } from './cpu.ts';

export interface Machine {
  readonly emulator: Emulator;
  /** ARG0..ARG5 and the last result. */
  readonly hypercallRegisters: Int32Array;
  readonly devices: ReadonlyMap<string, Device>;
}

/** Layout of `VmSnapshot.machine`: the hypercall registers, then v86's state. */
const registerBytes = (machine: Machine) => machine.hypercallRegisters.byteLength;

export function saveMachine(machine: Machine): VmSnapshot {
  const state = new Uint8Array(machine.emulator.v86.save_state());
  const header = registerBytes(machine);
  const bytes = new Uint8Array(header + state.length);
  bytes.set(new Uint8Array(machine.hypercallRegisters.buffer, machine.hypercallRegisters.byteOffset, header));
  bytes.set(state, header);
  const devices: Record<string, Uint8Array> = {};
  for (const [name, device] of machine.devices) {
    const saved = device.save?.();
    if (saved !== undefined) devices[name] = saved;
  }
  return { engine: 'v86', memoryBytes: machine.emulator.v86.cpu.mem8.length, machine: bytes, devices };
}

/** Throws for a snapshot of another engine, memory size or set of devices; v86 throws for a malformed state. */
export function restoreMachine(machine: Machine, snapshot: VmSnapshot): void {
  const memoryBytes = machine.emulator.v86.cpu.mem8.length;
  if (snapshot.engine !== 'v86') throw new Error(`snapshot of engine ${snapshot.engine}, not v86`);
  if (snapshot.memoryBytes !== memoryBytes) {
    throw new Error(`snapshot of ${snapshot.memoryBytes} bytes of memory; the partition has ${memoryBytes}`);
  }
  const missing = Object.keys(snapshot.devices).find((name) => !machine.devices.has(name));
  if (missing !== undefined) throw new Error(`snapshot holds device ${missing}, which the partition does not have`);
  const header = registerBytes(machine);
  if (snapshot.machine.length < header) throw new Error('snapshot is truncated');
  machine.emulator.v86.restore_state(snapshot.machine.slice(header).buffer);
  machine.hypercallRegisters.set(new Int32Array(snapshot.machine.slice(0, header).buffer));
  for (const [name, device] of machine.devices) {
    const saved = snapshot.devices[name];
    if (saved !== undefined) device.restore?.(saved);
  }
}
