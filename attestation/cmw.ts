/**
 * Conceptual messages wrappers (RFC 9999): evidence, endorsements and results in a common envelope, in CBOR and JSON. A
 * record names its media type or CoAP content format; a collection names its members; a CBOR tag may stand for a record
 * (RFC 9277, section 4.3). Our own evidence is a collection held to more: `evidence.ts`, `machine/evidence.ts`.
 */
import { fromBase64Url, toBase64Url } from './bytes.ts';
import { type CborValue, encodeCbor, Tag } from './cbor.ts';
import { readCbor } from './corim/read-cbor.ts';

export class CmwError extends Error {
  override readonly name = 'CmwError';
  readonly code = 'E_CMW';
  readonly remedy = 'Send a record, a tag or a collection as RFC 9999 has them.';
}

/** What a message is, bit by bit. Section 3.1. */
export const CMW_KINDS = [
  'reference-values',
  'endorsements',
  'evidence',
  'attestation-results',
  'appraisal-policy',
] as const;
export type CmwKind = (typeof CMW_KINDS)[number];

export interface CmwRecord {
  /** Media type, or number of a CoAP content format. */
  readonly type: string | number;
  readonly value: Uint8Array;
  /** What it holds; undefined where the sender does not say. */
  readonly kinds?: readonly CmwKind[];
}

export interface CmwCollection {
  /** URI or OID that says what the collection is; undefined where it has none. */
  readonly type: string | undefined;
  readonly members: ReadonlyMap<string | number, Cmw>;
}

export type Cmw = CmwRecord | CmwCollection;

const TYPE_LABEL = '__cmwc_t';
const MAX_DEPTH = 8;
const MAX_MEMBERS = 256;
const MAX_FORMAT = 65_535;
/** Tags of content formats 0 to 65,024. RFC 9277, section 4.3. */
const FIRST_TAG = 1_668_546_817;
const FORMATS_A_BYTE = 255;
const MAX_TAGGED_FORMAT = 65_024;

/** Read any form of CBOR. Throws CmwError. */
export function readCmw(bytes: Uint8Array): Cmw {
  let item: unknown;
  try {
    item = readCbor(bytes);
  } catch (cause) {
    throw new CmwError(cause instanceof Error ? cause.message : 'not CBOR', { cause });
  }
  return fromItem(item, (value) => (value instanceof Uint8Array ? value : undefined), 0);
}

/** Read either form of JSON. Throws CmwError. */
export function readCmwJson(text: string): Cmw {
  let item: unknown;
  try {
    item = JSON.parse(text);
  } catch (cause) {
    throw new CmwError('not JSON', { cause });
  }
  return fromItem(asMaps(item, 0), bytesOfText, 0);
}

/** A record as an array, a collection as a map, deterministic. */
export function encodeCmw(cmw: Cmw): Uint8Array {
  return encodeCbor(toItem(cmw));
}

/** A record as the CBOR tag of its content format. Throws CmwError for a media type, which has none. */
export function encodeCmwTag({ type, value }: CmwRecord): Uint8Array {
  if (typeof type !== 'number' || type > MAX_TAGGED_FORMAT) throw new CmwError('only a content format has a tag');
  return encodeCbor(new Tag(value, tagOfFormat(type)));
}

const tagOfFormat = (format: number): number =>
  FIRST_TAG + Math.floor(format / FORMATS_A_BYTE) * 256 + (format % FORMATS_A_BYTE);

function formatOfTag(tag: number): number | undefined {
  const offset = tag - FIRST_TAG;
  const format = Math.floor(offset / 256) * FORMATS_A_BYTE + (offset % 256);
  return offset >= 0 && offset % 256 < FORMATS_A_BYTE && format <= MAX_TAGGED_FORMAT ? format : undefined;
}

type ReadBytes = (value: unknown) => Uint8Array | undefined;

function fromItem(item: unknown, bytesOf: ReadBytes, depth: number): Cmw {
  if (depth > MAX_DEPTH) throw new CmwError(`collections nested more than ${MAX_DEPTH} deep`);
  if (Array.isArray(item)) return recordOf(item, bytesOf);
  if (item instanceof Tag) {
    const [type, value] = [formatOfTag(item.tag), bytesOf(item.value)];
    if (type !== undefined && value !== undefined) return { type, value };
  }
  if (!(item instanceof Map)) throw new CmwError('neither a record, nor a tag, nor a collection');
  return collectionOf(item, bytesOf, depth);
}

function recordOf(item: readonly unknown[], bytesOf: ReadBytes): CmwRecord {
  const [type, content, indicator] = item;
  const value = bytesOf(content);
  if (item.length < 2 || item.length > 3 || !isType(type) || value === undefined) throw new CmwError('a record');
  return indicator === undefined ? { type, value } : { type, value, kinds: kindsOf(indicator) };
}

const isType = (type: unknown): type is string | number =>
  typeof type === 'string' ? /^[^/\s]+\/[^/\s]/.test(type) : isUint(type, MAX_FORMAT);
const isUint = (value: unknown, most: number): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most;

function kindsOf(indicator: unknown): readonly CmwKind[] {
  if (!isUint(indicator, 2 ** CMW_KINDS.length - 1) || indicator === 0)
    throw new CmwError('an indicator of nothing known');
  return CMW_KINDS.filter((_, bit) => (indicator & (1 << bit)) !== 0);
}

function collectionOf(map: ReadonlyMap<unknown, unknown>, bytesOf: ReadBytes, depth: number): CmwCollection {
  const members = new Map<string | number, Cmw>();
  const type = map.get(TYPE_LABEL);
  if (type !== undefined && typeof type !== 'string') throw new CmwError('a collection of a type that is no text');
  for (const [label, member] of map) {
    if (label === TYPE_LABEL) continue;
    if ((typeof label !== 'string' || label === '') && !Number.isInteger(label)) throw new CmwError('a label');
    members.set(label as string | number, fromItem(member, bytesOf, depth + 1));
  }
  if (members.size === 0 || members.size > MAX_MEMBERS) throw new CmwError(`a collection of ${members.size} messages`);
  return { type, members };
}

function bytesOfText(value: unknown): Uint8Array | undefined {
  if (typeof value !== 'string') return undefined;
  try {
    return fromBase64Url(value);
  } catch (cause) {
    throw new CmwError('a value that is not base64url', { cause });
  }
}

/** Objects of JSON as maps, as CBOR has them. */
function asMaps(item: unknown, depth: number): unknown {
  if (depth > MAX_DEPTH || typeof item !== 'object' || item === null || Array.isArray(item)) return item;
  return new Map(Object.entries(item).map(([label, member]) => [label, asMaps(member, depth + 1)]));
}

function toItem(cmw: Cmw): CborValue {
  if ('value' in cmw) return [cmw.type, cmw.value, ...(cmw.kinds === undefined ? [] : [indicatorOf(cmw.kinds)])];
  const members = [...cmw.members].map(([label, member]): [string | number, CborValue] => [label, toItem(member)]);
  return new Map([...(cmw.type === undefined ? [] : [[TYPE_LABEL, cmw.type] as const]), ...members]);
}

const indicatorOf = (kinds: readonly CmwKind[]): number =>
  kinds.reduce((bits, kind) => bits | (1 << CMW_KINDS.indexOf(kind)), 0);

/** The same in JSON; labels that are numbers become text. */
export function encodeCmwJson(cmw: Cmw): string {
  return JSON.stringify(jsonItem(cmw));
}

function jsonItem(cmw: Cmw): unknown {
  if ('value' in cmw) {
    const record = [cmw.type, toBase64Url(cmw.value)];
    return cmw.kinds === undefined ? record : [...record, indicatorOf(cmw.kinds)];
  }
  const members = [...cmw.members].map(([label, member]) => [String(label), jsonItem(member)] as const);
  return Object.fromEntries([...(cmw.type === undefined ? [] : [[TYPE_LABEL, cmw.type] as const]), ...members]);
}
