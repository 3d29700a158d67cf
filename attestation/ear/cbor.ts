/**
 * Claims of attestation results in CBOR: registered claims by their number (RFC 8392, RFC 9711), EAR's own by those of
 * draft-ietf-rats-ear, and claims that have none by their name. Byte strings, which JSON has as base64url, are bytes.
 */
import { fromBase64Url, toBase64Url } from '../bytes.ts';
import { type CborValue, encodeCbor } from '../cbor.ts';
import { readCbor } from '../corim/read-cbor.ts';
import { EAR_STATUS, type EarClaims, EarError, type EarSubmodule, parseEarClaims, TRUST_CLAIMS } from './claims.ts';

/** How a claim's value differs between JSON and CBOR. */
type Form = 'same' | 'bytes';
const CLAIMS: readonly (readonly [number, string, Form])[] = [
  [1, 'iss', 'same'],
  [2, 'sub', 'same'],
  [3, 'aud', 'same'],
  [4, 'exp', 'same'],
  [5, 'nbf', 'same'],
  [6, 'iat', 'same'],
  [10, 'eat_nonce', 'bytes'],
  [265, 'eat_profile', 'same'],
  [1002, 'ear.raw-evidence', 'bytes'],
];
const LABEL = { submods: 266, status: 1000, vector: 1001, policy: 1003, verifier: 1004 } as const;
const VERIFIER_ID = { developer: 0, build: 1 } as const;
const OWN = new Set(['submods', 'ear.verifier-id']);
const SUBMODULE = new Set(['ear.status', 'ear.trustworthiness-vector', 'ear.appraisal-policy-id']);
const MAX_DEPTH = 8;

/** The claims set of a CWT, deterministic. Throws EarError `ear-claims` for a nonce that is not base64url. */
export function encodeEarCbor(claims: EarClaims): Uint8Array {
  const { developer, build } = claims['ear.verifier-id'];
  const map = new Map<number | string, CborValue>([
    [
      LABEL.verifier,
      new Map<number, CborValue>([
        [VERIFIER_ID.developer, developer],
        [VERIFIER_ID.build, build],
      ]),
    ],
    [LABEL.submods, new Map(Object.entries(claims.submods).map(([name, one]) => [name, encodeSubmodule(one)]))],
  ]);
  for (const [name, value] of Object.entries(claims)) {
    if (OWN.has(name) || value === undefined) continue;
    const [label, , form] = CLAIMS.find(([, known]) => known === name) ?? [];
    map.set(label ?? name, form === 'bytes' ? bytesOf(name, value) : toCbor(value));
  }
  return encodeCbor(map);
}

function bytesOf(name: string, value: unknown): Uint8Array {
  try {
    return fromBase64Url(String(value));
  } catch (cause) {
    throw new EarError('ear-claims', `${name} is not base64url`, cause);
  }
}

function encodeSubmodule(submodule: EarSubmodule): CborValue {
  const vector = Object.entries(submodule['ear.trustworthiness-vector'] ?? {});
  const policy = submodule['ear.appraisal-policy-id'];
  const more = Object.entries(submodule).filter(([name]) => !SUBMODULE.has(name));
  return new Map<number | string, CborValue>([
    [LABEL.status, EAR_STATUS[submodule['ear.status']]],
    ...(vector.length === 0 ? [] : [[LABEL.vector, new Map(vector.map(labelled))] as const]),
    ...(policy === undefined ? [] : [[LABEL.policy, policy] as const]),
    ...more.map(([name, value]) => [name, toCbor(value)] as const),
  ]);
}

const labelled = ([name, value]: [string, unknown]): [number, number] => [
  TRUST_CLAIMS.indexOf(name as (typeof TRUST_CLAIMS)[number]), // the schema admits no other
  Number(value),
];

/** A value of JSON as it stands. */
function toCbor(value: unknown): CborValue {
  if (Array.isArray(value)) return value.map(toCbor);
  if (typeof value !== 'object' || value === null) return value as CborValue; // JSON has no other
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  return new Map(members.map(([name, member]) => [name, toCbor(member)]));
}

/** Read the claims set of a CWT, in any well-formed encoding. Throws EarError. */
export function decodeEarCbor(bytes: Uint8Array): EarClaims {
  let map: unknown;
  try {
    map = readCbor(bytes);
  } catch (cause) {
    throw new EarError('ear-claims', 'the claims are not CBOR', cause);
  }
  if (!(map instanceof Map)) throw new EarError('ear-claims', 'the claims are not a map');
  const verifier = asMap(map.get(LABEL.verifier));
  const claims: Record<string, unknown> = {
    'ear.verifier-id': { developer: verifier.get(VERIFIER_ID.developer), build: verifier.get(VERIFIER_ID.build) },
    submods: Object.fromEntries([...asMap(map.get(LABEL.submods))].map(decodeSubmodule)),
  };
  for (const [label, value] of map) {
    if (label === LABEL.verifier || label === LABEL.submods) continue;
    const [, name] = CLAIMS.find(([number]) => number === label) ?? [];
    // A claim by its name must not pass for one that has a number.
    if (name === undefined && (OWN.has(label) || CLAIMS.some(([, known]) => known === label))) {
      throw new EarError('ear-claims', `"${String(label)}" has a number`);
    }
    claims[name ?? String(label)] = toJson(value, 0);
  }
  return parseEarClaims(claims);
}

function decodeSubmodule([name, value]: [unknown, unknown]): [string, unknown] {
  const map = asMap(value);
  const status = Object.entries(EAR_STATUS).find(([, tier]) => tier === map.get(LABEL.status))?.[0];
  const vector = map.get(LABEL.vector);
  const policy = map.get(LABEL.policy);
  const named = [...asMap(vector)].map(([label, tier]) => [
    TRUST_CLAIMS[Number(label)] ?? `unknown-${String(label)}`,
    tier,
  ]);
  const more = [...map].filter(([label]) => typeof label === 'string' && !SUBMODULE.has(label));
  return [
    String(name),
    {
      ...Object.fromEntries(more.map(([label, member]) => [label, toJson(member, 0)])),
      'ear.status': status,
      ...(vector === undefined ? {} : { 'ear.trustworthiness-vector': Object.fromEntries(named) }),
      // Later drafts have a list of identifiers, which are URIs: no blank is in them.
      ...(policy === undefined ? {} : { 'ear.appraisal-policy-id': Array.isArray(policy) ? policy.join(' ') : policy }),
    },
  ];
}

const asMap = (value: unknown): ReadonlyMap<unknown, unknown> => (value instanceof Map ? value : new Map());

/** A value of CBOR in JSON: byte strings as base64url, keys as text. */
function toJson(value: unknown, depth: number): unknown {
  if (depth > MAX_DEPTH) throw new EarError('ear-claims', `claims nested more than ${MAX_DEPTH} deep`);
  if (value instanceof Uint8Array) return toBase64Url(value);
  if (Array.isArray(value)) return value.map((one) => toJson(one, depth + 1));
  if (value instanceof Map) {
    return Object.fromEntries([...value].map(([name, member]) => [String(name), toJson(member, depth + 1)]));
  }
  return typeof value === 'object' && value !== null ? String(value) : value;
}
