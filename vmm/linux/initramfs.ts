/** The root file system of a Linux guest: BusyBox, and programs of the distribution with the libraries they need. */
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { cpio, type Tree, type TreeEntry } from './cpio.ts';
import { neededLibraries } from './elf.ts';
import { LinuxGuestError } from './error.ts';
import { APPLETS, INIT } from './init.ts';

export interface InitramfsOptions {
  /** The statically linked BusyBox. */
  readonly busybox: Uint8Array;
  /** Unpacked package trees, in which programs and libraries are looked up. */
  readonly trees?: readonly string[];
  /** Programs by path within a tree, such as `usr/bin/tpm2`; the links beside one that lead to it come along. */
  readonly programs?: readonly string[];
  /** Libraries that are loaded by name at run time, such as `libtss2-tcti-device.so.0`. */
  readonly libraries?: readonly string[];
  /** Kernel modules: name -> the module's file. */
  readonly modules?: Readonly<Record<string, Uint8Array>>;
  /** More files: path -> bytes; executable when below `bin`. */
  readonly files?: Readonly<Record<string, Uint8Array>>;
}

/** Directories that a dynamic linker searches, in any architecture's package. */
const LIBRARY_DIRECTORY = /^(usr\/)?lib(64)?(\/[a-z0-9_]+-linux-gnu)?$/;
const INTERPRETERS = ['ld-linux.so.2', 'ld-linux-x86-64.so.2'];

/** Build the archive. Equal inputs give equal bytes. Throws LinuxGuestError LINUX_FETCH for what no tree holds. */
export function buildInitramfs(options: InitramfsOptions): Uint8Array {
  const tree = new Map<string, TreeEntry>();
  const executable = (bytes: Uint8Array): TreeEntry => ({ kind: 'file', bytes, executable: true });
  for (const directory of ['dev', 'proc', 'root', 'sys', 'tmp', 'etc']) tree.set(directory, { kind: 'directory' });
  // The kernel opens it for init before anything is mounted.
  tree.set('dev/console', { kind: 'device', major: 5, minor: 1 });
  tree.set('init', executable(new TextEncoder().encode(INIT)));
  tree.set('bin/busybox', executable(options.busybox));
  for (const applet of APPLETS) tree.set(`bin/${applet}`, { kind: 'link', target: 'busybox' });
  addPrograms(tree, options);
  for (const [name, bytes] of Object.entries(options.modules ?? {})) {
    tree.set(`lib/modules/${name}.ko`, { kind: 'file', bytes, executable: false });
  }
  for (const [path, bytes] of Object.entries(options.files ?? {})) {
    tree.set(path, { kind: 'file', bytes, executable: dirname(path).endsWith('bin') });
  }
  return cpio(tree as Tree);
}

function addPrograms(
  tree: Map<string, TreeEntry>,
  { trees = [], programs = [], libraries = [] }: InitramfsOptions,
): void {
  if (programs.length === 0) return;
  const index = indexLibraries(trees);
  const queue = [...libraries];
  for (const program of programs) {
    const home = trees.find((root) => isFile(join(root, program)));
    if (home === undefined) throw new LinuxGuestError('LINUX_FETCH', `no package holds ${program}`);
    const bytes = readFileSync(join(home, program));
    tree.set(program, { kind: 'file', bytes, executable: true });
    for (const name of otherNames(home, program)) tree.set(name, { kind: 'link', target: basename(program) });
    queue.push(...neededLibraries(bytes));
  }
  for (const name of INTERPRETERS) if (index.has(name)) queue.push(name);
  for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
    const path = name === 'ld-linux-x86-64.so.2' ? `lib64/${name}` : `lib/${name}`;
    if (tree.has(path)) continue;
    const file = index.get(name);
    if (file === undefined) throw new LinuxGuestError('LINUX_FETCH', `no package holds the library ${name}`);
    const bytes = readFileSync(file);
    tree.set(path, { kind: 'file', bytes, executable: true });
    queue.push(...neededLibraries(bytes));
  }
}

/** Links beside a program that lead to it: the tools of a program that goes by its name, such as `tpm2_quote`. */
function otherNames(root: string, program: string): string[] {
  const directory = dirname(program);
  return readdirSync(join(root, directory), { withFileTypes: true })
    .filter((entry) => entry.isSymbolicLink() && readlinkSync(join(root, directory, entry.name)) === basename(program))
    .map((entry) => join(directory, entry.name));
}

/** Library name -> file with its bytes. Links are followed within the package that they come from. */
function indexLibraries(trees: readonly string[]): Map<string, string> {
  const index = new Map<string, string>();
  const visit = (root: string, directory: string): void => {
    for (const entry of readdirSync(join(root, directory), { withFileTypes: true })) {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) {
        if (/^(usr|lib(64)?|[a-z0-9_]+-linux-gnu)$/.test(entry.name)) visit(root, path);
      } else if (LIBRARY_DIRECTORY.test(directory) && entry.name.includes('.so')) {
        const file = followLinks(root, path);
        if (file !== undefined) index.set(basename(path), file);
      }
    }
  };
  for (const root of trees) visit(root, '');
  return index;
}

function followLinks(root: string, path: string): string | undefined {
  let current = join(root, path);
  for (let hops = 0; hops < 8 && lstatSync(current, { throwIfNoEntry: false })?.isSymbolicLink(); hops++) {
    const target = readlinkSync(current);
    current = target.startsWith('/') ? join(root, target) : resolve(dirname(current), target);
    if (!current.startsWith(`${root}/`)) return undefined;
  }
  return isFile(current) ? current : undefined;
}

const isFile = (path: string) => lstatSync(path, { throwIfNoEntry: false })?.isFile() === true;
