/**
 * Attestation results as data: EAR claims (draft-ietf-rats-ear-01) with the AR4SI trustworthiness vector
 * (draft-ietf-rats-ar4si), checked for what they claim of themselves. They travel as JWT (`jwt.ts`) or CWT (`cwt.ts`).
 */
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';

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
/** Appraisal of one part of the attester. */
export const EarSubmodule = Type.Object({
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
  submods: Type.Record(Type.String(), EarSubmodule, { minProperties: 1 }),
});
export type EarClaims = Static<typeof EarClaims>;
const isEarClaims = Compile(EarClaims);
export type EarSubmodule = Static<typeof EarSubmodule>;

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
  if (!isEarClaims.Check(value)) {
    const [first] = isEarClaims.Errors(value);
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

/** Throws EarError `ear-time` outside of the result's own dates. */
export function checkEarDates({ exp, nbf }: EarClaims, now: Date): void {
  const seconds = now.getTime() / 1000;
  if (exp !== undefined && seconds >= exp) throw new EarError('ear-time', 'the result has expired');
  if (nbf !== undefined && seconds < nbf) throw new EarError('ear-time', 'the result is not valid yet');
}
