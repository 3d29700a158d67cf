/**
 * Claims of entity attestation tokens (RFC 9711), in CBOR and JSON, by their registered names and checked types, with
 * submodules and detached bundles. The reports of our own partitions are a profile of these: `eat.ts`.
 */
import { Tag } from 'cbor-x';
import { sameBytes } from './bytes.ts';
import { readCbor } from './corim/read-cbor.ts';
import { SHA256, SHA384, SHA512 } from './hash.ts';

export type EatClaimsErrorCode = 'eat-format' | 'eat-claim' | 'eat-digest' | 'eat-depth';

export class EatClaimsError extends Error {
  override readonly name = 'EatClaimsError';
  readonly code: EatClaimsErrorCode;
  readonly remedy = 'Send a token that follows RFC 9711.';
  constructor(code: EatClaimsErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** A token inside another, which is verified with its own key. */
export interface NestedToken {
  readonly kind: 'CBOR' | 'JWT' | 'bundle';
  readonly token: Uint8Array | string;
}

/** The digest of claims that travel beside the token. */
export interface DetachedDigest {
  readonly algorithm: string;
  readonly digest: Uint8Array;
}

export type Submodule = EatClaims | NestedToken | DetachedDigest;

export interface EatClaims {
  /** By registered name; claims without one by their number or name as it stands. */
  readonly claims: ReadonlyMap<string, unknown>;
  readonly submods: ReadonlyMap<string, Submodule>;
}

type Rule = (value: unknown) => boolean;
const isBytes =
  (least: number, most: number): Rule =>
  (value) =>
    value instanceof Uint8Array && value.length >= least && value.length <= most;
const isText: Rule = (value) => typeof value === 'string';
const isFlag: Rule = (value) => typeof value === 'boolean';
const isUint: Rule = (value) =>
  (typeof value === 'number' && Number.isInteger(value) && value >= 0) || (typeof value === 'bigint' && value >= 0n);
const isTime: Rule = (value) => typeof value === 'number' && Number.isFinite(value);
const isList: Rule = (value) => Array.isArray(value) && value.length > 0;
const isVersion: Rule = (value) => Array.isArray(value) && value.length >= 1 && value.length <= 2 && isText(value[0]);
const either =
  (...rules: readonly Rule[]): Rule =>
  (value) =>
    rules.some((rule) => rule(value));
const isNonce = isBytes(8, 64);
const isTextNonce: Rule = (value) => typeof value === 'string' && value.length >= 8 && value.length <= 88;

/** Claim number, name and type in CBOR; in JSON byte strings are base64url text. RFC 9711, section 7.2.1. */
const CLAIMS: readonly (readonly [number, string, Rule])[] = [
  [1, 'iss', isText],
  [2, 'sub', isText],
  [3, 'aud', either(isText, isList)],
  [4, 'exp', isTime],
  [5, 'nbf', isTime],
  [6, 'iat', isTime],
  [7, 'cti', isBytes(1, 1024)],
  [10, 'eat_nonce', either(isNonce, (value) => Array.isArray(value) && value.length > 0 && value.every(isNonce))],
  [256, 'ueid', isBytes(7, 33)],
  [257, 'sueids', (value) => value instanceof Map],
  [258, 'oemid', either(isUint, isBytes(3, 16))],
  [259, 'hwmodel', isBytes(1, 32)],
  [260, 'hwversion', isVersion],
  [261, 'uptime', isUint],
  [262, 'oemboot', isFlag],
  [263, 'dbgstat', (value) => isUint(value) && Number(value) <= 4],
  [264, 'location', (value) => value instanceof Map],
  [265, 'eat_profile', either(isText, isBytes(1, 256), (value) => value instanceof Tag)],
  [267, 'bootcount', isUint],
  [268, 'bootseed', isBytes(32, 64)],
  [269, 'dloas', isList],
  [270, 'swname', isText],
  [271, 'swversion', isVersion],
  [272, 'manifests', isList],
  [273, 'measurements', isList],
  [274, 'measres', isList],
  [275, 'intuse', (value) => isUint(value) && Number(value) >= 1 && Number(value) <= 5],
];
const SUBMODS = 266;
const BY_NUMBER = new Map(CLAIMS.map(([number, name, rule]) => [number, { name, rule }]));
const DEBUG_STATES = [
  'enabled',
  'disabled',
  'disabled-since-boot',
  'disabled-permanently',
  'disabled-fully-and-permanently',
];
/** Types in JSON where they differ. RFC 9711, section 7.2. */
const JSON_RULES: Readonly<Record<string, Rule>> = {
  iss: isText,
  sub: isText,
  iat: isTime,
  exp: isTime,
  nbf: isTime,
  eat_nonce: either(isTextNonce, (value) => Array.isArray(value) && value.every(isTextNonce)),
  ueid: isText,
  oemid: either(isText, isUint),
  oemboot: isFlag,
  dbgstat: (value) => DEBUG_STATES.includes(String(value)),
  hwmodel: isText,
  hwversion: isVersion,
  swname: isText,
  swversion: isVersion,
  measres: isList,
  eat_profile: isText,
};
const MAX_DEPTH = 8;
const TAG_BUNDLE = 602;
const TAG_CWT = 61;
const DIGESTS = new Map([
  ['SHA-256', SHA256],
  ['SHA-384', SHA384],
  ['SHA-512', SHA512],
]);
/** COSE algorithm numbers of hashes. RFC 9054. */
const COSE_HASHES: Readonly<Record<number, string>> = { [-16]: 'SHA-256', [-43]: 'SHA-384', [-44]: 'SHA-512' };

/** Read a claims set in CBOR. Throws EatClaimsError. */
export function readEatCbor(bytes: Uint8Array): EatClaims {
  return claimsOf(item(bytes), 0);
}

/** The COSE object inside a CWT (tag 61), as it is signed or MACed; verify it before reading its claims. */
export function cwtContent(bytes: Uint8Array): { readonly tag: number; readonly parts: readonly unknown[] } {
  const value = item(bytes);
  const inner = value instanceof Tag && value.tag === TAG_CWT ? value.value : value;
  if (inner instanceof Tag && Array.isArray(inner.value)) return { tag: inner.tag, parts: inner.value };
  throw new EatClaimsError('eat-format', 'not a CWT');
}

function item(bytes: Uint8Array): unknown {
  try {
    return readCbor(bytes);
  } catch (cause) {
    throw new EatClaimsError('eat-format', 'not CBOR', cause);
  }
}

function claimsOf(value: unknown, depth: number): EatClaims {
  if (!(value instanceof Map)) throw new EatClaimsError('eat-format', 'claims that are not a map');
  if (depth > MAX_DEPTH) throw new EatClaimsError('eat-depth', `submodules nested more than ${MAX_DEPTH} deep`);
  const claims = new Map<string, unknown>();
  for (const [key, claim] of value) {
    if (key === SUBMODS) continue;
    const known = BY_NUMBER.get(Number(key));
    if (known !== undefined && !known.rule(claim)) throw new EatClaimsError('eat-claim', known.name);
    claims.set(known?.name ?? String(key), claim);
  }
  const submods = value.get(SUBMODS) ?? new Map();
  if (!(submods instanceof Map)) throw new EatClaimsError('eat-claim', 'submods');
  return {
    claims,
    submods: new Map([...submods].map(([name, one]) => [String(name), submodule(one, depth + 1)])),
  };
}

function submodule(value: unknown, depth: number): Submodule {
  if (value instanceof Map) return claimsOf(value, depth);
  if (value instanceof Uint8Array) return { kind: 'CBOR', token: value };
  if (Array.isArray(value) && value.length === 2) {
    const [first, second] = value as unknown[];
    if (first === 'JWT' && typeof second === 'string') return { kind: 'JWT', token: second };
    const algorithm = typeof first === 'number' ? COSE_HASHES[first] : first;
    if (typeof algorithm === 'string' && second instanceof Uint8Array) return { algorithm, digest: second };
  }
  throw new EatClaimsError('eat-claim', 'a submodule that is neither claims, a token nor a digest');
}

/** Read a claims set in JSON. Throws EatClaimsError. */
export function readEatJson(text: string): EatClaims {
  return jsonClaims(json(text), 0);
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new EatClaimsError('eat-format', 'not JSON', cause);
  }
}

function jsonClaims(value: unknown, depth: number): EatClaims {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new EatClaimsError('eat-format', 'claims that are not an object');
  }
  if (depth > MAX_DEPTH) throw new EatClaimsError('eat-depth', `submodules nested more than ${MAX_DEPTH} deep`);
  const { submods = {}, ...rest } = value as { submods?: unknown };
  for (const [name, claim] of Object.entries(rest)) {
    const rule = Object.hasOwn(JSON_RULES, name) ? JSON_RULES[name] : undefined;
    if (rule !== undefined && !rule(claim)) throw new EatClaimsError('eat-claim', name);
  }
  const modules = Object.entries(submods as object).map(
    ([name, one]) => [name, jsonSubmodule(one, depth + 1)] as const,
  );
  return { claims: new Map(Object.entries(rest)), submods: new Map(modules) };
}

function jsonSubmodule(value: unknown, depth: number): Submodule {
  if (!Array.isArray(value)) return jsonClaims(value, depth);
  const [kind, content] = value as unknown[];
  if ((kind === 'CBOR' || kind === 'JWT') && typeof content === 'string') return { kind, token: content };
  if (kind === 'DIGEST' && Array.isArray(content) && typeof content[1] === 'string') {
    return { algorithm: String(content[0]), digest: base64Url(content[1]) };
  }
  throw new EatClaimsError('eat-claim', 'a submodule that is neither claims, a token nor a digest');
}

export interface DetachedBundle {
  /** The token that holds the digests: COSE bytes, or a JWT. */
  readonly token: Uint8Array | string;
  /** Claims sets by the name of their submodule, as they travel. */
  readonly detached: ReadonlyMap<string, Uint8Array>;
}

/** Read a detached EAT bundle in CBOR (tag 602) or JSON. Its claims count only once `checkDetached` has passed. */
export function readBundle(bytes: Uint8Array): DetachedBundle {
  if (bytes[0] === 0x5b || bytes[0] === 0x20 || bytes[0] === 0x0a) return jsonBundle(new TextDecoder().decode(bytes));
  const value = item(bytes);
  const parts: unknown = value instanceof Tag && value.tag === TAG_BUNDLE ? value.value : undefined;
  if (!Array.isArray(parts) || parts.length !== 2) throw new EatClaimsError('eat-format', 'not a detached bundle');
  const [token, detached] = parts as unknown[];
  if (!(token instanceof Uint8Array) || !(detached instanceof Map)) throw new EatClaimsError('eat-format', 'a bundle');
  for (const claims of detached.values()) {
    if (!(claims instanceof Uint8Array)) throw new EatClaimsError('eat-format', 'detached claims that are not bytes');
  }
  return { token, detached: new Map([...detached].map(([name, claims]) => [String(name), claims as Uint8Array])) };
}

function jsonBundle(text: string): DetachedBundle {
  const value = json(text);
  const [main, detached] = Array.isArray(value) && value.length === 2 ? (value as unknown[]) : [];
  const token: unknown = Array.isArray(main) ? main[1] : undefined;
  if (typeof token !== 'string' || typeof detached !== 'object' || detached === null) {
    throw new EatClaimsError('eat-format', 'not a detached bundle');
  }
  return {
    token,
    detached: new Map(Object.entries(detached).map(([name, claims]) => [name, base64Url(String(claims))])),
  };
}

/** Check that every detached claims set is the one that the (verified) token has the digest of. Throws `eat-digest`. */
export function checkDetached(claims: EatClaims, { detached }: Pick<DetachedBundle, 'detached'>): void {
  for (const [name, bytes] of detached) {
    const expected = claims.submods.get(name);
    const hash = expected !== undefined && 'digest' in expected ? DIGESTS.get(expected.algorithm) : undefined;
    if (expected === undefined || !('digest' in expected) || hash === undefined) {
      throw new EatClaimsError('eat-digest', `the token has no digest of "${name}"`);
    }
    if (!sameBytes(hash.digest(bytes), expected.digest)) {
      throw new EatClaimsError('eat-digest', `"${name}" is not what the token has the digest of`);
    }
  }
}

function base64Url(text: string): Uint8Array {
  try {
    const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
    return Uint8Array.from(binary, (character) => character.charCodeAt(0));
  } catch (cause) {
    throw new EatClaimsError('eat-format', 'not base64url', cause);
  }
}
