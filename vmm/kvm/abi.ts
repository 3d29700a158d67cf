/** The part of KVM's interface that the engine uses. Linux include/uapi/linux/kvm.h and Documentation/virt/kvm/api.rst, x86-64. */

/** Request numbers of ioctl. */
export const KVM = {
  GET_API_VERSION: 0xae00,
  GET_MSR_INDEX_LIST: 0xc004ae02,
  CREATE_VM: 0xae01,
  CHECK_EXTENSION: 0xae03,
  GET_VCPU_MMAP_SIZE: 0xae04,
  GET_SUPPORTED_CPUID: 0xc008ae05,
  CREATE_VCPU: 0xae41,
  SET_TSS_ADDR: 0xae47,
  SET_IDENTITY_MAP_ADDR: 0x4008ae48,
  SET_USER_MEMORY_REGION: 0x4020ae46,
  CREATE_IRQCHIP: 0xae60,
  IRQ_LINE: 0x4008ae61,
  GET_IRQCHIP: 0xc208ae62,
  SET_IRQCHIP: 0x8208ae63,
  CREATE_PIT2: 0x4040ae77,
  GET_PIT2: 0x8070ae9f,
  SET_PIT2: 0x4070aea0,
  RUN: 0xae80,
  GET_REGS: 0x8090ae81,
  SET_REGS: 0x4090ae82,
  GET_SREGS: 0x8138ae83,
  SET_SREGS: 0x4138ae84,
  SET_CPUID2: 0x4008ae90,
  TRANSLATE: 0xc018ae85,
  GET_MSRS: 0xc008ae88,
  SET_MSRS: 0x4008ae89,
  GET_LAPIC: 0x8400ae8e,
  SET_LAPIC: 0x4400ae8f,
  GET_MP_STATE: 0x8004ae98,
  SET_MP_STATE: 0x4004ae99,
  GET_DEBUGREGS: 0x8080aea1,
  SET_DEBUGREGS: 0x4080aea2,
  GET_XSAVE: 0x9000aea4,
  SET_XSAVE: 0x5000aea5,
  GET_XCRS: 0x8188aea6,
  SET_XCRS: 0x4188aea7,
  GET_FPU: 0x81a0ae8c,
  SET_FPU: 0x41a0ae8d,
  GET_VCPU_EVENTS: 0x8040ae9f,
  SET_VCPU_EVENTS: 0x4040aea0,
} as const;

/** The only version there is (api.rst, 4.1). */
export const API_VERSION = 12;

/** Extensions that the engine needs, by name, with their numbers for KVM_CHECK_EXTENSION. */
export const REQUIRED_EXTENSIONS = { IRQCHIP: 0, USER_MEMORY: 3, READONLY_MEM: 81, IMMEDIATE_EXIT: 136 } as const;
/** Extensions that it uses where they are, or that tell what a host could do. */
export const OPTIONAL_EXTENSIONS = { NR_MEMSLOTS: 10, PIT2: 33, IRQFD: 32, IOEVENTFD: 36, GUEST_MEMFD: 234 } as const;

/** Exit reasons in kvm_run (api.rst, section 5). */
export const EXIT = {
  IO: 2,
  HLT: 5,
  MMIO: 6,
  IRQ_WINDOW_OPEN: 7,
  SHUTDOWN: 8,
  FAIL_ENTRY: 9,
  INTR: 10,
  INTERNAL_ERROR: 17,
  SYSTEM_EVENT: 24,
} as const;

/** Offsets in kvm_run. */
export const RUN = {
  IMMEDIATE_EXIT: 1,
  EXIT_REASON: 8,
  IF_FLAG: 13,
  /** The union of all exits begins here. */
  DETAIL: 32,
  IO_DIRECTION: 32,
  IO_SIZE: 33,
  IO_PORT: 34,
  IO_COUNT: 36,
  IO_DATA_OFFSET: 40,
  MMIO_ADDRESS: 32,
  MMIO_DATA: 40,
  MMIO_LENGTH: 48,
  MMIO_IS_WRITE: 52,
  /** Of KVM_INTERNAL_ERROR_EMULATION: count of 64-bit words that follow, then flags and the instruction. */
  ERROR_WORDS: 36,
  ERROR_INSTRUCTION_SIZE: 48,
} as const;

/** Where KVM on Intel may keep three pages of its own, below what any guest has (api.rst, KVM_SET_TSS_ADDR). */
export const TSS_ADDRESS = 0xfffbd000;
export const IO_OUT = 1;
export const MEM_READONLY = 2;

/** struct kvm_userspace_memory_region. `size` 0 removes the slot. */
export function memoryRegion(slot: number, flags: number, gpa: number, size: number, host: bigint): Uint8Array {
  const region = new Uint8Array(32);
  const view = new DataView(region.buffer);
  view.setUint32(0, slot, true);
  view.setUint32(4, flags, true);
  view.setBigUint64(8, BigInt(gpa), true);
  view.setBigUint64(16, BigInt(size), true);
  view.setBigUint64(24, host, true);
  return region;
}

export const REGS_SIZE = 144;
/** Offset of RIP in struct kvm_regs. */
export const REGS_RIP_AT = 128;
export const SREGS_SIZE = 312;
export const VCPU_EVENTS_SIZE = 64;
export const TRANSLATION_SIZE = 24;
export const FPU_SIZE = 416;
/** Offset of MXCSR in struct kvm_fpu. */
export const FPU_MXCSR_AT = 408;

/** struct kvm_regs of the entry state. */
export function entryRegisters(entry: {
  eip: number;
  eax?: number;
  ebx?: number;
  ecx?: number;
  esi?: number;
}): Uint8Array {
  const regs = new Uint8Array(REGS_SIZE);
  const view = new DataView(regs.buffer);
  const set = (index: number, value = 0) => view.setBigUint64(8 * index, BigInt(value >>> 0), true);
  set(0, entry.eax);
  set(1, entry.ebx);
  set(2, entry.ecx);
  set(4, entry.esi);
  set(16, entry.eip);
  set(17, 2); // bit 1 of RFLAGS always reads as one; interrupts are off
  return regs;
}

/** Make struct kvm_sregs 32-bit protected mode with flat segments, paging off. */
export function setFlatSegments(sregs: Uint8Array): void {
  const view = new DataView(sregs.buffer, sregs.byteOffset, sregs.byteLength);
  const CODE = { selector: 0x08, type: 0xb }; // execute, read, accessed
  const DATA = { selector: 0x10, type: 0x3 }; // read, write, accessed
  [CODE, DATA, DATA, DATA, DATA, DATA].forEach(({ selector, type }, i) => {
    const at = 24 * i;
    view.setBigUint64(at, 0n, true);
    view.setUint32(at + 8, 0xffffffff, true);
    view.setUint16(at + 12, selector, true);
    // type, present, dpl, db, s, l, g, avl, unusable
    sregs.set([type, 1, 0, 1, 1, 0, 1, 0, 0], at + 14);
  });
  const CR0_AT = 224;
  const CR0_PE_ET = 0x11n;
  view.setBigUint64(CR0_AT, CR0_PE_ET, true);
}
