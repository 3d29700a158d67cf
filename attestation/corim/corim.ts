/**
 * Concise reference integrity manifests, unsigned and signed: what a manufacturer says its devices should measure.
 * draft-ietf-rats-corim-08, section 4.
 */
import { type KeyObject, verify } from 'node:crypto';
import { Tag } from 'cbor-x';
import { encodeCbor } from '../cbor.ts';
import { asArray, asMap, asTagged, asText, bad, type Comid, CorimError, identifier, readComid } from './comid.ts';
import { checkProfile } from './profiles.ts';
import { readCbor } from './read-cbor.ts';

const TAG_CORIM = 501;
const TAG_COMID = 506;
const TAG_COSWID = 505;
const TAG_COTL = 508;
const TAG_SIGN1 = 18;
const CONTENT_TYPES = new Set(['application/rim+cbor', 'application/corim-unsigned+cbor']);
const HEADER = { algorithm: 1, contentType: 3, meta: 8 } as const;
/** COSE algorithms to node:crypto's names. RFC 9053, section 2. */
const ALGORITHMS: Readonly<Record<number, string | null>> = {
  [-7]: 'sha256',
  [-35]: 'sha384',
  [-36]: 'sha512',
  [-8]: null,
};

export interface Validity {
  readonly notBefore?: Date;
  readonly notAfter: Date;
}

export interface Corim {
  readonly id: string;
  /** URI, or an OID in hexadecimal of its encoding. */
  readonly profile: string | undefined;
  readonly validity: Validity | undefined;
  readonly comids: readonly Comid[];
  /** Tags of other kinds: CoSWID (505) and lists of active tags (508), as they stand. */
  readonly otherTags: readonly { readonly tag: number; readonly content: Uint8Array }[];
}

export interface SignedCorim {
  readonly corim: Corim;
  /** Who says they signed it. */
  readonly signer: string;
  readonly validity: Validity | undefined;
}

export interface CorimOptions {
  /** Profiles that are accepted; undefined for any, or none. */
  readonly profiles?: readonly string[];
}

/** Read an unsigned CoRIM. Throws CorimError. */
export function parseCorim(bytes: Uint8Array, { profiles }: CorimOptions = {}): Corim {
  const item = decoded(bytes);
  if (!(item instanceof Tag) || item.tag !== TAG_CORIM) throw bad('not an unsigned CoRIM (tag 501)');
  const map = asMap(item.value, 'a CoRIM');
  const tags = asArray(map.get(1), 'tags').map(readTag);
  if (tags.length === 0) throw bad('a CoRIM without a tag');
  const corim: Corim = {
    id: identifier(map.get(0)),
    profile: map.has(3) ? profileName(map.get(3)) : undefined,
    validity: map.has(4) ? readValidity(map.get(4)) : undefined,
    comids: tags.filter(({ tag }) => tag === TAG_COMID).map(({ content }) => readComid(decoded(content))),
    otherTags: tags.filter(({ tag }) => tag !== TAG_COMID),
  };
  if (profiles !== undefined && (corim.profile === undefined || !profiles.includes(corim.profile))) {
    throw new CorimError(
      'corim-profile',
      `profile ${corim.profile ?? '(none)'} where one of ${profiles.join(', ')} is wanted`,
    );
  }
  checkProfile(corim);
  return corim;
}

/** Verify and read a signed CoRIM. `now` is compared with both validities. Throws CorimError. */
export function verifyCorim(bytes: Uint8Array, key: KeyObject, now: Date, options: CorimOptions = {}): SignedCorim {
  const { protectedHeader, payload, signature, algorithm, signed } = openSigned(bytes, options);
  const hash = ALGORITHMS[algorithm];
  if (hash === undefined) throw new CorimError('corim-signature', `algorithm ${algorithm} is not accepted`);
  const input = encodeCbor(['Signature1', protectedHeader, new Uint8Array(), payload]);
  let good = false;
  try {
    good = verify(hash, input, { key, dsaEncoding: 'ieee-p1363' }, signature);
  } catch (cause) {
    throw new CorimError('corim-signature', 'the key cannot have made this signature', cause);
  }
  if (!good) throw new CorimError('corim-signature', 'the signature does not verify');
  for (const validity of [signed.validity, signed.corim.validity]) checkValidity(validity, now);
  return signed;
}

/** What a signed CoRIM says, not verified: for display, never for appraisal. Throws CorimError. */
export const inspectSignedCorim = (bytes: Uint8Array, options: CorimOptions = {}): SignedCorim =>
  openSigned(bytes, options).signed;

function openSigned(bytes: Uint8Array, options: CorimOptions) {
  const item = decoded(bytes);
  if (!(item instanceof Tag) || item.tag !== TAG_SIGN1) throw bad('not a COSE_Sign1');
  const [protectedHeader, , payload, signature] = asArray(item.value, 'a COSE_Sign1', 4);
  if (!(protectedHeader instanceof Uint8Array && payload instanceof Uint8Array && signature instanceof Uint8Array)) {
    throw bad('a COSE_Sign1 without its parts');
  }
  const headers = asMap(decoded(protectedHeader), 'protected headers');
  const algorithm = headers.get(HEADER.algorithm);
  if (typeof algorithm !== 'number') throw new CorimError('corim-signature', 'no algorithm in the protected header');
  if (!CONTENT_TYPES.has(String(headers.get(HEADER.contentType)))) throw bad('another content type than a CoRIM has');
  const meta = headers.get(HEADER.meta);
  if (!(meta instanceof Uint8Array)) throw bad('no corim-meta');
  const metaMap = asMap(decoded(meta), 'corim-meta');
  const signed: SignedCorim = {
    corim: parseCorim(payload, options),
    signer: asText(asMap(metaMap.get(0), 'signer').get(0), 'signer'),
    validity: metaMap.has(1) ? readValidity(metaMap.get(1)) : undefined,
  };
  return { protectedHeader, payload, signature, algorithm, signed };
}

function readTag(value: unknown): { tag: number; content: Uint8Array } {
  const { tag, value: content } = asTagged(value);
  if (tag !== TAG_COMID && tag !== TAG_COSWID && tag !== TAG_COTL) throw bad(`a tag ${String(tag)} in a CoRIM`);
  if (!(content instanceof Uint8Array)) throw bad('a tag whose content is not bytes');
  return { tag, content };
}

function profileName(value: unknown): string {
  const { value: name } = asTagged(value);
  if (typeof name === 'string') return name;
  if (name instanceof Uint8Array) return [...name].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  throw bad('a profile that is neither a URI nor an OID');
}

function readValidity(value: unknown): Validity {
  const map = asMap(value, 'validity');
  const notAfter = asDate(map.get(1));
  return map.has(0) ? { notBefore: asDate(map.get(0)), notAfter } : { notAfter };
}

function asDate(value: unknown): Date {
  if (value instanceof Date && !Number.isNaN(value.getTime())) return value;
  throw bad('a time that is none');
}

function checkValidity(validity: Validity | undefined, now: Date): void {
  const early = validity?.notBefore !== undefined && now < validity.notBefore;
  const late = validity !== undefined && now > validity.notAfter;
  if (early || late) throw new CorimError('corim-validity', early ? 'not valid yet' : 'no longer valid');
}

function decoded(bytes: Uint8Array): unknown {
  try {
    return readCbor(bytes);
  } catch (cause) {
    throw new CorimError('corim-cbor', cause instanceof Error ? cause.message : 'not CBOR', cause);
  }
}
