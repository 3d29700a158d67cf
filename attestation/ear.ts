/**
 * Attestation results as data: EAR claims (draft-ietf-rats-ear-01) with the AR4SI trustworthiness vector
 * (draft-ietf-rats-ar4si), in JSON and in CBOR, read from JWT and checked for what they claim of themselves.
 */
import { type CryptoKey, compactVerify, type JWK } from 'jose';
import { type Static, Type } from 'typebox';
import { Check, Errors } from 'typebox/value';
import { type CborValue, decodeCbor, encodeCbor } from './cbor.ts';

/** Claims of the vector, in the order of their CBOR labels. */
export const TRUST_CLAIMS = [
  'instance-identity',
  'configuration',
  'executables',
  'file-system',
  'hardware',
  'runtime-opaque',
  'storage-opaque',
  'sourced-data',
] as const;

/** Status to tier. */
export const EAR_STATUS = { none: 0, affirming: 2, warning: 32, contraindicated: 96 } as const;
export type EarStatus = keyof typeof EAR_STATUS;

const Vector = Type.Object(
  Object.fromEntries(TRUST_CLAIMS.map((name) => [name, Type.Optional(Type.Integer({ minimum: -128, maximum: 127 }))])),
  { additionalProperties: false },
);
const Base64Url = Type.String({ pattern: '^[A-Za-z0-9_-]+$' });
const Submodule = Type.Object({
  'ear.status': Type.Union(Object.keys(EAR_STATUS).map((name) => Type.Literal(name as EarStatus))),
  'ear.trustworthiness-vector': Type.Optional(Vector),
  'ear.appraisal-policy-id': Type.Optional(Type.String()),
  /** Veraison's extension: the public key that the evidence attested. */
  'ear.veraison.key-attestation': Type.Optional(Type.Object({ akpub: Base64Url })),
});

/** EAR claims in their JSON form; further claims are kept. */
export const EarClaims = Type.Object({
  eat_profile: Type.String({ minLength: 1 }),
  iat: Type.Number(),
  exp: Type.Optional(Type.Number()),
  nbf: Type.Optional(Type.Number()),
  eat_nonce: Type.Optional(Type.String()),
  'ear.verifier-id': Type.Object({ developer: Type.String(), build: Type.String() }),
  'ear.raw-evidence': Type.Optional(Base64Url),
  submods: Type.Record(Type.String(), Submodule, { minProperties: 1 }),
});
export type EarClaims = Static<typeof EarClaims>;

export type EarErrorCode = 'ear-claims' | 'ear-status' | 'ear-signature' | 'ear-time';

export class EarError extends Error {
  override readonly name = 'EarError';
  readonly code: EarErrorCode;
  readonly remedy = 'Ask the verifier for a new result, and verify it with the key that the verifier publishes.';
  constructor(code: EarErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** Read claims. Throws EarError `ear-claims`, or `ear-status` for a status better than its own vector. */
export function parseEarClaims(value: unknown): EarClaims {
  if (!Check(EarClaims, value)) {
    const [first] = Errors(EarClaims, value);
    throw new EarError('ear-claims', `${first?.instancePath || 'claims'}: ${first?.message ?? 'malformed'}`);
  }
  for (const [name, submodule] of Object.entries(value.submods)) {
    const tiers = Object.values(submodule['ear.trustworthiness-vector'] ?? {}).map((value = 0) => tierOf(value));
    const worst = Math.max(0, ...tiers);
    if (EAR_STATUS[submodule['ear.status']] < worst) {
      throw new EarError('ear-status', `"${name}" is ${submodule['ear.status']}, its vector is worse`);
    }
  }
  return value;
}

/** The tier of a claim's value: 0 says nothing. AR4SI, section 2.3.1. */
function tierOf(value: number): number {
  if (value >= -1 && value <= 1) return EAR_STATUS.none;
  const size = Math.abs(value);
  if (size < EAR_STATUS.warning) return EAR_STATUS.affirming;
  return size < EAR_STATUS.contraindicated ? EAR_STATUS.warning : EAR_STATUS.contraindicated;
}

const ALGORITHMS = ['ES256', 'ES384', 'ES512', 'EdDSA', 'PS256', 'RS256'];

/** Verify and read an EAR in a JWT. Dates are compared with `now`. Throws EarError. A key in its header is not asked. */
export async function verifyEarJwt(token: string, key: CryptoKey | JWK, now: Date): Promise<EarClaims> {
  let payload: Uint8Array;
  try {
    ({ payload } = await compactVerify(token, key, { algorithms: ALGORITHMS }));
  } catch (cause) {
    throw new EarError('ear-signature', 'the signature does not verify under this key', cause);
  }
  const claims = parseEarClaims(parseJson(payload));
  const seconds = now.getTime() / 1000;
  if (claims.exp !== undefined && seconds >= claims.exp) throw new EarError('ear-time', 'the result has expired');
  if (claims.nbf !== undefined && seconds < claims.nbf) throw new EarError('ear-time', 'the result is not valid yet');
  return claims;
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new EarError('ear-claims', 'the payload is not JSON', cause);
  }
}

/** Labels of the CBOR form. draft-ietf-rats-ear, section 3; RFC 9711, section 7; RFC 8392. */
const LABEL = { exp: 4, nbf: 5, iat: 6, nonce: 10, profile: 265, submods: 266 } as const;
const EAR_LABEL = { status: 1000, vector: 1001, rawEvidence: 1002, policy: 1003, verifier: 1004 } as const;
const EAR_MAX = 1 << 20;

/** The claims set of a CWT, deterministic. Claims that this model does not know have no place in it. */
export function encodeEarCbor(claims: EarClaims): Uint8Array {
  const verifier = claims['ear.verifier-id'];
  const map = new Map<number, CborValue>([
    [LABEL.iat, claims.iat],
    [LABEL.profile, claims.eat_profile],
    [
      EAR_LABEL.verifier,
      new Map([
        [0, verifier.developer],
        [1, verifier.build],
      ]),
    ],
    [LABEL.submods, new Map(Object.entries(claims.submods).map(([name, one]) => [name, encodeSubmodule(one)]))],
  ]);
  if (claims.exp !== undefined) map.set(LABEL.exp, claims.exp);
  if (claims.nbf !== undefined) map.set(LABEL.nbf, claims.nbf);
  if (claims.eat_nonce !== undefined) map.set(LABEL.nonce, claims.eat_nonce);
  if (claims['ear.raw-evidence'] !== undefined) map.set(EAR_LABEL.rawEvidence, claims['ear.raw-evidence']);
  return encodeCbor(map);
}

function encodeSubmodule(submodule: Static<typeof Submodule>): CborValue {
  const vector = Object.entries(submodule['ear.trustworthiness-vector'] ?? {});
  const policy = submodule['ear.appraisal-policy-id'];
  return new Map<number, CborValue>([
    [EAR_LABEL.status, EAR_STATUS[submodule['ear.status']]],
    ...(vector.length === 0 ? [] : [[EAR_LABEL.vector, new Map(vector.map(labelled))] as const]),
    ...(policy === undefined ? [] : [[EAR_LABEL.policy, policy] as const]),
  ]);
}

const labelled = ([name, value]: [string, unknown]): [number, number] => [
  TRUST_CLAIMS.indexOf(name as (typeof TRUST_CLAIMS)[number]), // the schema admits no other
  Number(value),
];

/** Read the claims set of a CWT. Throws EarError. */
export function decodeEarCbor(bytes: Uint8Array): EarClaims {
  if (bytes.length > EAR_MAX) throw new EarError('ear-claims', `${bytes.length} bytes; at most ${EAR_MAX}`);
  let map: unknown;
  try {
    map = decodeCbor(bytes);
  } catch (cause) {
    throw new EarError('ear-claims', 'the claims are not deterministic CBOR', cause);
  }
  const get = (from: unknown, label: number | string): unknown => (from instanceof Map ? from.get(label) : undefined);
  const verifier = get(map, EAR_LABEL.verifier);
  const submods = get(map, LABEL.submods);
  const optional = Object.entries({
    exp: get(map, LABEL.exp),
    nbf: get(map, LABEL.nbf),
    eat_nonce: get(map, LABEL.nonce),
    'ear.raw-evidence': get(map, EAR_LABEL.rawEvidence),
  }).filter(([, value]) => value !== undefined);
  return parseEarClaims({
    eat_profile: get(map, LABEL.profile),
    iat: get(map, LABEL.iat),
    'ear.verifier-id': { developer: get(verifier, 0), build: get(verifier, 1) },
    submods: Object.fromEntries([...(submods instanceof Map ? submods : [])].map(decodeSubmodule)),
    ...Object.fromEntries(optional),
  });
}

function decodeSubmodule([name, value]: [unknown, unknown]): [string, unknown] {
  const map = value instanceof Map ? value : new Map();
  const status = Object.entries(EAR_STATUS).find(([, tier]) => tier === map.get(EAR_LABEL.status))?.[0];
  const vector: unknown = map.get(EAR_LABEL.vector);
  const policy: unknown = map.get(EAR_LABEL.policy);
  const named = [...(vector instanceof Map ? vector : [])].map(([label, tier]) => [
    TRUST_CLAIMS[Number(label)] ?? `unknown-${String(label)}`,
    tier,
  ]);
  return [
    String(name),
    {
      'ear.status': status,
      ...(vector === undefined ? {} : { 'ear.trustworthiness-vector': Object.fromEntries(named) }),
      ...(policy === undefined ? {} : { 'ear.appraisal-policy-id': policy }),
    },
  ];
}
