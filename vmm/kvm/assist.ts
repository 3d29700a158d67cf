/**
 * On a host that is itself virtual, KVM may have to emulate a guest's kernel code, and its emulator lacks instructions
 * that kernels execute when they start. These few are done here as the processor would.
 * Encodings: Intel SDM, volume 2 (INT3, FWAIT, LDMXCSR, STMXCSR; section 2.1.5 for ModRM and SIB).
 */
import { FPU_MXCSR_AT, FPU_SIZE, KVM, REGS_RIP_AT, REGS_SIZE, TRANSLATION_SIZE, VCPU_EVENTS_SIZE } from './abi.ts';
import type { Libc } from './libc.ts';

const LONGEST_INSTRUCTION = 15;
const BREAKPOINT_VECTOR = 3;
/** INT3 raises #BP behind itself. */
const INT3 = 0xcc;
/** FWAIT waits for an x87 exception; a guest whose instructions are emulated has none pending. */
const FWAIT = 0x9b;
/** 0F AE with 2 in ModRM's reg field is LDMXCSR m32, with 3 STMXCSR m32. */
const GROUP_15 = [0x0f, 0xae] as const;
const LDMXCSR = 2;
const STMXCSR = 3;
/** Bits of MXCSR that are defined; the others raise #GP (SDM volume 1, 10.2.3). */
const MXCSR_KNOWN = 0xffff;

/** Where a general register of ModRM's numbering lies in struct kvm_regs, in 64-bit words. */
const REGISTER_AT = [0, 2, 3, 1, 6, 7, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15] as const;
const RSP = 4;

/** Do `instruction` and go on behind it. False when it is none of these: the guest cannot go on. */
export function assistEmulator(libc: Libc, vcpuFd: number, ram: Uint8Array, instruction: Uint8Array): boolean {
  const registers = new Uint8Array(REGS_SIZE);
  if (libc.ioctl(vcpuFd, KVM.GET_REGS, registers) < 0) return false;
  const view = new DataView(registers.buffer);
  const whole = new Uint8Array(LONGEST_INSTRUCTION); // so that decoding never runs off its end
  whole.set(instruction.subarray(0, LONGEST_INSTRUCTION));
  const length = execute(libc, vcpuFd, ram, whole, view);
  if (length === 0) return false;
  view.setBigUint64(REGS_RIP_AT, view.getBigUint64(REGS_RIP_AT, true) + BigInt(length), true);
  return libc.ioctl(vcpuFd, KVM.SET_REGS, registers) === 0;
}

/** Length of the instruction in bytes when it was done, 0 when it was not. */
function execute(libc: Libc, vcpuFd: number, ram: Uint8Array, instruction: Uint8Array, registers: DataView): number {
  const [opcode] = instruction;
  if (opcode === FWAIT) return 1;
  if (opcode === INT3) return raiseBreakpoint(libc, vcpuFd) ? 1 : 0;
  return moveMxcsr(libc, vcpuFd, ram, instruction, registers);
}

function raiseBreakpoint(libc: Libc, vcpuFd: number): boolean {
  const events = new Uint8Array(VCPU_EVENTS_SIZE);
  if (libc.ioctl(vcpuFd, KVM.GET_VCPU_EVENTS, events) < 0) return false;
  events.set([1, BREAKPOINT_VECTOR, 0, 0], 0); // injected, vector, no error code, not pending
  return libc.ioctl(vcpuFd, KVM.SET_VCPU_EVENTS, events) === 0;
}

function moveMxcsr(libc: Libc, vcpuFd: number, ram: Uint8Array, instruction: Uint8Array, registers: DataView): number {
  const rex = ((instruction[0] ?? 0) & 0xf0) === 0x40 ? (instruction[0] ?? 0) : 0;
  const at = rex === 0 ? 0 : 1;
  if (instruction[at] !== GROUP_15[0] || instruction[at + 1] !== GROUP_15[1]) return 0;
  const operation = ((instruction[at + 2] ?? 0) >> 3) & 7;
  const operand = memoryOperand(instruction, at + 2, rex, registers);
  if (operand === undefined || (operation !== LDMXCSR && operation !== STMXCSR)) return 0;
  const physical = translate(libc, vcpuFd, operand.address);
  if (physical === undefined || physical + 4 > ram.length) return 0;
  const fpu = new Uint8Array(FPU_SIZE);
  if (libc.ioctl(vcpuFd, KVM.GET_FPU, fpu) < 0) return 0;
  const state = new DataView(fpu.buffer);
  const memory = new DataView(ram.buffer, ram.byteOffset, ram.byteLength);
  if (operation === STMXCSR) {
    memory.setUint32(physical, state.getUint32(FPU_MXCSR_AT, true), true);
    return operand.end;
  }
  const value = memory.getUint32(physical, true);
  if ((value & ~MXCSR_KNOWN) !== 0) return 0;
  state.setUint32(FPU_MXCSR_AT, value, true);
  return libc.ioctl(vcpuFd, KVM.SET_FPU, fpu) === 0 ? operand.end : 0;
}

/** Linear address of the memory operand whose ModRM byte is at `at`, and where the instruction ends. 64-bit mode, flat segments. */
function memoryOperand(
  instruction: Uint8Array,
  at: number,
  rex: number,
  registers: DataView,
): { readonly address: bigint; readonly end: number } | undefined {
  const register = (number: number) => registers.getBigUint64(8 * (REGISTER_AT[number] ?? 0), true);
  const bytes = new DataView(instruction.buffer, instruction.byteOffset, instruction.byteLength);
  const modrm = bytes.getUint8(at);
  const mode = modrm >> 6;
  const base = modrm & 7;
  if (mode === 3) return undefined; // a register
  let end = at + 1;
  let address = 0n;
  let displacement = [0, 1, 4][mode] ?? 0;
  if (base === RSP) {
    const sib = bytes.getUint8(end++);
    const index = ((sib >> 3) & 7) | ((rex & 2) << 2);
    if (index !== RSP) address += register(index) << BigInt(sib >> 6);
    if ((sib & 7) === 5 && mode === 0) displacement = 4;
    else address += register((sib & 7) | ((rex & 1) << 3));
  } else if (base === 5 && mode === 0) {
    address += registers.getBigUint64(REGS_RIP_AT, true) + BigInt(end + 4); // relative to the next instruction
    displacement = 4;
  } else {
    address += register(base | ((rex & 1) << 3));
  }
  if (displacement === 1) address += BigInt(bytes.getInt8(end));
  if (displacement === 4) address += BigInt(bytes.getInt32(end, true));
  return { address: BigInt.asUintN(64, address), end: end + displacement };
}

/** Guest-physical address of a linear one; undefined where the guest's page tables have none, or beyond 2^53. */
function translate(libc: Libc, vcpuFd: number, linear: bigint): number | undefined {
  const translation = new Uint8Array(TRANSLATION_SIZE);
  const view = new DataView(translation.buffer);
  view.setBigUint64(0, linear, true);
  if (libc.ioctl(vcpuFd, KVM.TRANSLATE, translation) < 0 || translation[16] === 0) return undefined;
  const physical = view.getBigUint64(8, true);
  return physical <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(physical) : undefined;
}
