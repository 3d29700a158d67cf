/** The system calls that the KVM engine needs, through koffi. Linux on x86-64. */
import { EngineError } from '../engine.ts';

/** What we use of koffi; its package is optional, so its types cannot be imported where it is missing. */
interface Koffi {
  load(library: string): { func(prototype: string): (...values: unknown[]) => unknown };
  errno(): number;
  view(pointer: bigint, length: number): ArrayBuffer;
}

const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const O_RDWR_CLOEXEC = 0x80002;
const MFD_CLOEXEC = 1;
const SYS_TGKILL = 234;
const SYS_GETTID = 186;
export const EINTR = 4;
export const EAGAIN = 11;
export const SIGUSR2 = 12;

export interface Libc {
  /** File descriptor, or throws with the errno. */
  open(path: string): number;
  close(fd: number): void;
  /** The result; -1 with `errno()` on failure. */
  ioctl(fd: number, request: number, argument: number | bigint | Uint8Array): number;
  errno(): number;
  memory(name: string, bytes: number): number;
  /** Shared mapping of a file descriptor. Bytes are zero-copy. */
  map(fd: number, length: number): bigint;
  unmap(address: bigint, length: number): void;
  view(address: bigint, length: number): ArrayBuffer;
  gettid(): number;
  /** Send a signal to one thread of this process. */
  signalThread(tid: number, signal: number): void;
}

let loaded: Promise<Libc> | undefined;

/** Load once per thread. Throws EngineError ENGINE_FAILED where koffi or a 64-bit glibc is missing. */
export function loadLibc(): Promise<Libc> {
  loaded ??= bind();
  return loaded;
}

async function bind(): Promise<Libc> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new EngineError('ENGINE_FAILED', `kvm: needs Linux on x86-64, not ${process.platform} on ${process.arch}`);
  }
  let koffi: Koffi;
  try {
    koffi = ((await import('koffi')) as unknown as { default: Koffi }).default;
  } catch (cause) {
    throw new EngineError('ENGINE_FAILED', 'kvm: the optional package koffi is not installed', { cause });
  }
  const c = koffi.load('libc.so.6');
  const open = c.func('int open(const char *path, int flags)');
  const close = c.func('int close(int fd)');
  const ioctlNumber = c.func('int ioctl(int fd, unsigned long request, uint64_t argument)');
  const ioctlPointer = c.func('int ioctl(int fd, unsigned long request, _Inout_ void *argument)');
  const memfdCreate = c.func('int memfd_create(const char *name, unsigned int flags)');
  const ftruncate = c.func('int ftruncate(int fd, int64_t length)');
  const mmap = c.func('uint64_t mmap(uint64_t hint, size_t length, int prot, int flags, int fd, int64_t offset)');
  const munmap = c.func('int munmap(uint64_t address, size_t length)');
  const syscall = c.func('long syscall(long number, long a, long b, long c)');
  const checked = (what: string, result: unknown): number => {
    if (typeof result === 'number' && result >= 0) return result;
    throw new EngineError('ENGINE_FAILED', `kvm: ${what} failed with errno ${koffi.errno()}`);
  };
  return {
    open: (path) => checked(`open ${path}`, open(path, O_RDWR_CLOEXEC)),
    close: (fd) => void close(fd),
    ioctl: (fd, request, argument) =>
      Number(argument instanceof Uint8Array ? ioctlPointer(fd, request, argument) : ioctlNumber(fd, request, argument)),
    errno: () => koffi.errno(),
    memory(name, bytes) {
      const fd = checked('memfd_create', memfdCreate(name, MFD_CLOEXEC));
      checked('ftruncate', ftruncate(fd, bytes));
      return fd;
    },
    map(fd, length) {
      const address = BigInt(mmap(0, length, PROT_READ_WRITE, MAP_SHARED, fd, 0) as number | bigint);
      if (address > 1n << 63n) throw new EngineError('ENGINE_FAILED', `kvm: mmap failed with errno ${koffi.errno()}`);
      return address;
    },
    unmap: (address, length) => void munmap(address, length),
    view: (address, length) => koffi.view(address, length),
    gettid: () => Number(syscall(SYS_GETTID, 0, 0, 0)),
    signalThread: (tid, signal) => void syscall(SYS_TGKILL, process.pid, tid, signal),
  };
}
