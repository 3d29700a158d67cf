/**
 * Receiving a file descriptor over a Unix socket (SCM_RIGHTS), which Node's own sockets cannot do. QEMU's
 * `-tpmdev emulator` hands over its data channel this way, with the first command on the control socket, so the first
 * bytes of a Unix control connection are read with recvmsg(2) through the optional package `koffi`; everything after
 * them is Node's. Linux on 64 bits only: the layout of `struct msghdr` below is that of its C libraries.
 */
import { constants } from 'node:os';

/** What one attempt to read brought. */
export type Received =
  | { readonly kind: 'nothing yet' }
  | { readonly kind: 'closed' }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array; readonly fd: number | undefined };

/** Read once from a socket descriptor without waiting, taking at most one descriptor along. */
export type FdReceiver = (socket: number) => Received;

const MSG_DONTWAIT = 0x40;
const MSG_CMSG_CLOEXEC = 0x40000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
/** struct cmsghdr { size_t len; int level; int type; } and one int, rounded up to 8. */
const CMSG_HEADER = 16;
const CONTROL_SIZE = CMSG_HEADER + 8;
const BUFFER_SIZE = 4096;

/** The receiver of this machine, or why there is none. */
export async function loadFdReceiver(): Promise<FdReceiver | { readonly missing: string }> {
  if (process.platform !== 'linux' || !['x64', 'arm64', 'riscv64'].includes(process.arch)) {
    return { missing: `descriptors over sockets are not supported on ${process.platform}-${process.arch}` };
  }
  try {
    const { default: koffi } = await import('koffi');
    const library = koffi.load(null);
    const recvmsg = library.func('long recvmsg(int socket, void *message, int flags)');
    return receiver(
      recvmsg as unknown as Recvmsg,
      (bytes) => koffi.address(bytes),
      () => koffi.errno(),
    );
  } catch (error) {
    return { missing: `package koffi: ${error instanceof Error ? error.message : String(error)}` };
  }
}

type Recvmsg = (socket: number, message: Uint8Array, flags: number) => number;

function receiver(recvmsg: Recvmsg, address: (bytes: Uint8Array) => bigint, errno: () => number): FdReceiver {
  const buffer = new Uint8Array(BUFFER_SIZE);
  const control = new Uint8Array(CONTROL_SIZE);
  const iovec = new BigUint64Array([address(buffer), BigInt(BUFFER_SIZE)]);
  // struct msghdr: name, namelen, iov, iovlen, control, controllen, flags; eight bytes each.
  const message = new BigUint64Array(7);
  const messageBytes = new Uint8Array(message.buffer);
  const iovecBytes = new Uint8Array(iovec.buffer);

  return (socket) => {
    message.set([0n, 0n, address(iovecBytes), 1n, address(control), BigInt(CONTROL_SIZE), 0n]);
    const count = recvmsg(socket, messageBytes, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (count === 0) return { kind: 'closed' };
    if (count < 0) {
      const code = errno();
      return code === constants.errno.EAGAIN || code === constants.errno.EINTR
        ? { kind: 'nothing yet' }
        : { kind: 'closed' };
    }
    const controlLength = Number(message[5] ?? 0n);
    return { kind: 'bytes', bytes: buffer.slice(0, count), fd: passedDescriptor(control, controlLength) };
  };
}

function passedDescriptor(control: Uint8Array, length: number): number | undefined {
  if (length < CMSG_HEADER + 4) return undefined;
  const view = new DataView(control.buffer);
  if (view.getInt32(8, true) !== SOL_SOCKET || view.getInt32(12, true) !== SCM_RIGHTS) return undefined;
  return view.getInt32(CMSG_HEADER, true);
}
