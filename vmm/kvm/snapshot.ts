/** The bytes of a snapshot of this engine: what the Worker holds, what KVM holds, and RAM. */
import { EngineError, type VmSnapshot, type VmSpec } from '../engine.ts';
import type { BoardState } from './protocol.ts';

/** Layout of `VmSnapshot.machine`: two u32 lengths, the Worker's board, KVM's state, all of RAM. Little-endian. */
export function joinMachine({ board }: BoardState, state: Uint8Array, ram: Uint8Array): Uint8Array {
  const lengths = new Uint8Array(Uint32Array.of(board.length, state.length).buffer);
  const machine = new Uint8Array(lengths.length + board.length + state.length + ram.length);
  let at = 0;
  for (const part of [lengths, board, state, ram]) {
    machine.set(part, at);
    at += part.length;
  }
  return machine;
}

/** Throws EngineError ENGINE_SPEC for a snapshot of another engine, memory size or set of devices. */
export function splitSnapshot(spec: VmSpec, { engine, memoryBytes, machine, devices }: VmSnapshot) {
  const refuse = (what: string) => new EngineError('ENGINE_SPEC', `partition ${spec.name}: the snapshot ${what}`);
  if (engine !== 'kvm') throw refuse(`is of engine ${engine}, not kvm`);
  if (memoryBytes !== spec.memoryBytes) throw refuse(`has ${memoryBytes} bytes of memory, not ${spec.memoryBytes}`);
  const known = new Set(spec.devices?.map(({ name }) => name));
  const missing = Object.keys(devices).find((name) => !known.has(name));
  if (missing !== undefined) throw refuse(`holds device ${missing}, which the partition does not have`);
  const view = new DataView(machine.buffer, machine.byteOffset, machine.byteLength);
  const board = machine.length >= 8 ? view.getUint32(0, true) : 0;
  const state = machine.length >= 8 ? view.getUint32(4, true) : 0;
  const ram = 8 + board + state;
  if (machine.length !== ram + memoryBytes) throw refuse('is truncated');
  return {
    board: { board: machine.slice(8, 8 + board), devices },
    state: machine.subarray(8 + board, ram),
    ram: machine.subarray(ram),
  };
}
