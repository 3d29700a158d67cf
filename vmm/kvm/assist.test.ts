import { describe, expect, it } from 'vitest';
import { FPU_MXCSR_AT, KVM, REGS_RIP_AT } from './abi.ts';
import { assistEmulator } from './assist.ts';
import type { Libc } from './libc.ts';

const RIP = 0x1000;
const OFFSET = 0xffff_8880_0000_0000n; // the guest maps its memory there
const RBX_AT = 8;
const RSP_AT = 48;
const R9_AT = 72;

/** A processor of which only the calls of `assistEmulator` exist. */
class Processor {
  readonly registers = new DataView(new ArrayBuffer(144));
  readonly ram = new Uint8Array(4096);
  mxcsr = 0x1f80;
  events: Uint8Array | undefined;

  constructor() {
    this.registers.setBigUint64(REGS_RIP_AT, BigInt(RIP), true);
  }

  readonly libc = {
    ioctl: (_fd: number, request: number, argument: Uint8Array) => {
      const view = new DataView(argument.buffer);
      if (request === KVM.GET_REGS) argument.set(new Uint8Array(this.registers.buffer));
      if (request === KVM.SET_REGS) new Uint8Array(this.registers.buffer).set(argument);
      if (request === KVM.GET_FPU) view.setUint32(FPU_MXCSR_AT, this.mxcsr, true);
      if (request === KVM.SET_FPU) this.mxcsr = view.getUint32(FPU_MXCSR_AT, true);
      if (request === KVM.SET_VCPU_EVENTS) this.events = argument.slice();
      if (request === KVM.TRANSLATE) {
        const linear = view.getBigUint64(0, true);
        argument[16] = linear >= OFFSET ? 1 : 0;
        view.setBigUint64(8, BigInt.asUintN(64, linear - OFFSET), true);
      }
      return 0;
    },
  } as unknown as Libc;

  run = (...instruction: number[]) => assistEmulator(this.libc, 0, this.ram, Uint8Array.from(instruction));
  get rip() {
    return Number(this.registers.getBigUint64(REGS_RIP_AT, true));
  }
}

describe('what the emulator of a nested KVM lacks', () => {
  it('INT3 raises #BP behind itself; FWAIT goes on', () => {
    const processor = new Processor();
    expect(processor.run(0x9b)).toBe(true);
    expect([processor.rip, processor.events]).toEqual([RIP + 1, undefined]);
    expect(processor.run(0xcc)).toBe(true);
    expect(processor.rip).toBe(RIP + 2);
    expect(processor.events?.subarray(0, 2)).toEqual(Uint8Array.of(1, 3));
  });

  // Encodings as GNU as makes them.
  it.each([
    ['ldmxcsr (%rsp)', [0x0f, 0xae, 0x14, 0x24], RSP_AT, 0, 4],
    ['ldmxcsr 0x4(%rsp)', [0x0f, 0xae, 0x54, 0x24, 0x04], RSP_AT, 4, 5],
    ['ldmxcsr -0x8(%rbx)', [0x0f, 0xae, 0x53, 0xf8], RBX_AT, -8, 4],
    ['ldmxcsr 0x100(%r9)', [0x41, 0x0f, 0xae, 0x91, 0x00, 0x01, 0x00, 0x00], R9_AT, 0x100, 8],
  ])('%s loads MXCSR from memory', (_, bytes, register, displacement, length) => {
    const processor = new Processor();
    const at = 0x800;
    const pointer = OFFSET + BigInt(at - displacement);
    processor.registers.setBigUint64(register, pointer, true);
    new DataView(processor.ram.buffer).setUint32(at, 0x9fc0, true);
    expect(processor.run(...bytes)).toBe(true);
    expect([processor.mxcsr, processor.rip]).toEqual([0x9fc0, RIP + length]);
  });

  it('ldmxcsr relative to the next instruction', () => {
    const processor = new Processor();
    processor.registers.setBigUint64(REGS_RIP_AT, OFFSET + 0x100n, true);
    new DataView(processor.ram.buffer).setUint32(0x100 + 7 + 0x20, 0x1fa0, true);
    expect(processor.run(0x0f, 0xae, 0x15, 0x20, 0x00, 0x00, 0x00)).toBe(true);
    expect(processor.mxcsr).toBe(0x1fa0);
  });

  it('stmxcsr stores it', () => {
    const processor = new Processor();
    processor.registers.setBigUint64(RSP_AT, OFFSET + 16n, true);
    expect(processor.run(0x0f, 0xae, 0x1c, 0x24)).toBe(true);
    expect(new DataView(processor.ram.buffer).getUint32(16, true)).toBe(0x1f80);
  });

  it.each([
    ['another instruction', [0x0f, 0x0b]],
    ['lfence, which has no memory operand', [0x0f, 0xae, 0xe8]],
    ['no bytes', []],
    ['an address that the guest has not mapped', [0x0f, 0xae, 0x13]],
  ])('%s ends the guest, and changes nothing', (_, bytes) => {
    const processor = new Processor();
    expect(processor.run(...bytes)).toBe(false);
    expect([processor.rip, processor.mxcsr]).toEqual([RIP, 0x1f80]);
  });

  it('reserved bits of MXCSR and addresses beyond memory are not served', () => {
    const processor = new Processor();
    processor.registers.setBigUint64(RBX_AT, OFFSET, true);
    processor.ram.fill(0xff, 0, 4);
    expect(processor.run(0x0f, 0xae, 0x13)).toBe(false);
    processor.registers.setBigUint64(RBX_AT, OFFSET + 4094n, true);
    expect(processor.run(0x0f, 0xae, 0x13)).toBe(false);
  });
});
