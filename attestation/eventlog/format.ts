/**
 * TCG event logs, byte form: the crypto-agile log (TCG PC Client Platform Firmware Profile 1.06, section 10) read and
 * written, and the older SHA-1 form read. What an event means is not decided here.
 */

/** Digest sizes by TPM_ALG_ID, of the banks that logs use. */
export const DIGEST_SIZES: ReadonlyMap<number, number> = new Map([
  [0x0004, 20],
  [0x000b, 32],
  [0x000c, 48],
  [0x000d, 64],
  [0x0012, 32],
  [0x0027, 32],
  [0x0028, 48],
  [0x0029, 64],
]);
export const ALG_SHA1 = 0x0004;

/** Event types that this project writes or gives a meaning to. Section 10.4.1. */
export const EVENT = {
  NO_ACTION: 0x03,
  SEPARATOR: 0x04,
  EVENT_TAG: 0x06,
  S_CRTM_CONTENTS: 0x07,
  S_CRTM_VERSION: 0x08,
  IPL: 0x0d,
} as const;

const LOG_MAX = 16 * 2 ** 20;
const EVENTS_MAX = 100_000;
const PCR_MAX = 23;
const SPEC_SIGNATURE = 'Spec ID Event03\0';
const LOCALITY_SIGNATURE = 'StartupLocality\0';

export interface LogEvent {
  readonly pcr: number;
  readonly type: number;
  /** TPM_ALG_ID -> digest. */
  readonly digests: ReadonlyMap<number, Uint8Array>;
  readonly data: Uint8Array;
}

export interface ParsedLog {
  /** Banks that every event has a digest for. */
  readonly algorithms: readonly number[];
  /** Without the header event. */
  readonly events: readonly LogEvent[];
}

export class EventLogError extends Error {
  readonly code = 'E_EVENT_LOG';
  readonly remedy = 'send the event log as the firmware wrote it, whole';
  constructor(message: string) {
    super(message);
    this.name = 'EventLogError';
  }
}

/** Parse a log. Events past the last whole one are an error: a log is read to its end. Throws EventLogError. */
export function parseEventLog(bytes: Uint8Array): ParsedLog {
  if (bytes.length > LOG_MAX) throw new EventLogError(`a log of ${bytes.length} bytes; at most ${LOG_MAX}`);
  const cursor = new Cursor(bytes);
  const first = sha1Event(cursor);
  const algorithms = specAlgorithms(first);
  const events: LogEvent[] = algorithms === undefined ? [first] : [];
  while (!cursor.atEnd) {
    if (events.length >= EVENTS_MAX) throw new EventLogError(`more than ${EVENTS_MAX} events`);
    events.push(algorithms === undefined ? sha1Event(cursor) : agileEvent(cursor, algorithms));
  }
  return { algorithms: algorithms ?? [ALG_SHA1], events };
}

/** Locality that TPM2_Startup came from (section 10.4.5.3), which is PCR 0's initial value; 0 when none is logged. */
export function startupLocality(log: ParsedLog): number {
  for (const { pcr, type, data } of log.events) {
    if (pcr !== 0 || type !== EVENT.NO_ACTION || data.length !== LOCALITY_SIGNATURE.length + 1) continue;
    if (latin1(data.subarray(0, LOCALITY_SIGNATURE.length)) === LOCALITY_SIGNATURE) return data.at(-1) ?? 0;
  }
  return 0;
}

function sha1Event(cursor: Cursor): LogEvent {
  const pcr = pcrIndex(cursor.u32());
  const type = cursor.u32();
  const digest = cursor.bytes(20);
  return { pcr, type, digests: new Map([[ALG_SHA1, digest]]), data: cursor.bytes(cursor.u32()) };
}

function agileEvent(cursor: Cursor, algorithms: readonly number[]): LogEvent {
  const pcr = pcrIndex(cursor.u32());
  const type = cursor.u32();
  const count = cursor.u32();
  if (count !== algorithms.length) throw cursor.error(`${count} digests where the log has ${algorithms.length} banks`);
  const digests = new Map<number, Uint8Array>();
  for (let i = 0; i < count; i++) {
    const algorithm = cursor.u16();
    if (!algorithms.includes(algorithm) || digests.has(algorithm))
      throw cursor.error('a digest of no or a second bank');
    digests.set(algorithm, cursor.bytes(DIGEST_SIZES.get(algorithm) ?? 0));
  }
  return { pcr, type, digests, data: cursor.bytes(cursor.u32()) };
}

/** Banks named by TCG_EfiSpecIdEvent (section 10.4.5.1); undefined when the event is not one. */
function specAlgorithms({ type, data }: LogEvent): number[] | undefined {
  if (type !== EVENT.NO_ACTION || latin1(data.subarray(0, 16)) !== SPEC_SIGNATURE) return undefined;
  const cursor = new Cursor(data, SPEC_SIGNATURE.length + 8);
  const count = cursor.u32();
  if (count === 0 || count > DIGEST_SIZES.size) throw new EventLogError(`${count} banks in the header`);
  const algorithms = Array.from({ length: count }, () => {
    const algorithm = cursor.u16();
    const size = cursor.u16();
    if (DIGEST_SIZES.get(algorithm) !== size)
      throw new EventLogError(`bank 0x${algorithm.toString(16)} of ${size} bytes`);
    return algorithm;
  });
  if (new Set(algorithms).size !== count) throw new EventLogError('a bank is named twice in the header');
  return algorithms;
}

function pcrIndex(pcr: number): number {
  if (pcr > PCR_MAX) throw new EventLogError(`PCR index ${pcr}`);
  return pcr;
}

/** Write a crypto-agile log: the header, then events as they come. */
export class EventLogWriter {
  private readonly algorithms: readonly number[];
  private readonly pieces: Uint8Array[] = [];

  constructor(algorithms: readonly number[]) {
    this.algorithms = algorithms;
    const data = concat([
      ascii(SPEC_SIGNATURE),
      Uint8Array.of(0, 0, 0, 0, 0, 2, 0, 2), // platform class client, specification 2.0 errata 0, 64-bit UINTN
      u32(algorithms.length),
      ...algorithms.flatMap((algorithm) => [u16(algorithm), u16(DIGEST_SIZES.get(algorithm) ?? 0)]),
      Uint8Array.of(0), // no vendor information
    ]);
    this.pieces.push(u32(0), u32(EVENT.NO_ACTION), new Uint8Array(20), u32(data.length), data);
  }

  /** `digests` must hold one for each of the log's banks. */
  append(pcr: number, type: number, digests: ReadonlyMap<number, Uint8Array>, data: Uint8Array): void {
    this.pieces.push(u32(pcr), u32(type), u32(this.algorithms.length));
    for (const algorithm of this.algorithms) {
      const digest = digests.get(algorithm);
      if (digest?.length !== DIGEST_SIZES.get(algorithm)) throw new RangeError(`no digest for bank ${algorithm}`);
      this.pieces.push(u16(algorithm), digest as Uint8Array);
    }
    this.pieces.push(u32(data.length), data);
  }

  bytes(): Uint8Array {
    return concat(this.pieces);
  }
}

class Cursor {
  private readonly bytesIn: Uint8Array;
  private readonly view: DataView;
  private at: number;
  constructor(bytesIn: Uint8Array, at = 0) {
    this.bytesIn = bytesIn;
    this.view = new DataView(bytesIn.buffer, bytesIn.byteOffset, bytesIn.byteLength);
    this.at = at;
  }
  get atEnd(): boolean {
    return this.at >= this.bytesIn.length;
  }
  error(what: string): EventLogError {
    return new EventLogError(`at offset ${this.at}: ${what}`);
  }
  private take(length: number): number {
    const start = this.at;
    if (start + length > this.bytesIn.length)
      throw this.error(`${length} bytes wanted, ${this.bytesIn.length - start} left`);
    this.at += length;
    return start;
  }
  u16(): number {
    return this.view.getUint16(this.take(2), true);
  }
  u32(): number {
    return this.view.getUint32(this.take(4), true);
  }
  bytes(length: number): Uint8Array {
    const start = this.take(length);
    return this.bytesIn.subarray(start, start + length);
  }
}

const ascii = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));
const latin1 = (bytes: Uint8Array) => String.fromCharCode(...bytes);
const u16 = (value: number) => Uint8Array.of(value & 0xff, value >>> 8);
const u32 = (value: number) => Uint8Array.of(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24);

function concat(pieces: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
