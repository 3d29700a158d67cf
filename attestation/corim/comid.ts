/**
 * Concise module identifiers: reference values and endorsements for the environments of a device.
 * draft-ietf-rats-corim-08, section 5. Members that are not known are kept as `extensions`, by number.
 */
import { Tag } from 'cbor-x';
import { toHex } from '../bytes.ts';

export type CorimErrorCode = 'corim-cbor' | 'corim-structure' | 'corim-profile' | 'corim-signature' | 'corim-validity';

export class CorimError extends Error {
  override readonly name = 'CorimError';
  readonly code: CorimErrorCode;
  readonly remedy = 'Ask the author of the document for one that follows draft-ietf-rats-corim.';
  constructor(code: CorimErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** Bytes, text or numbers with the tag that says what they are: 37 UUID, 111 OID, 550 UEID, 560 bytes, 554 key, ... */
export interface Tagged {
  readonly tag: number | undefined;
  readonly value: unknown;
}

export interface Environment {
  readonly classId?: Tagged;
  readonly vendor?: string;
  readonly model?: string;
  readonly layer?: number;
  readonly index?: number;
  readonly instance?: Tagged;
  readonly group?: Tagged;
}

export interface Digest {
  /** `sha-256`, ... of the IANA Named Information registry; other names or numbers as text. */
  readonly algorithm: string;
  readonly value: Uint8Array;
}

export interface Measurement {
  readonly key?: Tagged;
  readonly version?: string;
  /** Exact, or the least that is accepted. */
  readonly svn?: { readonly value: bigint; readonly minimum: boolean };
  readonly digests?: readonly Digest[];
  readonly flags?: Readonly<Record<string, boolean>>;
  readonly raw?: { readonly value: Uint8Array; readonly mask?: Uint8Array };
  readonly name?: string;
  readonly cryptoKeys?: readonly Tagged[];
  readonly integrityRegisters?: ReadonlyMap<string, readonly Digest[]>;
  /** Values by their number, of profiles and later drafts. */
  readonly extensions: ReadonlyMap<number, unknown>;
  readonly authorizedBy: readonly Tagged[];
}

export interface Triple {
  readonly environment: Environment;
  readonly measurements: readonly Measurement[];
}

export interface KeyTriple {
  readonly environment: Environment;
  readonly keys: readonly Tagged[];
}

export interface Comid {
  readonly id: string;
  readonly version: number;
  readonly references: readonly Triple[];
  readonly endorsements: readonly Triple[];
  readonly identityKeys: readonly KeyTriple[];
  readonly attestKeys: readonly KeyTriple[];
  /** Triples that add to what an attester is known for under conditions: kept, applied by nobody here. */
  readonly otherTriples: ReadonlyMap<number, readonly unknown[]>;
}

const TRIPLES = { references: 0, endorsements: 1, identity: 2, attest: 3 } as const;
const KNOWN_TRIPLES = new Set<number>([0, 1, 2, 3, 4, 5, 6, 8, 10]);
const MAX_TRIPLES = 10_000;

/** Read concise-mid-tag. Throws CorimError. */
export function readComid(value: unknown): Comid {
  const tag = asMap(value, 'a concise-mid-tag');
  const identity = asMap(tag.get(1), 'tag-identity');
  const triples = asMap(tag.get(4), 'triples');
  const other = [...triples].filter(([key]) => typeof key !== 'number' || key > TRIPLES.attest);
  for (const [key, list] of triples) {
    if (typeof key !== 'number' || (key >= 0 && !KNOWN_TRIPLES.has(key))) throw bad(`triples of kind ${String(key)}`);
    if (asArray(list, 'triples').length === 0) throw bad(`no triple of kind ${key}`);
  }
  const list = <T>(kind: number, read: (triple: unknown) => T): T[] =>
    triples.has(kind) ? asArray(triples.get(kind), 'triples').map(read) : [];
  return {
    id: identifier(identity.get(0)),
    version: identity.has(1) ? asUint(identity.get(1), 'tag-version') : 0,
    references: list(TRIPLES.references, readTriple),
    endorsements: list(TRIPLES.endorsements, readTriple),
    identityKeys: list(TRIPLES.identity, readKeys),
    attestKeys: list(TRIPLES.attest, readKeys),
    otherTriples: new Map(other.map(([key, items]) => [key as number, asArray(items, 'triples')])),
  };
}

export function readTriple(value: unknown): Triple {
  const [environment, measurements] = asArray(value, 'a triple', 2);
  const list = asArray(measurements, 'measurements');
  if (list.length === 0) throw bad('a triple without a measurement');
  return { environment: readEnvironment(environment), measurements: list.map(readMeasurement) };
}

/** Key triple: an environment and its keys. Throws CorimError. */
export function readKeys(value: unknown): KeyTriple {
  const [environment, keys] = asArray(value, 'a key triple');
  const list = asArray(keys, 'keys').map(asTagged);
  if (list.length === 0) throw bad('a key triple without a key');
  return { environment: readEnvironment(environment), keys: list };
}

function readEnvironment(value: unknown): Environment {
  const map = asMap(value, 'an environment');
  if (map.size === 0) throw bad('an environment that names nothing');
  const ofClass = map.has(0) ? asMap(map.get(0), 'a class') : new Map<unknown, unknown>();
  if (map.has(0) && ofClass.size === 0) throw bad('a class that names nothing');
  return {
    ...(ofClass.has(0) && { classId: asTagged(ofClass.get(0)) }),
    ...(ofClass.has(1) && { vendor: asText(ofClass.get(1), 'vendor') }),
    ...(ofClass.has(2) && { model: asText(ofClass.get(2), 'model') }),
    ...(ofClass.has(3) && { layer: asUint(ofClass.get(3), 'layer') }),
    ...(ofClass.has(4) && { index: asUint(ofClass.get(4), 'index') }),
    ...(map.has(1) && { instance: asTagged(map.get(1)) }),
    ...(map.has(2) && { group: asTagged(map.get(2)) }),
  };
}

const FLAGS = [
  'configured',
  'secure',
  'recovery',
  'debug',
  'replay-protected',
  'integrity-protected',
  'runtime-measured',
  'immutable',
  'tcb',
  'confidentiality-protected',
];
/** Numbers of measurement-values-map, section 5.1.4.1.4. */
const VALUE = {
  version: 0,
  svn: 1,
  digests: 2,
  flags: 3,
  raw: 4,
  rawMask: 5,
  name: 11,
  keys: 13,
  registers: 14,
} as const;
const TYPED = new Set<number>(Object.values(VALUE));

function readMeasurement(value: unknown): Measurement {
  const map = asMap(value, 'a measurement');
  const values = asMap(map.get(1), 'measurement values');
  if (values.size === 0) throw bad('a measurement without a value');
  const has = (key: number) => values.has(key);
  return {
    ...(map.has(0) && { key: asTagged(map.get(0)) }),
    ...(has(VALUE.version) && { version: asText(asMap(values.get(VALUE.version), 'version').get(0), 'version') }),
    ...(has(VALUE.svn) && { svn: readSvn(values.get(VALUE.svn)) }),
    ...(has(VALUE.digests) && { digests: readDigests(values.get(VALUE.digests)) }),
    ...(has(VALUE.flags) && { flags: readFlags(values.get(VALUE.flags)) }),
    ...(has(VALUE.raw) && { raw: readRaw(values.get(VALUE.raw), values.get(VALUE.rawMask)) }),
    ...(has(VALUE.name) && { name: asText(values.get(VALUE.name), 'name') }),
    ...(has(VALUE.keys) && { cryptoKeys: asArray(values.get(VALUE.keys), 'keys').map(asTagged) }),
    ...(has(VALUE.registers) && { integrityRegisters: readRegisters(values.get(VALUE.registers)) }),
    extensions: new Map(
      [...values].filter(([key]) => typeof key === 'number' && !TYPED.has(key)) as [number, unknown][],
    ),
    authorizedBy: map.has(2) ? authorities(map.get(2)) : [],
  };
}

/** A list of keys; published evidence has a single one as it stands. */
const authorities = (value: unknown): Tagged[] =>
  Array.isArray(value) ? asArray(value, 'authorized-by').map(asTagged) : [asTagged(value)];

const TAG_SVN = 552;
const TAG_MINIMUM_SVN = 553;
const TAG_BYTES = 560;
const TAG_MASKED = 563;

function readSvn(value: unknown): { value: bigint; minimum: boolean } {
  const { tag, value: number } = asTagged(value);
  if (tag !== undefined && tag !== TAG_SVN && tag !== TAG_MINIMUM_SVN) throw bad(`an svn of tag ${tag}`);
  if (typeof number !== 'bigint' && !(typeof number === 'number' && Number.isInteger(number))) throw bad('svn');
  if (number < 0) throw bad('a negative svn');
  return { value: BigInt(number), minimum: tag === TAG_MINIMUM_SVN };
}

/** IANA Named Information Hash Algorithm registry: name and size. */
const HASHES: Readonly<Record<number, readonly [string, number]>> = {
  1: ['sha-256', 32],
  2: ['sha-256-128', 16],
  3: ['sha-256-120', 15],
  4: ['sha-256-96', 12],
  5: ['sha-256-64', 8],
  6: ['sha-256-32', 4],
  7: ['sha-384', 48],
  8: ['sha-512', 64],
  9: ['sha3-224', 28],
  10: ['sha3-256', 32],
  11: ['sha3-384', 48],
  12: ['sha3-512', 64],
};

function readDigests(value: unknown): Digest[] {
  const list = asArray(value, 'digests').map(readDigest);
  if (list.length === 0) throw bad('an empty list of digests');
  return list;
}

/** The size is left to `checkDigestSizes`: published documents are careless with it. */
function readDigest(value: unknown): Digest {
  const [algorithm, digest] = asArray(value, 'a digest', 2);
  if (!(digest instanceof Uint8Array) || digest.length === 0) throw bad('a digest that is not bytes');
  if (typeof algorithm === 'string') return { algorithm, value: digest };
  return { algorithm: HASHES[asUint(algorithm, 'a hash algorithm')]?.[0] ?? String(algorithm), value: digest };
}

/** Throws CorimError `corim-structure` for a digest that is not as long as its algorithm's. */
export function checkDigestSizes(triples: readonly Triple[]): void {
  const sizes = new Map(Object.values(HASHES));
  for (const { digests = [] } of triples.flatMap(({ measurements }) => measurements)) {
    for (const { algorithm, value } of digests) {
      if (value.length !== (sizes.get(algorithm) ?? value.length)) throw bad(`a ${algorithm} of ${value.length} bytes`);
    }
  }
}

function readFlags(value: unknown): Record<string, boolean> {
  const flags = [...asMap(value, 'flags')].map(([key, flag]) => {
    if (typeof flag !== 'boolean') throw bad('a flag that is not true or false');
    return [FLAGS[Number(key)] ?? String(key), flag] as const;
  });
  return Object.fromEntries(flags);
}

function readRaw(value: unknown, oldMask: unknown): { value: Uint8Array; mask?: Uint8Array } {
  const { tag, value: raw } = asTagged(value);
  if (tag === TAG_BYTES && raw instanceof Uint8Array) {
    return oldMask instanceof Uint8Array ? { value: raw, mask: oldMask } : { value: raw };
  }
  if (tag !== TAG_MASKED) throw bad(`a raw value of tag ${tag}`);
  const [masked, mask] = asArray(raw, 'a masked raw value', 2);
  if (masked instanceof Uint8Array && mask instanceof Uint8Array) return { value: masked, mask };
  throw bad('a masked raw value that is not bytes');
}

const readRegisters = (value: unknown): Map<string, readonly Digest[]> =>
  new Map([...asMap(value, 'integrity registers')].map(([key, digests]) => [String(key), readDigests(digests)]));

export const bad = (what: string): CorimError => new CorimError('corim-structure', what);

export function asMap(value: unknown, what: string): ReadonlyMap<unknown, unknown> {
  if (value instanceof Map) return value;
  throw bad(`${what} is not a map`);
}

export function asArray(value: unknown, what: string, size?: number): readonly unknown[] {
  if (!Array.isArray(value) || value.length > MAX_TRIPLES) throw bad(`${what} is not an array, or too long`);
  if (size !== undefined && value.length !== size) throw bad(`${what} of ${value.length} members`);
  return value;
}

export function asText(value: unknown, what: string): string {
  if (typeof value === 'string') return value;
  throw bad(`${what} is not text`);
}

function asUint(value: unknown, what: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw bad(`${what} is not an unsigned integer`);
}

export function asTagged(value: unknown): Tagged {
  if (value instanceof Tag) return { tag: value.tag, value: value.value };
  if (value === undefined || value === null) throw bad('a value is missing');
  return { tag: undefined, value };
}

/** Text, or a UUID as 16 bytes. */
export function identifier(value: unknown): string {
  if (typeof value === 'string' && value.length > 0) return value;
  if (value instanceof Uint8Array && value.length === 16) return toHex(value);
  throw bad('an identifier that is neither text nor a UUID');
}
