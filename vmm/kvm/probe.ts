/** What this machine's /dev/kvm can do, found by asking it. */
import { API_VERSION, KVM, OPTIONAL_EXTENSIONS, REQUIRED_EXTENSIONS } from './abi.ts';
import { loadLibc } from './libc.ts';
import { kernelSpeed } from './speed.ts';

/** Below this many instructions a second, a guest's kernel code is emulated rather than run by the processor. */
const NATIVE = 20e6;

export interface KvmReport {
  readonly usable: boolean;
  /** Why not; empty when usable. */
  readonly reason: string;
  /** Usable, but another hypervisor below makes KVM emulate kernel code: v86 is faster, and more complete. */
  readonly emulating: boolean;
  /** Extension -> what KVM_CHECK_EXTENSION says, 0 for absent. */
  readonly extensions: Readonly<Record<string, number>>;
}

/** Never throws: everything that is missing is a reason. */
export async function probeKvm(device = '/dev/kvm'): Promise<KvmReport> {
  const unusable = (reason: string, extensions = {}): KvmReport => ({
    usable: false,
    reason,
    emulating: false,
    extensions,
  });
  try {
    const libc = await loadLibc();
    const kvm = libc.open(device);
    try {
      const version = libc.ioctl(kvm, KVM.GET_API_VERSION, 0);
      if (version !== API_VERSION) return unusable(`${device} speaks API version ${version}, not ${API_VERSION}`);
      const ask = (number: number) => Math.max(0, libc.ioctl(kvm, KVM.CHECK_EXTENSION, number));
      const extensions = Object.fromEntries(
        Object.entries({ ...REQUIRED_EXTENSIONS, ...OPTIONAL_EXTENSIONS }).map(([name, number]) => [name, ask(number)]),
      );
      const missing = Object.keys(REQUIRED_EXTENSIONS).filter((name) => extensions[name] === 0);
      if (missing.length > 0) return unusable(`${device} lacks ${missing.join(', ')}`, extensions);
      const vm = libc.ioctl(kvm, KVM.CREATE_VM, 0);
      if (vm < 0) return unusable(`${device} refuses to create a machine (errno ${libc.errno()})`, extensions);
      libc.close(vm);
      const speed = kernelSpeed(libc, kvm);
      const emulating = speed === undefined || speed < NATIVE;
      return { usable: true, reason: '', emulating, extensions };
    } finally {
      libc.close(kvm);
    }
  } catch (error) {
    return unusable(error instanceof Error ? error.message : String(error));
  }
}
