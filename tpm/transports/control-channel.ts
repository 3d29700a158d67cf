/**
 * swtpm's control channel, the side of the TPM. A command is a number and the request part of a C union; the answer
 * is the response part. QEMU, libvirt, swtpm_ioctl and tpm2-tss drive it.
 */
import type { Locality } from '../device.ts';
import type { Board } from './board.ts';
import { type ByteQueue, concat, u32At, u32s } from './bytes.ts';
import {
  CMD,
  MAX_COMMAND,
  MAX_STATE_BLOB,
  PTM_BLOB_TYPE,
  PTM_CAPS,
  PTM_INIT_FLAG_DELETE_VOLATILE,
  PTM_RES,
} from './protocol.ts';

/** Most bytes that CMD_GET_INFO returns at once (PTM_GETINFO_SIZE). */
const GETINFO_SIZE = 3 * 1024;
/** Most bytes of one CMD_HASH_DATA; swtpm takes any number, in pieces of 4096. */
const MAX_HASH_DATA = 1024 * 1024;

/** What the channel needs besides the board. */
export interface ControlHost {
  /** CMD_SHUTDOWN was answered: end the server. */
  onShutdown(): void;
  /** Serve the data channel on a descriptor that came with CMD_SET_DATAFD. */
  adoptData(fd: number): void;
  log(message: string): void;
}

/** Request sizes. `size` may look at the queue behind the number; undefined: not enough bytes to tell. */
interface Request {
  /** Fewest bytes of the request. */
  readonly min: number;
  /** The union's size, which most clients send; more than `min` only for one-byte requests. */
  readonly max: number;
  /** Length of variable data, from the fixed part. */
  readonly data?: (fixed: Uint8Array) => number;
  readonly dataLimit?: number;
}

const none: Request = { min: 0, max: 0 };
const word: Request = { min: 4, max: 4 };
const localityByte: Request = { min: 1, max: 4 };

const REQUESTS: Readonly<Record<number, Request>> = {
  [CMD.GET_CAPABILITY]: none,
  [CMD.INIT]: word,
  [CMD.SHUTDOWN]: none,
  [CMD.GET_TPMESTABLISHED]: none,
  [CMD.SET_LOCALITY]: localityByte,
  [CMD.HASH_START]: none,
  [CMD.HASH_DATA]: { min: 4, max: 4, data: (fixed) => u32At(fixed, 0), dataLimit: MAX_HASH_DATA },
  [CMD.HASH_END]: none,
  [CMD.CANCEL_TPM_CMD]: none,
  [CMD.STORE_VOLATILE]: none,
  [CMD.RESET_TPMESTABLISHED]: localityByte,
  [CMD.GET_STATEBLOB]: { min: 12, max: 12 },
  [CMD.SET_STATEBLOB]: { min: 12, max: 12, data: (fixed) => u32At(fixed, 8), dataLimit: MAX_STATE_BLOB },
  [CMD.STOP]: none,
  [CMD.GET_CONFIG]: none,
  [CMD.SET_DATAFD]: none,
  [CMD.SET_BUFFERSIZE]: word,
  [CMD.GET_INFO]: { min: 16, max: 16 },
  [CMD.LOCK_STORAGE]: word,
};

/** One command off the wire, or why there is none yet. */
export type ControlFrame =
  | { readonly kind: 'command'; readonly cmd: number; readonly fixed: Uint8Array; readonly data: Uint8Array }
  | { readonly kind: 'incomplete' }
  /** Unknown number or impossible length: the rest of the stream cannot be framed, and is dropped. */
  | { readonly kind: 'refused'; readonly result: number };

/** Take the next command from the queue. The connection survives a refused one, as with swtpm. */
export function nextControlFrame(queue: ByteQueue): ControlFrame {
  const head = queue.peek(4);
  if (!head) return { kind: 'incomplete' };
  const cmd = u32At(head, 0);
  const request = REQUESTS[cmd];
  if (!request) return refuse(queue, PTM_RES.BAD_ORDINAL);
  const fixedSize = Math.min(request.max, Math.max(request.min, queue.length - 4));
  const fixed = queue.peek(4 + fixedSize)?.subarray(4);
  if (!fixed) return { kind: 'incomplete' };
  const dataSize = request.data?.(fixed) ?? 0;
  if (dataSize > (request.dataLimit ?? 0)) return refuse(queue, PTM_RES.FAIL);
  const whole = queue.take(4 + fixedSize + dataSize);
  if (!whole) return { kind: 'incomplete' };
  return { kind: 'command', cmd, fixed: whole.subarray(4, 4 + fixedSize), data: whole.subarray(4 + fixedSize) };
}

function refuse(queue: ByteQueue, result: number): ControlFrame {
  queue.clear();
  return { kind: 'refused', result };
}

const result = (code: number) => u32s(code);
const ok = result(PTM_RES.SUCCESS);

/** Execute one control command. `fd`: the descriptor that came with the bytes, if any. Never rejects. */
export async function controlCommand(
  board: Board,
  host: ControlHost,
  { cmd, fixed, data }: { cmd: number; fixed: Uint8Array; data: Uint8Array },
  fd?: number,
): Promise<Uint8Array> {
  try {
    return await HANDLERS[cmd]!({ board, host, fixed, data, fd }); // The frame's number is a key of REQUESTS, hence here.
  } catch (error) {
    host.log(`control command ${cmd} failed: ${error instanceof Error ? error.message : String(error)}`);
    return result(PTM_RES.FAIL);
  }
}

interface Call {
  readonly board: Board;
  readonly host: ControlHost;
  readonly fixed: Uint8Array;
  readonly data: Uint8Array;
  readonly fd: number | undefined;
}

type Handler = (call: Call) => Uint8Array | Promise<Uint8Array>;

/** Answered BAD_ORDINAL while the TPM is off. */
const whileRunning =
  (handler: Handler): Handler =>
  (call) =>
    call.board.running ? handler(call) : result(PTM_RES.BAD_ORDINAL);

const HANDLERS: Readonly<Record<number, Handler>> = {
  [CMD.GET_CAPABILITY]: () => u32s(PTM_RES.SUCCESS, PTM_CAPS),
  [CMD.INIT]: async ({ board, fixed }) => {
    await board.init((u32At(fixed, 0) & PTM_INIT_FLAG_DELETE_VOLATILE) !== 0);
    return ok;
  },
  [CMD.SHUTDOWN]: async ({ board, host }) => {
    await board.stop();
    host.onShutdown();
    return ok;
  },
  [CMD.STOP]: async ({ board }) => {
    await board.stop();
    return ok;
  },
  [CMD.GET_TPMESTABLISHED]: whileRunning(({ board }) =>
    concat(ok, Uint8Array.of(board.tpm.established ? 1 : 0, 0, 0, 0)),
  ),
  [CMD.RESET_TPMESTABLISHED]: whileRunning(({ board, fixed }) => {
    const locality = localityOf(fixed);
    return result(
      locality !== undefined && board.tpm.resetEstablished(locality) ? PTM_RES.SUCCESS : PTM_RES.BAD_LOCALITY,
    );
  }),
  [CMD.SET_LOCALITY]: ({ board, fixed }) => {
    const locality = localityOf(fixed);
    if (locality === undefined) return result(PTM_RES.BAD_LOCALITY);
    board.locality = locality;
    return ok;
  },
  [CMD.HASH_START]: whileRunning(({ board }) => {
    board.tpm.hashStart();
    return ok;
  }),
  [CMD.HASH_DATA]: whileRunning(({ board, data }) => {
    board.tpm.hashData(data);
    return ok;
  }),
  [CMD.HASH_END]: whileRunning(({ board }) => {
    board.tpm.hashEnd();
    return ok;
  }),
  [CMD.CANCEL_TPM_CMD]: whileRunning(({ board }) => {
    board.tpm.cancel();
    return ok;
  }),
  [CMD.STORE_VOLATILE]: whileRunning(async ({ board }) =>
    result((await board.storeVolatile()) ? PTM_RES.SUCCESS : PTM_RES.FAIL),
  ),
  [CMD.GET_STATEBLOB]: whileRunning(({ board, fixed }) => getStateBlob(board, u32At(fixed, 4), u32At(fixed, 8))),
  [CMD.SET_STATEBLOB]: ({ board, fixed, data }) =>
    board.running ? result(PTM_RES.BAD_ORDINAL) : setStateBlob(board, u32At(fixed, 4), data),
  [CMD.GET_CONFIG]: () => u32s(PTM_RES.SUCCESS, 0),
  [CMD.SET_DATAFD]: ({ host, fd }) => {
    if (fd === undefined) {
      host.log(
        'CMD_SET_DATAFD without a descriptor: use a Unix control socket, and install the optional package koffi',
      );
      return result(PTM_RES.BAD_PARAMETER);
    }
    host.adoptData(fd);
    return ok;
  },
  // One size, whatever is asked for: the TPM's own limits stand in its capabilities.
  [CMD.SET_BUFFERSIZE]: ({ board, fixed }) =>
    board.running && u32At(fixed, 0) !== 0
      ? result(PTM_RES.BAD_ORDINAL)
      : u32s(PTM_RES.SUCCESS, MAX_COMMAND, MAX_COMMAND, MAX_COMMAND),
  [CMD.GET_INFO]: ({ board, fixed }) => getInfo(board.info, u32At(fixed, 4), u32At(fixed, 8)),
  // The store holds its lock for as long as it is open.
  [CMD.LOCK_STORAGE]: () => ok,
};

function localityOf(fixed: Uint8Array): Locality | undefined {
  const value = fixed[0] ?? 0xff;
  return value <= 4 ? (value as Locality) : undefined; // In range by the test before.
}

function getStateBlob({ tpm }: Board, type: number, offset: number): Uint8Array {
  const blob = exportBlob(tpm, type);
  if (!blob) return u32s(PTM_RES.FAIL, 0, 0, 0);
  const part = blob.subarray(Math.min(offset, blob.length));
  return concat(u32s(PTM_RES.SUCCESS, 0, part.length, part.length), part);
}

function exportBlob(tpm: Board['tpm'], type: number): Uint8Array | undefined {
  if (type === PTM_BLOB_TYPE.PERMANENT) return tpm.exportPermanent?.();
  if (type === PTM_BLOB_TYPE.VOLATILE) return tpm.exportVolatile?.();
  // TPM 1.2 only; a TPM 2.0 keeps the state of Shutdown(STATE) in its permanent state.
  if (type === PTM_BLOB_TYPE.SAVESTATE) return new Uint8Array(0);
  return undefined;
}

async function setStateBlob(board: Board, type: number, blob: Uint8Array): Promise<Uint8Array> {
  if (type === PTM_BLOB_TYPE.PERMANENT && board.tpm.restore && blob.length > 0) {
    await board.tpm.restore({ permanent: blob });
    return ok;
  }
  if (type === PTM_BLOB_TYPE.VOLATILE && board.tpm.restore) {
    await board.setVolatile(Uint8Array.from(blob));
    return ok;
  }
  if (type === PTM_BLOB_TYPE.SAVESTATE && blob.length === 0) return ok;
  return result(PTM_RES.BAD_PARAMETER);
}

/** Names of the flag bits of CMD_GET_INFO (SWTPM_INFO_*), bit 0 first. */
const INFO_KEYS = [
  ['TPMSpecification'],
  ['TPMAttributes'],
  ['TPMFeatures'],
  ['RuntimeAlgorithms'],
  ['RuntimeCommands'],
] as const;

function getInfo(info: Readonly<Record<string, unknown>>, flags: number, offset: number): Uint8Array {
  const chosen: Record<string, unknown> = {};
  INFO_KEYS.forEach((keys, bit) => {
    if ((flags & (1 << bit)) === 0) return;
    for (const key of keys) if (key in info) chosen[key] = info[key];
  });
  const text = new TextEncoder().encode(`${JSON.stringify(chosen)}\0`);
  if (offset >= text.length - 1) return result(PTM_RES.BAD_PARAMETER);
  const part = text.subarray(offset, offset + GETINFO_SIZE);
  return concat(u32s(PTM_RES.SUCCESS, text.length, part.length), part);
}
