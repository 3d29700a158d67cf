/**
 * Attestation results: EAR claims in a JWT (draft-ietf-rats-ear-01, media type `application/eat+jwt`). The `nexus`
 * claim carries what a release needs of the appraisal; it is ours, and other relying parties may ignore it.
 */
import type { JWTPayload } from 'jose';
import { type Static, Type } from 'typebox';
import { Check } from 'typebox/value';
import { fromBase64Url, toBase64Url } from './bytes.ts';
import { VerifierError } from './errors.ts';
import type { Appraised, AttestedPartition } from './evidence-format.ts';

export const EAR_TYPE = 'eat+jwt';
const PROFILE = 'tag:ietf.org,2026:rats/ear#01';
const DEVELOPER = 'https://www.npmjs.com/package/nexus-tcb';

const NexusClaim = Type.Object({
  tenant: Type.String(),
  platform: Type.String(),
  state: Type.String(),
  failed: Type.Array(Type.String()),
  boundKey: Type.Optional(Type.String()),
  device: Type.Optional(Type.Record(Type.String(), Type.String())),
  partition: Type.Optional(
    Type.Object({
      codeIdentity: Type.String(),
      signer: Type.String(),
      svn: Type.Integer(),
      debug: Type.Boolean(),
      userData: Type.String(),
    }),
  ),
});
const ResultClaims = Type.Object({ eat_nonce: Type.String(), nexus: NexusClaim });

/** An appraisal as the rest of the service, and a relying party with our claim, sees it. */
export interface Result {
  readonly tenant: string;
  readonly platform: string;
  readonly state: string;
  readonly failed: readonly string[];
  readonly nonce: Uint8Array;
  /** SHA-256 of the key that the quote itself binds, lower-case hexadecimal. */
  readonly boundKey?: string | undefined;
  readonly partition?: AttestedPartition | undefined;
  /** Names of the device that quoted, as its manufacturer certified them. */
  readonly device?: Readonly<Record<string, string>> | undefined;
}

export interface ResultOptions {
  readonly issuer: string;
  readonly build: string;
  readonly issuedAt: Date;
  readonly seconds: number;
  /** Name and version of the reference values, such as `default/3`. */
  readonly policyId: string;
}

/** Claims of the EAR over one appraisal. */
export function resultClaims(result: Result, appraised: Appraised, options: ResultOptions): JWTPayload {
  const iat = Math.floor(options.issuedAt.getTime() / 1000);
  const { partition } = result;
  const nexus: Static<typeof NexusClaim> = {
    tenant: result.tenant,
    platform: result.platform,
    state: result.state,
    failed: [...result.failed],
    ...(result.boundKey !== undefined && { boundKey: result.boundKey }),
    ...(result.device !== undefined && { device: { ...result.device } }),
    ...(partition !== undefined && { partition: { ...partition, userData: toBase64Url(partition.userData) } }),
  };
  const submods = Object.entries(appraised.modules).map(([name, module]) => [
    name,
    {
      'ear.status': module.status,
      'ear.trustworthiness-vector': module.vector,
      'ear.appraisal-policy-id': options.policyId,
    },
  ]);
  return {
    eat_profile: PROFILE,
    iss: options.issuer,
    iat,
    exp: iat + options.seconds,
    eat_nonce: toBase64Url(result.nonce),
    'ear.verifier-id': { developer: DEVELOPER, build: options.build },
    submods: Object.fromEntries(submods),
    nexus,
  };
}

/** Read our claims back from a result whose signature, issuer and dates were checked. Throws `result-refused`. */
export function readResultClaims(claims: JWTPayload): Result {
  if (!Check(ResultClaims, claims)) {
    throw new VerifierError('result-refused', 'The result is not one of this verifier.', {
      failed: ['result'],
      remedy: 'Send the `result` of POST /v1/attestations.',
    });
  }
  const { partition, ...rest } = claims.nexus;
  return {
    ...rest,
    nonce: fromBase64Url(claims.eat_nonce),
    ...(partition !== undefined && { partition: { ...partition, userData: fromBase64Url(partition.userData) } }),
  };
}
