/**
 * On a host that is itself virtual, KVM may have to emulate a guest's kernel code, and its emulator lacks instructions
 * that kernels execute when they start. Those that need nothing but registers are done here as the processor would.
 */
import { KVM, REGS_RIP_AT, REGS_SIZE, VCPU_EVENTS_SIZE } from './abi.ts';
import type { Libc } from './libc.ts';

const BREAKPOINT_VECTOR = 3;
/** INT3 raises #BP behind itself. */
const INT3 = 0xcc;
/** FWAIT waits for an x87 exception; a guest whose instructions are emulated has none pending. */
const FWAIT = 0x9b;

/** Go on behind `instruction`. False when it is none of these: the guest cannot go on. */
export function assistEmulator(libc: Libc, vcpuFd: number, [opcode]: Uint8Array): boolean {
  if (opcode !== INT3 && opcode !== FWAIT) return false;
  const registers = new Uint8Array(REGS_SIZE);
  if (libc.ioctl(vcpuFd, KVM.GET_REGS, registers) < 0) return false;
  const view = new DataView(registers.buffer);
  view.setBigUint64(REGS_RIP_AT, view.getBigUint64(REGS_RIP_AT, true) + 1n, true);
  if (libc.ioctl(vcpuFd, KVM.SET_REGS, registers) < 0) return false;
  if (opcode === FWAIT) return true;
  const events = new Uint8Array(VCPU_EVENTS_SIZE);
  if (libc.ioctl(vcpuFd, KVM.GET_VCPU_EVENTS, events) < 0) return false;
  events.set([1, BREAKPOINT_VECTOR, 0, 0], 0); // injected, vector, no error code, not pending
  return libc.ioctl(vcpuFd, KVM.SET_VCPU_EVENTS, events) === 0;
}
