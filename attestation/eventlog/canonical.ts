/**
 * The Canonical Event Log in its three encodings: TLV, CBOR and JSON (TCG Canonical Event Log Format 1.0, section 5). A
 * record extends one register; what its content says is only as good as the digests are over it, as in every log.
 */
import { fromHex, toHex } from '../bytes.ts';
import { readCbor } from '../corim/read-cbor.ts';
import { DIGEST_SIZES, hashById, hashByName } from '../hash.ts';
import { EventLogError } from './format.ts';

/** Content by the number of its kind; 5 is an event of a PC client's firmware, 7 an entry of IMA. */
const CONTENT_NAMES: Readonly<Record<number, string>> = {
  4: 'cel',
  5: 'pcclient_std',
  7: 'ima_template',
  8: 'ima_tlv',
};
const CONTENT_NUMBERS = new Map(Object.entries(CONTENT_NAMES).map(([number, name]) => [name, Number(number)]));

export interface CanonicalRecord {
  readonly number: number;
  /** PCR; undefined where the record is of an NV index. */
  readonly pcr: number | undefined;
  readonly nvIndex: number | undefined;
  /** By TPM_ALG_ID. */
  readonly digests: ReadonlyMap<number, Uint8Array>;
  /** `pcclient_std`, `ima_template`, ...; the number as text for others. */
  readonly contentType: string;
  /** Fields by number (TLV: bytes; CBOR: as decoded), or the JSON value. */
  readonly content: unknown;
}

const FIELD = { number: 0, pcr: 1, nvIndex: 2, digests: 3 } as const;
const MAX_BYTES = 16 * 2 ** 20;
const MAX_RECORDS = 100_000;
const MAX_PCR = 23;
const HEADER = 5;

/** Read a log in whichever encoding its first byte shows. Record numbers must ascend. Throws EventLogError. */
export function parseCanonicalLog(bytes: Uint8Array): CanonicalRecord[] {
  if (bytes.length > MAX_BYTES) throw new EventLogError('log-size', `${bytes.length} bytes; at most ${MAX_BYTES}`);
  const first = bytes[0];
  // '[' or '{' or a blank starts JSON; 0x80 and up are CBOR's arrays; a TLV log starts with a record number, type 0.
  const records =
    first === FIELD.number
      ? readTlv(bytes)
      : first !== undefined && first >= 0x80
        ? asList(decode(() => readCbor(bytes))).map(cborRecord)
        : jsonRecords(bytes);
  if (records.length > MAX_RECORDS) throw new EventLogError('log-events', `more than ${MAX_RECORDS} records`);
  records.forEach(({ number }, at) => {
    const before = records[at - 1]?.number ?? -1;
    if (number <= before) throw bad(`record ${number} after record ${before}`);
  });
  return records;
}

/** Values of PCR 0-23 that the records lead to from zero, in one bank. Throws EventLogError `log-banks` for a record without it. */
export function replayCanonicalLog(records: readonly CanonicalRecord[], algorithm: number): Uint8Array[] {
  const hash = hashById(algorithm);
  if (hash === undefined) throw new EventLogError('log-banks', `bank 0x${algorithm.toString(16)}`);
  const pcrs = Array.from({ length: MAX_PCR + 1 }, () => new Uint8Array(hash.size));
  const buffer = new Uint8Array(2 * hash.size);
  for (const { number, pcr, digests, contentType } of records) {
    if (pcr === undefined || contentType === 'cel') continue;
    const digest = digests.get(algorithm);
    if (digest === undefined) throw new EventLogError('log-banks', `record ${number} has no digest for the bank`);
    buffer.set(pcrs[pcr] as Uint8Array); // a read record has a PCR below 24
    buffer.set(digest, hash.size);
    pcrs[pcr] = Uint8Array.from(hash.digest(buffer));
  }
  return pcrs;
}

interface Tlv {
  readonly type: number;
  readonly value: Uint8Array;
}

/** Type of one octet, length of four (big-endian), value. */
function* tlvs(bytes: Uint8Array): Generator<Tlv> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.length; ) {
    if (bytes.length - at < HEADER) throw new EventLogError('log-truncated', `a field cut at ${at}`);
    const length = view.getUint32(at + 1);
    const end = at + HEADER + length;
    if (end > bytes.length) throw new EventLogError('log-truncated', `a field of ${length} bytes at ${at}`);
    yield { type: bytes[at] as number, value: bytes.subarray(at + HEADER, end) };
    at = end;
  }
}

/** Four fields make a record: number, PCR or NV index, digests, content. */
function readTlv(bytes: Uint8Array): CanonicalRecord[] {
  const fields = [...tlvs(bytes)];
  if (fields.length % 4 !== 0) throw new EventLogError('log-truncated', 'a record without all of its fields');
  return Array.from({ length: fields.length / 4 }, (_, i) => {
    const [number, place, digests, content] = fields.slice(4 * i, 4 * i + 4) as [Tlv, Tlv, Tlv, Tlv];
    if (number.type !== FIELD.number || digests.type !== FIELD.digests) throw bad('fields out of order');
    const values = [...tlvs(digests.value)].map(({ type, value }): [number, Uint8Array] => [type, value]);
    return record({
      number: uint(number.value),
      place: [place.type, uint(place.value)],
      digests: values,
      contentType: content.type,
      content: new Map([...tlvs(content.value)].map(({ type, value }) => [type, value])),
    });
  });
}

function cborRecord(value: unknown): CanonicalRecord {
  if (!(value instanceof Map)) throw bad('a record that is not a map');
  const place = value.has(FIELD.pcr) ? FIELD.pcr : FIELD.nvIndex;
  const contentType = [...value.keys()].find((key) => typeof key === 'number' && key > FIELD.digests);
  return record({
    number: value.get(FIELD.number),
    place: [place, value.get(place)],
    digests: asList(value.get(FIELD.digests)).map((digest) => {
      if (!(digest instanceof Map)) throw bad('a digest that is not a map');
      return [digest.get(0), digest.get(1)];
    }),
    contentType,
    content: value.get(contentType),
  });
}

function jsonRecords(bytes: Uint8Array): CanonicalRecord[] {
  const value: unknown = decode(() => JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
  return asList(value).map((one) => {
    if (typeof one !== 'object' || one === null) throw bad('a record that is not an object');
    const { recnum, pcr, nv_index: nvIndex, digests, content_type: name, content } = one as Record<string, unknown>;
    return record({
      number: recnum,
      place: pcr === undefined ? [FIELD.nvIndex, nvIndex] : [FIELD.pcr, pcr],
      digests: asList(digests).map((digest) => {
        const { hashAlg, digest: text } = Object(digest) as Record<string, unknown>;
        return [hashByName(String(hashAlg))?.id, decode(() => fromHex(String(text)))];
      }),
      contentType: CONTENT_NUMBERS.get(String(name)) ?? String(name),
      content,
    });
  });
}

/** The one place where a record's parts are checked, whatever they were read from. */
function record(parts: {
  readonly number: unknown;
  readonly place: readonly [number, unknown];
  readonly digests: readonly (readonly [unknown, unknown])[];
  readonly contentType: unknown;
  readonly content: unknown;
}): CanonicalRecord {
  const [kind, index] = parts.place;
  if (!isUint(parts.number)) throw bad('a record without its number');
  if ((kind !== FIELD.pcr && kind !== FIELD.nvIndex) || !isUint(index))
    throw bad(`record ${parts.number}: no register`);
  if (kind === FIELD.pcr && index > MAX_PCR) throw new EventLogError('log-register', `PCR ${index}`);
  if (parts.contentType === undefined) throw bad(`record ${parts.number}: no content`);
  const digests = new Map<number, Uint8Array>();
  for (const [algorithm, value] of parts.digests) {
    const size = isUint(algorithm) ? DIGEST_SIZES.get(algorithm) : undefined;
    if (!isUint(algorithm) || !(value instanceof Uint8Array) || value.length !== size || digests.has(algorithm)) {
      const shown = value instanceof Uint8Array ? toHex(value.subarray(0, 4)) : typeof value;
      throw new EventLogError('log-banks', `record ${parts.number}: digest ${String(algorithm)} ${shown}`);
    }
    digests.set(algorithm, value);
  }
  if (digests.size === 0) throw new EventLogError('log-banks', `record ${parts.number}: no digest`);
  return {
    number: parts.number,
    pcr: kind === FIELD.pcr ? index : undefined,
    nvIndex: kind === FIELD.nvIndex ? index : undefined,
    digests,
    contentType: CONTENT_NAMES[Number(parts.contentType)] ?? String(parts.contentType),
    content: parts.content,
  };
}

const isUint = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

function asList(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw bad('not a list');
}

/** Big-endian, of one to six bytes. */
function uint(bytes: Uint8Array): number {
  if (bytes.length === 0 || bytes.length > 8) throw bad(`a number of ${bytes.length} bytes`);
  let value = 0;
  for (const byte of bytes) value = value * 256 + byte;
  return value;
}

function decode<T>(body: () => T): T {
  try {
    return body();
  } catch (cause) {
    throw new EventLogError('log-header', 'not a canonical event log', cause);
  }
}

const bad = (what: string): EventLogError => new EventLogError('log-content', what);
