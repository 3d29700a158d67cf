/**
 * Concise reference integrity manifests, unsigned and signed: what a manufacturer says its devices should measure.
 * draft-ietf-rats-corim-08, section 4.
 */
import { Tag } from 'cbor-x';
import { CoseError } from '../cose/object.ts';
import { readForeignSign1, verifyForeignSign1 } from '../cose/sign1.ts';
import type { PublicKey } from '../crypto/port.ts';
import { asArray, asMap, asTagged, asText, bad, type Comid, CorimError, identifier, readComid } from './comid.ts';
import { checkProfile } from './profiles.ts';
import { readCbor } from './read-cbor.ts';

const TAG_CORIM = 501;
const TAG_COMID = 506;
const TAG_COSWID = 505;
const TAG_COTL = 508;
const CONTENT_TYPES = new Set(['application/rim+cbor', 'application/corim-unsigned+cbor']);
const HEADER = { contentType: 3, meta: 8, chain: 33 } as const;
const MAX_CHAIN = 8;

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

/** A signed CoRIM that was read and not verified yet. */
export interface OpenedCorim extends SignedCorim {
  /** Throws CorimError `corim-signature` for another key than the signer's. */
  verify(key: PublicKey): void;
}

/** Read a signed CoRIM once, to be verified by any of several keys. Throws CorimError. */
export function openSignedCorim(bytes: Uint8Array, options: CorimOptions = {}): OpenedCorim {
  const { object, signed } = openSigned(bytes, options);
  return {
    ...signed,
    verify(key) {
      try {
        verifyForeignSign1(object, key);
      } catch (cause) {
        throw new CorimError('corim-signature', cause instanceof Error ? cause.message : 'does not verify', cause);
      }
    },
  };
}

/** Verify and read a signed CoRIM. `now`, where given, is compared with both validities. Throws CorimError. */
export function verifyCorim(
  bytes: Uint8Array,
  key: PublicKey,
  now: Date | undefined,
  options: CorimOptions = {},
): SignedCorim {
  const { verify, ...signed } = openSignedCorim(bytes, options);
  verify(key);
  if (now !== undefined) for (const validity of [signed.validity, signed.corim.validity]) checkValidity(validity, now);
  return signed;
}

/** What a signed CoRIM says, not verified: for display, never for appraisal. Throws CorimError. */
export const inspectSignedCorim = (bytes: Uint8Array, options: CorimOptions = {}): SignedCorim =>
  openSigned(bytes, options).signed;

/** Whether it is an unsigned CoRIM by its tag; anything else is read as a signed one. */
export const isUnsignedCorim = (bytes: Uint8Array): boolean => {
  const item = decoded(bytes);
  return item instanceof Tag && item.tag === TAG_CORIM;
};

/**
 * The certificates of its signer that a signed CoRIM carries, leaf first (x5chain, RFC 9360); to be validated before the
 * leaf's key is believed. Throws CorimError for one without.
 */
export function signerChain(bytes: Uint8Array): readonly Uint8Array[] {
  const { headers, unprotected } = opened(bytes);
  const value: unknown = headers.get(HEADER.chain) ?? unprotected.get(HEADER.chain);
  const chain: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (chain.length === 0 || chain.length > MAX_CHAIN || !chain.every((one) => one instanceof Uint8Array)) {
    throw new CorimError('corim-signature', 'it carries no certificate of its signer');
  }
  return chain;
}

function openSigned(bytes: Uint8Array, options: CorimOptions) {
  const object = opened(bytes);
  const { headers, payload } = object;
  if (payload === undefined) throw bad('a COSE_Sign1 without its payload');
  if (!CONTENT_TYPES.has(String(headers.get(HEADER.contentType)))) throw bad('another content type than a CoRIM has');
  const meta = headers.get(HEADER.meta);
  if (!(meta instanceof Uint8Array)) throw bad('no corim-meta');
  const metaMap = asMap(decoded(meta), 'corim-meta');
  const signed: SignedCorim = {
    corim: parseCorim(payload, options),
    signer: asText(asMap(metaMap.get(0), 'signer').get(0), 'signer'),
    validity: metaMap.has(1) ? readValidity(metaMap.get(1)) : undefined,
  };
  return { object, signed };
}

function opened(bytes: Uint8Array) {
  try {
    return readForeignSign1(bytes, [HEADER.meta, HEADER.chain]);
  } catch (cause) {
    if (cause instanceof CoseError) throw new CorimError('corim-structure', cause.message, cause);
    throw cause;
  }
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

/** Throws CorimError `corim-validity` outside of it. */
export function checkValidity(validity: Validity | undefined, now: Date): void {
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
