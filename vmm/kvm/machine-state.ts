/**
 * The state that KVM holds of one machine, taken and put back. Only while its vCPU is outside the guest, with no
 * access of the guest pending. Documentation/virt/kvm/api.rst, the ioctl of each piece.
 */
import { EngineError } from '../engine.ts';
import { KVM } from './abi.ts';
import type { Libc } from './libc.ts';

export interface KvmMachine {
  readonly kvmFd: number;
  readonly vmFd: number;
  readonly vcpuFd: number;
  /** Interrupt controllers and timer are in the kernel. */
  readonly irqchip: boolean;
}

interface Piece {
  readonly name: string;
  readonly of: 'vcpu' | 'vm';
  readonly get: number;
  readonly set: number;
  readonly size: number;
  /** First word of the structure: which of several chips. */
  readonly chip?: number;
}

/** In the order in which they are put back: later pieces are checked against earlier ones. */
const PROCESSOR: readonly Piece[] = [
  { name: 'sregs', of: 'vcpu', get: KVM.GET_SREGS, set: KVM.SET_SREGS, size: 312 },
  { name: 'regs', of: 'vcpu', get: KVM.GET_REGS, set: KVM.SET_REGS, size: 144 },
  { name: 'xcrs', of: 'vcpu', get: KVM.GET_XCRS, set: KVM.SET_XCRS, size: 392 },
  { name: 'xsave', of: 'vcpu', get: KVM.GET_XSAVE, set: KVM.SET_XSAVE, size: 4096 },
  { name: 'debugregs', of: 'vcpu', get: KVM.GET_DEBUGREGS, set: KVM.SET_DEBUGREGS, size: 128 },
];
const AFTER_MSRS: readonly Piece[] = [
  { name: 'mp_state', of: 'vcpu', get: KVM.GET_MP_STATE, set: KVM.SET_MP_STATE, size: 4 },
  { name: 'vcpu_events', of: 'vcpu', get: KVM.GET_VCPU_EVENTS, set: KVM.SET_VCPU_EVENTS, size: 64 },
];
const irqchip = (chip: number): Piece => ({
  name: `irqchip ${chip}`,
  of: 'vm',
  get: KVM.GET_IRQCHIP,
  set: KVM.SET_IRQCHIP,
  size: 520,
  chip,
});
const CONTROLLERS: readonly Piece[] = [
  { name: 'lapic', of: 'vcpu', get: KVM.GET_LAPIC, set: KVM.SET_LAPIC, size: 1024 },
  ...[0, 1, 2].map(irqchip), // both PICs and the I/O APIC
  { name: 'pit', of: 'vm', get: KVM.GET_PIT2, set: KVM.SET_PIT2, size: 112 },
];
const MSR_LIMIT = 512;
const MSR_ENTRY = 16;

const piecesOf = (machine: KvmMachine): readonly Piece[] => [
  ...PROCESSOR,
  ...(machine.irqchip ? CONTROLLERS : []),
  ...AFTER_MSRS,
];

/** All pieces in order, then a u32 count of MSRs and struct kvm_msr_entry each. Throws EngineError ENGINE_FAILED. */
export function saveMachineState(libc: Libc, machine: KvmMachine): Uint8Array {
  const pieces = piecesOf(machine).map((piece) => {
    const bytes = new Uint8Array(piece.size);
    if (piece.chip !== undefined) bytes[0] = piece.chip;
    call(libc, machine, piece, piece.get, bytes, 'read');
    return bytes;
  });
  return Uint8Array.from(Buffer.concat([...pieces, readMsrs(libc, machine)]));
}

/** Throws EngineError ENGINE_SPEC for bytes that are no such state, ENGINE_FAILED where KVM refuses a piece. */
export function restoreMachineState(libc: Libc, machine: KvmMachine, state: Uint8Array): void {
  const pieces = piecesOf(machine);
  const fixed = pieces.reduce((sum, { size }) => sum + size, 0);
  const count = state.length >= fixed + 4 ? new DataView(state.buffer, state.byteOffset).getUint32(fixed, true) : -1;
  if (count > MSR_LIMIT || state.length !== fixed + 4 + count * MSR_ENTRY) {
    throw new EngineError(
      'ENGINE_SPEC',
      'the snapshot is not of a machine like this one: its devices differ, or it is cut',
    );
  }
  let at = 0;
  for (const piece of pieces) {
    // Before the first piece that may depend on them.
    if (piece === AFTER_MSRS[0]) writeMsrs(libc, machine, state.slice(fixed + 4));
    call(libc, machine, piece, piece.set, state.slice(at, at + piece.size), 'put back');
    at += piece.size;
  }
}

function call(libc: Libc, machine: KvmMachine, piece: Piece, request: number, bytes: Uint8Array, what: string): void {
  const fd = piece.of === 'vcpu' ? machine.vcpuFd : machine.vmFd;
  if (libc.ioctl(fd, request, bytes) >= 0) return;
  throw new EngineError('ENGINE_FAILED', `kvm: ${piece.name} cannot be ${what} (errno ${libc.errno()})`);
}

/** Those of KVM's list that this processor has. */
function readMsrs(libc: Libc, { kvmFd, vcpuFd }: KvmMachine): Uint8Array {
  const list = new Uint8Array(4 + 4 * MSR_LIMIT);
  const numbers = new DataView(list.buffer);
  numbers.setUint32(0, MSR_LIMIT, true);
  if (libc.ioctl(kvmFd, KVM.GET_MSR_INDEX_LIST, list) < 0) {
    throw new EngineError('ENGINE_FAILED', `kvm: the list of MSRs cannot be read (errno ${libc.errno()})`);
  }
  const entries: Uint8Array[] = [];
  for (let i = 0; i < numbers.getUint32(0, true); i++) {
    const one = msrs([numbers.getUint32(4 + 4 * i, true), 0n]);
    if (libc.ioctl(vcpuFd, KVM.GET_MSRS, one) === 1) entries.push(one.subarray(8));
  }
  const count = new Uint8Array(4);
  new DataView(count.buffer).setUint32(0, entries.length, true);
  return Uint8Array.from(Buffer.concat([count, ...entries]));
}

/** One that cannot be written must have the wanted value already. */
function writeMsrs(libc: Libc, { vcpuFd }: KvmMachine, entries: Uint8Array): void {
  const view = new DataView(entries.buffer, entries.byteOffset, entries.byteLength);
  for (let at = 0; at < entries.length; at += MSR_ENTRY) {
    const number = view.getUint32(at, true);
    const wanted = view.getBigUint64(at + 8, true);
    if (libc.ioctl(vcpuFd, KVM.SET_MSRS, msrs([number, wanted])) === 1) continue;
    const present = msrs([number, 0n]);
    const readable = libc.ioctl(vcpuFd, KVM.GET_MSRS, present) === 1;
    if (readable && new DataView(present.buffer).getBigUint64(16, true) === wanted) continue;
    throw new EngineError(
      'ENGINE_FAILED',
      `kvm: MSR 0x${number.toString(16)} cannot be put back; this processor differs`,
    );
  }
}

/** struct kvm_msrs with one entry. */
function msrs([number, value]: readonly [number, bigint]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(8 + MSR_ENTRY);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 1, true);
  view.setUint32(8, number, true);
  view.setBigUint64(16, value, true);
  return bytes;
}
