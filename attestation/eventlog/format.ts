/**
 * TCG event logs in their byte forms, read and written: the SHA-1 log of TPM 1.2 firmware, the crypto-agile log (TCG PC
 * Client Platform Firmware Profile 1.06, section 10.2), and the log of a confidential machine (ACPI CCEL), which has
 * the same framing over measurement registers. What an event means is `meaning.ts`; what registers come of a log,
 * `replay.ts`. Digests and data are views of the input.
 */
import { concatBytes, fromLatin1, LittleEndian, latin1, ShortError } from '../bytes.ts';
import { DIGEST_SIZES, hashById } from '../hash.ts';
import { EVENT } from './types.ts';

export { DIGEST_SIZES } from '../hash.ts';
export { EVENT, eventTypeName } from './types.ts';

/** The register of events that extend none, in logs of Windows. */
export const NO_REGISTER = 0xffffffff;

export interface LogEvent {
  /** Place in the log; the header of a crypto-agile log has none. */
  readonly index: number;
  /** PCR, or measurement register of a CCEL log (0 is MRTD, 1 to 4 are RTMR 0 to 3). */
  readonly pcr: number;
  readonly type: number;
  readonly data: Uint8Array;
  /** The digest of a bank (its place in the log's algorithms); undefined when the log has no such bank. */
  digestOf(bank: number): Uint8Array | undefined;
  /** Copy the digest of a bank (its place in the log's algorithms) to `target` at `at`. */
  copyDigest(bank: number, target: Uint8Array, at: number): void;
}

/** An event where it stands in the log. Views are made when asked for: a replay needs one bank and no data. */
class EventInPlace implements LogEvent {
  readonly index: number;
  readonly pcr: number;
  readonly type: number;
  readonly #log: Uint8Array;
  /** Offset and size of each bank's digest. */
  readonly #offsets: readonly number[];
  readonly #sizes: readonly number[];
  readonly #dataAt: number;
  readonly #dataSize: number;
  #data: Uint8Array | undefined;

  constructor(
    log: Uint8Array,
    head: { readonly index: number; readonly pcr: number; readonly type: number },
    offsets: readonly number[],
    sizes: readonly number[],
    dataAt: number,
    dataSize: number,
  ) {
    this.#log = log;
    this.index = head.index;
    this.pcr = head.pcr;
    this.type = head.type;
    this.#offsets = offsets;
    this.#sizes = sizes;
    this.#dataAt = dataAt;
    this.#dataSize = dataSize;
  }

  digestOf(bank: number): Uint8Array | undefined {
    const at = this.#offsets[bank];
    return at === undefined ? undefined : this.#log.subarray(at, at + (this.#sizes[bank] ?? 0));
  }

  get data(): Uint8Array {
    this.#data ??= this.#log.subarray(this.#dataAt, this.#dataAt + this.#dataSize);
    return this.#data;
  }

  copyDigest(bank: number, target: Uint8Array, at: number): void {
    const log = this.#log;
    const from = this.#offsets[bank] ?? 0;
    const size = this.#sizes[bank] ?? 0;
    for (let i = 0; i < size; i++) target[at + i] = log[from + i] as number; // inside: checked when it was read
  }
}

export interface ParsedLog {
  readonly format: 'sha1' | 'crypto-agile';
  /** TPM_ALG_ID of each bank. */
  readonly algorithms: readonly number[];
  /** Without the header of a crypto-agile log. */
  readonly events: readonly LogEvent[];
  /** Bytes of padding (all 0x00 or all 0xff) that follow the events, as CCEL areas have. */
  readonly padding: number;
}

export type EventLogErrorCode =
  | 'log-size'
  | 'log-truncated'
  | 'log-header'
  | 'log-banks'
  | 'log-register'
  | 'log-events'
  | 'log-content';

/** The bytes are not an event log, or not one that can be trusted to be whole. */
export class EventLogError extends Error {
  override readonly name = 'EventLogError';
  readonly code: EventLogErrorCode;
  readonly remedy = 'Send the event log as the firmware wrote it, whole.';

  constructor(code: EventLogErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

export interface LogLimits {
  /** Default 16 MiB. */
  readonly bytes?: number;
  /** Default 100,000. */
  readonly events?: number;
}

const MAX_BYTES = 16 * 2 ** 20;
const MAX_EVENTS = 100_000;
/** PC Client TPMs have PCR 0 to 23. */
const MAX_REGISTER = 23;
const SPEC_ID_SIGNATURE = 'Spec ID Event03\0';
const SHA1_SIZE = 20;
const SHA1_SIZES = [SHA1_SIZE];
const SHA1_ID = 0x0004;

/** Read a log to its very end; what is left over must be padding. Throws EventLogError. */
export function parseEventLog(bytes: Uint8Array, limits: LogLimits = {}): ParsedLog {
  const { bytes: maxBytes = MAX_BYTES, events: maxEvents = MAX_EVENTS } = limits;
  if (bytes.length > maxBytes) {
    throw new EventLogError('log-size', `a log of ${bytes.length} bytes, where ${maxBytes} are the most`);
  }
  const cursor = new LittleEndian(bytes);
  try {
    return readEvents(cursor, maxEvents);
  } catch (cause) {
    if (cause instanceof ShortError) throw new EventLogError('log-truncated', cause.message, cause);
    throw cause;
  }
}

function readEvents(cursor: LittleEndian, maxEvents: number): ParsedLog {
  const first = readSha1Event(cursor, 0);
  const banks = specIdBanks(first);
  const events: LogEvent[] = banks === undefined ? [first] : [];
  while (cursor.left > 0 && !isPadding(cursor)) {
    if (events.length >= maxEvents) throw new EventLogError('log-events', `more than ${maxEvents} events`);
    events.push(
      banks === undefined ? readSha1Event(cursor, events.length) : readAgileEvent(cursor, events.length, banks),
    );
  }
  return {
    format: banks === undefined ? 'sha1' : 'crypto-agile',
    algorithms: banks?.algorithms ?? [SHA1_ID],
    events,
    padding: cursor.left,
  };
}

interface Banks {
  readonly algorithms: readonly number[];
  readonly sizes: readonly number[];
}

/** TCG_PCClientPCREvent, section 10.2.1. */
function readSha1Event(cursor: LittleEndian, index: number): LogEvent {
  const pcr = cursor.u32();
  const type = cursor.u32();
  checkRegister(pcr, type, cursor);
  const digestAt = cursor.skip(SHA1_SIZE);
  const size = cursor.u32();
  return new EventInPlace(cursor.bytes, { index, pcr, type }, [digestAt], SHA1_SIZES, cursor.skip(size), size);
}

/** TCG_PCR_EVENT2, section 10.2.2. Every event has one digest for each bank of the header, in any order. */
function readAgileEvent(cursor: LittleEndian, index: number, { algorithms, sizes }: Banks): LogEvent {
  const pcr = cursor.u32();
  const type = cursor.u32();
  checkRegister(pcr, type, cursor);
  const count = cursor.u32();
  if (count !== algorithms.length) {
    throw new EventLogError('log-banks', `event ${index} has ${count} digests, the log ${algorithms.length} banks`);
  }
  const offsets = new Array<number>(count).fill(0);
  for (let i = 0; i < count; i++) {
    const algorithm = cursor.u16();
    const bank = algorithms[i] === algorithm ? i : algorithms.indexOf(algorithm);
    if (bank < 0 || offsets[bank] !== 0) {
      throw new EventLogError('log-banks', `event ${index}: digest of no bank, or twice of bank 0x${hexOf(algorithm)}`);
    }
    offsets[bank] = cursor.skip(sizes[bank] ?? 0);
  }
  const size = cursor.u32();
  return new EventInPlace(cursor.bytes, { index, pcr, type }, offsets, sizes, cursor.skip(size), size);
}

function checkRegister(pcr: number, type: number, cursor: LittleEndian): void {
  if (pcr <= MAX_REGISTER || (pcr === NO_REGISTER && type === EVENT.NO_ACTION)) return;
  throw new EventLogError('log-register', `register ${pcr} at offset ${cursor.at - 8}`);
}

/** Banks that TCG_EfiSpecIDEvent names (section 10.4.5.1); undefined when the first event is not one. */
function specIdBanks({ type, data }: LogEvent): Banks | undefined {
  if (type !== EVENT.NO_ACTION || latin1(data.subarray(0, SPEC_ID_SIGNATURE.length)) !== SPEC_ID_SIGNATURE) {
    return undefined;
  }
  // After the signature: platform class, three version bytes and the size of UINTN.
  const cursor = new LittleEndian(data, SPEC_ID_SIGNATURE.length + 8);
  const count = cursor.u32();
  if (count === 0 || count > DIGEST_SIZES.size) {
    throw new EventLogError('log-header', `the header names ${count} banks`);
  }
  const algorithms: number[] = [];
  const sizes: number[] = [];
  for (let i = 0; i < count; i++) {
    const algorithm = cursor.u16();
    const size = cursor.u16();
    if (algorithms.includes(algorithm) || DIGEST_SIZES.get(algorithm) !== size) {
      throw new EventLogError('log-header', `bank 0x${hexOf(algorithm)} of ${size} bytes, or named twice`);
    }
    algorithms.push(algorithm);
    sizes.push(size);
  }
  const vendorInfo = cursor.u8();
  if (vendorInfo > cursor.left) throw new EventLogError('log-header', 'the vendor information passes the header');
  return { algorithms, sizes };
}

/** Whether nothing but 0x00 or nothing but 0xff is left. */
function isPadding(cursor: LittleEndian): boolean {
  const fill = cursor.bytes[cursor.at];
  if (fill !== 0x00 && fill !== 0xff) return false;
  for (let i = cursor.at; i < cursor.bytes.length; i++) if (cursor.bytes[i] !== fill) return false;
  return true;
}

const hexOf = (value: number) => value.toString(16).padStart(4, '0');

const FIRST_CAPACITY = 4096;

/** Writes a crypto-agile log: the header at once, then events as they come. */
export class EventLogWriter {
  readonly algorithms: readonly number[];
  #bytes = new Uint8Array(FIRST_CAPACITY);
  #size = 0;

  /** `algorithms`: TPM_ALG_ID of each bank. */
  constructor(algorithms: readonly number[]) {
    this.algorithms = algorithms;
    // Platform class client, specification 2.0 errata 0, 64-bit UINTN; then the banks, and no vendor information.
    const header = concatBytes(
      fromLatin1(SPEC_ID_SIGNATURE),
      Uint8Array.of(0, 0, 0, 0, 0, 2, 0, 2),
      u32(algorithms.length),
      ...algorithms.map((algorithm) => concatBytes(u16(algorithm), u16(sizeOf(algorithm)))),
      Uint8Array.of(0),
    );
    this.#u32(0);
    this.#u32(EVENT.NO_ACTION);
    this.#write(new Uint8Array(SHA1_SIZE));
    this.#u32(header.length);
    this.#write(header);
  }

  /** `digests`, by TPM_ALG_ID, must hold one for each of the log's banks; RangeError otherwise. */
  append(pcr: number, type: number, digests: ReadonlyMap<number, Uint8Array>, data: Uint8Array): void {
    for (const algorithm of this.algorithms) {
      if (digests.get(algorithm)?.length !== sizeOf(algorithm))
        throw new RangeError(`no digest for bank 0x${hexOf(algorithm)}`);
    }
    this.#u32(pcr);
    this.#u32(type);
    this.#u32(this.algorithms.length);
    for (const algorithm of this.algorithms) {
      this.#u16(algorithm);
      this.#write(digests.get(algorithm) as Uint8Array); // checked above
    }
    this.#u32(data.length);
    this.#write(data);
  }

  /** Append an event whose digests are of `measured`, its own data by default. Returns them by TPM_ALG_ID. */
  appendMeasured(pcr: number, type: number, data: Uint8Array, measured = data): ReadonlyMap<number, Uint8Array> {
    const digests = new Map(
      this.algorithms.map((algorithm) => [algorithm, hashById(algorithm)?.digest(measured) ?? new Uint8Array()]),
    );
    this.append(pcr, type, digests, data);
    return digests;
  }

  /** A copy of what was written so far. */
  bytes(): Uint8Array {
    return this.#bytes.slice(0, this.#size);
  }

  #u16(value: number): void {
    this.#reserve(2);
    this.#bytes[this.#size++] = value;
    this.#bytes[this.#size++] = value >>> 8;
  }

  #u32(value: number): void {
    this.#u16(value);
    this.#u16(value >>> 16);
  }

  #write(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#size);
    this.#size += bytes.length;
  }

  #reserve(size: number): void {
    if (this.#size + size <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#size + size));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}

function sizeOf(algorithm: number): number {
  const size = DIGEST_SIZES.get(algorithm);
  if (size === undefined) throw new RangeError(`bank 0x${hexOf(algorithm)} is not known`);
  return size;
}

const u16 = (value: number) => Uint8Array.of(value & 0xff, value >>> 8);
const u32 = (value: number) => Uint8Array.of(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24);

/** A crypto-agile log of events that were measured already, as a machine's monitor has them. */
export function encodeEventLog(log: {
  /** TPM_ALG_IDs of the banks. */
  readonly banks: readonly number[];
  readonly entries: readonly {
    readonly pcr: number;
    readonly type: number;
    /** TPM_ALG_ID -> digest, for each bank. */
    readonly digests: ReadonlyMap<number, Uint8Array>;
    readonly event: Uint8Array;
  }[];
}): Uint8Array {
  const writer = new EventLogWriter(log.banks);
  for (const { pcr, type, digests, event } of log.entries) writer.append(pcr, type, digests, event);
  return writer.bytes();
}
