/**
 * IMA's measurement list in its binary form, as Linux gives it in `binary_runtime_measurements` (security/integrity/ima,
 * ima_fs.c and ima_template_lib.c; integers little-endian): every template the kernel defines, read field by field.
 * Digests and data are views of the input.
 */
import { LittleEndian, latin1, ShortError, toHex, untilNul } from '../bytes.ts';
import { SHA1 } from '../hash.ts';

export type ImaErrorCode = 'ima-size' | 'ima-truncated' | 'ima-template' | 'ima-entries';

/** The bytes are not a list of IMA, or one with a template that is not known. */
export class ImaError extends Error {
  override readonly name = 'ImaError';
  readonly code: ImaErrorCode;
  readonly remedy = 'Send the list as the kernel gives it, whole, or from an entry on.';

  constructor(code: ImaErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

export interface ImaEntry {
  readonly pcr: number;
  readonly template: string;
  /** Of the template data in the SHA-1 list; all zeros for a violation. */
  readonly templateDigest: Uint8Array;
  /** What the registers are extended with the hash of. */
  readonly templateData: Uint8Array;
}

export interface ImaFields {
  /** Path, name of a keyring or of a buffer. */
  readonly name: string;
  /** Hash of the file or buffer, named as the kernel does (`sha256`). */
  readonly algorithm: string;
  readonly digest: Uint8Array;
  /** `verity` where the digest is of an fs-verity file; only ima-ngv2 and ima-sigv2 tell. */
  readonly digestType: 'ima' | 'verity';
  /** security.ima of the file; undefined where there is none. */
  readonly signature?: Uint8Array;
  /** What was measured, of ima-buf: a certificate for a keyring, a command line. */
  readonly buffer?: Uint8Array;
  /** Digest without the appended signature and its hash, and that signature (PKCS #7), of ima-modsig. */
  readonly moduleDigest?: Uint8Array;
  readonly moduleAlgorithm?: string;
  readonly moduleSignature?: Uint8Array;
}

/** The fields of each template, in order. */
const TEMPLATES: Readonly<Record<string, readonly string[]>> = {
  ima: ['d', 'n'],
  'ima-ng': ['d-ng', 'n-ng'],
  'ima-ngv2': ['d-ngv2', 'n-ng'],
  'ima-sig': ['d-ng', 'n-ng', 'sig'],
  'ima-sigv2': ['d-ngv2', 'n-ng', 'sig'],
  'ima-buf': ['d-ng', 'n-ng', 'buf'],
  'ima-modsig': ['d-ng', 'n-ng', 'sig', 'd-modsig', 'modsig'],
  'evm-sig': ['d-ng', 'n-ng', 'evmsig', 'xattrnames', 'xattrlengths', 'xattrvalues', 'iuid', 'igid', 'imode'],
};

export interface ImaLimits {
  /** Default 64 MiB. */
  readonly bytes?: number;
  /** Default 1,000,000. */
  readonly entries?: number;
}

const MAX_BYTES = 64 * 2 ** 20;
const MAX_ENTRIES = 1_000_000;
const MAX_TEMPLATE_NAME = 16;
const MAX_TEMPLATE_DATA = 1 << 20;
const MAX_PCR = 23;
/** IMA_EVENT_NAME_LEN_MAX + 1: the oldest template hashes the name padded to this. */
const OLD_NAME_SIZE = 256;

/** Read a list, or the part of one from any entry on, to its very end. Throws ImaError. */
export function parseImaList(bytes: Uint8Array, limits: ImaLimits = {}): ImaEntry[] {
  const { bytes: maxBytes = MAX_BYTES, entries: maxEntries = MAX_ENTRIES } = limits;
  if (bytes.length > maxBytes) throw new ImaError('ima-size', `a list of ${bytes.length} bytes; at most ${maxBytes}`);
  const cursor = new LittleEndian(bytes);
  const entries: ImaEntry[] = [];
  try {
    while (cursor.left > 0) {
      if (entries.length >= maxEntries) throw new ImaError('ima-entries', `more than ${maxEntries} entries`);
      entries.push(readEntry(cursor));
    }
  } catch (cause) {
    if (cause instanceof ShortError) throw new ImaError('ima-truncated', cause.message, cause);
    throw cause;
  }
  return entries;
}

/** The part of a list after its first `entries`; undefined when it has fewer. Throws ImaError. */
export function imaListAfter(bytes: Uint8Array, entries: number): Uint8Array | undefined {
  const cursor = new LittleEndian(bytes);
  try {
    for (let passed = 0; passed < entries; passed += 1) {
      if (cursor.left === 0) return undefined;
      readEntry(cursor);
    }
  } catch (cause) {
    if (cause instanceof ShortError) throw new ImaError('ima-truncated', cause.message, cause);
    throw cause;
  }
  return bytes.subarray(cursor.at);
}

function readEntry(cursor: LittleEndian): ImaEntry {
  const pcr = cursor.u32();
  if (pcr > MAX_PCR) throw new ImaError('ima-template', `PCR ${pcr} at offset ${cursor.at - 4}`);
  const templateDigest = cursor.take(SHA1.size);
  const nameSize = cursor.u32();
  if (nameSize > MAX_TEMPLATE_NAME) throw new ImaError('ima-template', `a template's name of ${nameSize} bytes`);
  const template = latin1(cursor.take(nameSize));
  if (template === 'ima') return { pcr, template, templateDigest, templateData: oldTemplateData(cursor) };
  if (!Object.hasOwn(TEMPLATES, template)) throw new ImaError('ima-template', `template "${template}"`);
  const size = cursor.u32();
  if (size > MAX_TEMPLATE_DATA) throw new ImaError('ima-template', `template data of ${size} bytes`);
  return { pcr, template, templateDigest, templateData: cursor.take(size) };
}

/** The template `ima` is listed with its name's true length, and hashed with the name padded. */
function oldTemplateData(cursor: LittleEndian): Uint8Array {
  const digest = cursor.take(SHA1.size);
  const size = cursor.u32();
  if (size >= OLD_NAME_SIZE) throw new ImaError('ima-template', `a name of ${size} bytes`);
  const data = new Uint8Array(SHA1.size + OLD_NAME_SIZE);
  data.set(digest);
  data.set(cursor.take(size), SHA1.size);
  return data;
}

/** What an entry says. Throws ImaError `ima-template` when its data are not its template's. */
export function imaFields(entry: ImaEntry): ImaFields {
  if (entry.template === 'ima') {
    const name = untilNul(latin1(entry.templateData.subarray(SHA1.size)));
    return { name, algorithm: 'sha1', digest: entry.templateData.subarray(0, SHA1.size), digestType: 'ima' };
  }
  try {
    return readFields(entry);
  } catch (cause) {
    if (cause instanceof ShortError) throw new ImaError('ima-template', cause.message, cause);
    throw cause;
  }
}

const UTF8 = new TextDecoder();

function readFields({ template, templateData }: ImaEntry): ImaFields {
  const cursor = new LittleEndian(templateData);
  const fields = new Map((TEMPLATES[template] ?? []).map((field) => [field, cursor.take(cursor.u32())]));
  if (cursor.left > 0) throw new ImaError('ima-template', `${cursor.left} bytes after the fields of ${template}`);
  const optional = (field: string) => {
    const value = fields.get(field);
    return value !== undefined && value.length > 0 ? value : undefined;
  };
  const signature = optional('sig');
  const buffer = fields.get('buf');
  const moduleDigest = optional('d-modsig');
  const moduleSignature = optional('modsig');
  return {
    name: untilNul(UTF8.decode(fields.get('n-ng'))),
    ...readDigest(fields.get('d-ngv2') ?? fields.get('d-ng') ?? new Uint8Array()),
    ...(signature === undefined ? {} : { signature }),
    ...(buffer === undefined ? {} : { buffer }),
    ...(moduleDigest === undefined ? {} : moduleDigestOf(moduleDigest)),
    ...(moduleSignature === undefined ? {} : { moduleSignature }),
  };
}

function moduleDigestOf(field: Uint8Array): Pick<ImaFields, 'moduleDigest' | 'moduleAlgorithm'> {
  const { digest, algorithm } = readDigest(field);
  return { moduleDigest: digest, moduleAlgorithm: algorithm };
}

/** `sha256:` NUL digest, or `verity:sha256:` NUL digest. */
function readDigest(field: Uint8Array): Pick<ImaFields, 'algorithm' | 'digest' | 'digestType'> {
  const end = field.indexOf(0);
  const prefix = end < 0 ? '' : latin1(field.subarray(0, end));
  const found = /^(?:(ima|verity):)?([a-z0-9-]{3,16}):$/.exec(prefix);
  if (found === null) throw new ImaError('ima-template', `a digest field that starts ${toHex(field.subarray(0, 8))}`);
  const digestType = found[1] === 'verity' ? 'verity' : 'ima';
  return { algorithm: found[2] ?? '', digest: field.subarray(end + 1), digestType };
}
