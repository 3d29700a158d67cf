/** A stock Linux guest from the distribution's packages: its kernel, and an initramfs with BusyBox and TPM tools. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { AptCache, type DebianArchitecture } from './apt.ts';
import { LinuxGuestError } from './error.ts';
import { DISK_MODULES } from './init.ts';
import { buildInitramfs } from './initramfs.ts';
import { type LinuxKernel, parseKernel } from './kernel.ts';

export type LinuxArchitecture = 'i686' | 'x86_64';

export interface LinuxFiles {
  readonly kernel: LinuxKernel;
  readonly initrd: Uint8Array;
  /** The kernel's package, `linux-image-6.1.0-50-686` and the like. */
  readonly kernelPackage: string;
}

const DISTRIBUTION: Readonly<Record<LinuxArchitecture, { architecture: DebianArchitecture; kernel: string }>> = {
  i686: { architecture: 'i386', kernel: 'linux-image-686' },
  x86_64: { architecture: 'amd64', kernel: 'linux-image-cloud-amd64' },
};

/**
 * Command line of a guest that starts fast: no self-tests of the kernel's cryptography, no calibration, nothing
 * probed that our machine does not have. `quiet` because every character is an exit to the host.
 */
export const FAST_COMMAND_LINE =
  'console=ttyS0 quiet cryptomgr.notests=1 mitigations=off no_timer_check tsc=reliable random.trust_bootloader=on ' +
  'lpj=4000000 nowatchdog audit=0 apparmor=0 selinux=0 8250.nr_uarts=1 i8042.nokbd i8042.noaux pci=off ' +
  'initcall_blacklist=trace_eval_init,init_kprobe_trace,isapnp_init';

/**
 * Fetch what the cache lacks and build. `tools` puts tpm2-tools and its libraries into the guest.
 * Throws LinuxGuestError.
 */
export async function fetchLinux(
  cacheDirectory: string,
  architecture: LinuxArchitecture,
  options: { readonly tools?: boolean; readonly files?: Readonly<Record<string, Uint8Array>> } = {},
): Promise<LinuxFiles> {
  const { architecture: debian, kernel: metapackage } = DISTRIBUTION[architecture];
  const apt = new AptCache(cacheDirectory, debian);
  const kernelPackage = await apt.firstDependency(metapackage);
  const toolNames = options.tools ? await apt.closure('tpm2-tools') : [];
  const [kernelFile, busyboxFile, ...toolFiles] = await apt.packages([kernelPackage, 'busybox-static', ...toolNames]);
  if (kernelFile === undefined || busyboxFile === undefined) throw new LinuxGuestError('LINUX_FETCH', 'no kernel');
  const kernelTree = await apt.unpacked(kernelFile);
  const boot = join(kernelTree, 'boot');
  const image = readdirSync(boot).find((file) => file.startsWith('vmlinuz-'));
  if (image === undefined) throw new LinuxGuestError('LINUX_FETCH', `${kernelPackage} holds no kernel image`);
  const trees: string[] = [];
  for (const file of toolFiles) trees.push(await apt.unpacked(file));
  const initrd = buildInitramfs({
    busybox: readFileSync(join(await apt.unpacked(busyboxFile), 'bin/busybox')),
    trees,
    programs: options.tools ? ['usr/bin/tpm2'] : [],
    modules: diskModules(join(kernelTree, 'lib/modules')),
    libraries: options.tools ? ['libtss2-tcti-device.so.0'] : [],
    ...(options.files && { files: options.files }),
  });
  return { kernel: await parseKernel(readFileSync(join(boot, image))), initrd, kernelPackage };
}

/** The modules of a guest's disk, from a kernel package's tree; what is built into the kernel has no file. */
function diskModules(directory: string): Record<string, Uint8Array> {
  const modules: Record<string, Uint8Array> = {};
  for (const path of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    const name = basename(path, '.ko');
    if (path.endsWith('.ko') && DISK_MODULES.includes(name)) modules[name] = readFileSync(join(directory, path));
  }
  return modules;
}
