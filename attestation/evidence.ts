/**
 * Evidence of a host: one CBOR map, a conceptual-messages-wrapper collection (RFC 9999), which a relying party checks
 * whole. Documented in docs/evidence.md.
 */
import { concatBytes } from './bytes.ts';
import { type CborValue, decodeCbor, encodeCbor } from './cbor.ts';
import { SHA256 } from './hash.ts';

export const EVIDENCE_MEDIA_TYPE = 'application/vnd.nexus-tcb.evidence+cbor';
const COLLECTION_TYPE = 'tag:nexus-tcb,2026:evidence';
const PLATFORM_TYPE = 'application/vnd.nexus-tcb.tpm-quote+cbor';
const KEY_TYPE = 'application/cose-key';
const EAT_TYPE = 'application/eat+cwt';
const QUOTE_LABEL = new TextEncoder().encode('nexus-tcb quote v1');
const EVIDENCE_MAX = 4 * 2 ** 20;

/** What the platform TPM and firmware say. */
export interface PlatformEvidence {
  /** TPMS_ATTEST of type quote, as it was signed. */
  readonly quoted: Uint8Array;
  /** TPMT_SIGNATURE over `quoted`. */
  readonly signature: Uint8Array;
  /** TPMT_PUBLIC of the attestation key. */
  readonly akPublic: Uint8Array;
  readonly eventLog: Uint8Array;
}

export interface Evidence {
  readonly platform: PlatformEvidence;
  /** COSE_Key of the nexus. */
  readonly nexusKey: Uint8Array;
  /** COSE_Sign1: the report of a partition; absent when the platform alone is attested. */
  readonly partition?: Uint8Array;
}

export class EvidenceError extends Error {
  readonly code = 'E_EVIDENCE';
  readonly remedy = 'send evidence as docs/evidence.md describes it';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'EvidenceError';
  }
}

/**
 * What a quote's qualifyingData must be: SHA-256(label || SHA-256(nexusKey) || nonce). It binds the nexus key to the
 * measured platform and the quote to the verifier's nonce.
 */
export function quoteBinding(nexusKey: Uint8Array, nonce: Uint8Array): Uint8Array {
  return Uint8Array.from(SHA256.digest(concatBytes(QUOTE_LABEL, SHA256.digest(nexusKey), nonce)));
}

export function encodeEvidence(evidence: Evidence): Uint8Array {
  const { quoted, signature, akPublic, eventLog } = evidence.platform;
  return encodeCbor({
    __cmwc_t: COLLECTION_TYPE,
    platform: [PLATFORM_TYPE, encodeCbor({ quoted, signature, ak: akPublic, log: eventLog })],
    'nexus-key': [KEY_TYPE, evidence.nexusKey],
    ...(evidence.partition === undefined ? {} : { partition: [EAT_TYPE, evidence.partition] as CborValue }),
  });
}

/** Parse. Throws EvidenceError; what the parts hold is checked by appraisal. */
export function decodeEvidence(bytes: Uint8Array): Evidence {
  if (bytes.length > EVIDENCE_MAX)
    throw new EvidenceError(`evidence of ${bytes.length} bytes; at most ${EVIDENCE_MAX}`);
  const collection = decodeMap(bytes, 'the evidence');
  if (collection.get('__cmwc_t') !== COLLECTION_TYPE) throw new EvidenceError('not a collection of a nexus host');
  const partition = collection.has('partition') ? message(collection, 'partition', EAT_TYPE) : undefined;
  if (collection.size !== (partition ? 4 : 3)) throw new EvidenceError('a message that is not known here');
  const platform = decodeMap(message(collection, 'platform', PLATFORM_TYPE), 'the platform message');
  if (platform.size !== 4) throw new EvidenceError('the platform message has other members than it should');
  return {
    platform: {
      quoted: member(platform, 'quoted'),
      signature: member(platform, 'signature'),
      akPublic: member(platform, 'ak'),
      eventLog: member(platform, 'log'),
    },
    nexusKey: message(collection, 'nexus-key', KEY_TYPE),
    ...(partition ? { partition } : {}),
  };
}

/** A CBOR map in deterministic form. Throws EvidenceError naming `what`. */
export function decodeMap(bytes: Uint8Array, what: string): ReadonlyMap<unknown, unknown> {
  let value: unknown;
  try {
    value = decodeCbor(bytes);
  } catch (cause) {
    throw new EvidenceError(`${what}: ${cause instanceof Error ? cause.message : 'not CBOR'}`, { cause });
  }
  if (value instanceof Map) return value;
  throw new EvidenceError(`${what} is not a map`);
}

/** The bytes of a message `[media type, bytes]` of a collection. Throws EvidenceError. */
export function message(collection: ReadonlyMap<unknown, unknown>, name: string, type: string): Uint8Array {
  const record = collection.get(name);
  if (Array.isArray(record) && record.length === 2 && record[0] === type && record[1] instanceof Uint8Array) {
    return record[1];
  }
  throw new EvidenceError(`"${name}" is not a message of type ${type}`);
}

/** A byte string of a map. Throws EvidenceError. */
export function member(map: ReadonlyMap<unknown, unknown>, name: string): Uint8Array {
  const value = map.get(name);
  if (value instanceof Uint8Array) return value;
  throw new EvidenceError(`"${name}" is not a byte string`);
}
