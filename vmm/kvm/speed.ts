/** How fast KVM runs a guest's kernel code here: hardware does, or an outer hypervisor makes KVM emulate it. */
import { EXIT, entryRegisters, KVM, memoryRegion, RUN, SREGS_SIZE, setFlatSegments, TSS_ADDRESS } from './abi.ts';
import type { Libc } from './libc.ts';
import { MappedMemory } from './memory.ts';

/** `dec ecx; jnz` back to itself; `hlt`. */
const LOOP = Uint8Array.of(0x49, 0x75, 0xfd, 0xf4);
const ROUNDS = 20_000;
const INSTRUCTIONS = 2 * ROUNDS;
const PAGE = 4096;

/**
 * Instructions per second of a 32-bit ring-0 loop on a fresh processor, its start included; undefined where it does
 * not reach its end. A native processor is above 100 million, an emulating KVM below one.
 */
export function kernelSpeed(libc: Libc, kvm: number): number | undefined {
  const vm = libc.ioctl(kvm, KVM.CREATE_VM, 0);
  if (vm < 0) return undefined;
  const memory = new MappedMemory(libc, 'nexus-probe', PAGE);
  let vcpu = -1;
  try {
    memory.bytes.set(LOOP);
    libc.ioctl(vm, KVM.SET_TSS_ADDR, TSS_ADDRESS);
    libc.ioctl(vm, KVM.SET_USER_MEMORY_REGION, memoryRegion(0, 0, 0, PAGE, memory.address));
    vcpu = libc.ioctl(vm, KVM.CREATE_VCPU, 0);
    const length = libc.ioctl(kvm, KVM.GET_VCPU_MMAP_SIZE, 0);
    if (vcpu < 0 || length < 0) return undefined;
    const page = libc.map(vcpu, length);
    try {
      const sregs = new Uint8Array(SREGS_SIZE);
      if (libc.ioctl(vcpu, KVM.GET_SREGS, sregs) < 0) return undefined;
      setFlatSegments(sregs);
      if (libc.ioctl(vcpu, KVM.SET_SREGS, sregs) < 0) return undefined;
      if (libc.ioctl(vcpu, KVM.SET_REGS, entryRegisters({ eip: 0, ecx: ROUNDS })) < 0) return undefined;
      const started = performance.now();
      if (libc.ioctl(vcpu, KVM.RUN, 0) < 0) return undefined;
      const seconds = (performance.now() - started) / 1000;
      const run = new DataView(libc.view(page, length));
      return run.getUint32(RUN.EXIT_REASON, true) === EXIT.HLT ? INSTRUCTIONS / seconds : undefined;
    } finally {
      libc.unmap(page, length);
    }
  } finally {
    if (vcpu >= 0) libc.close(vcpu);
    libc.close(vm);
    memory.free();
  }
}
