/** Who may have a resource: conditions on what an attestation result says, each with the name of its refusal. */
import { type Static, Type } from 'typebox';
import { Check } from 'typebox/value';
import { VerifierError } from '../verifier/errors.ts';

const Digest = Type.String({ pattern: '^[0-9a-f]{64}$', description: 'SHA-256, lower-case hexadecimal' });

/** Every member that is present must hold. A policy for partitions names a code identity or a signer. */
export const ReleasePolicySchema = Type.Object(
  {
    codeIdentity: Type.Optional(Type.Array(Digest, { description: 'any of these code identities' })),
    signer: Type.Optional(Type.Array(Digest, { description: 'any of these manifest signers (key digests)' })),
    minimumSvn: Type.Optional(Type.Integer({ minimum: 0, description: 'lowest security version number' })),
    allowDebug: Type.Optional(Type.Boolean({ description: 'default false' })),
    platforms: Type.Optional(Type.Array(Type.String(), { description: 'any of these enrolled platforms' })),
    allowWarning: Type.Optional(Type.Boolean({ description: 'accept the state warning; default false' })),
  },
  { additionalProperties: false, $id: 'ReleasePolicy' },
);
export type ReleasePolicy = Static<typeof ReleasePolicySchema>;

/** What an attestation result says that matters to a release. Digests are lower-case hexadecimal. */
export interface Attested {
  readonly state: string;
  readonly platform: string;
  readonly partition?:
    | { readonly codeIdentity: string; readonly signer: string; readonly svn: number; readonly debug: boolean }
    | undefined;
}

/** Throws `VerifierError` `policy-malformed`. */
export function parseReleasePolicy(value: unknown): ReleasePolicy {
  if (Check(ReleasePolicySchema, value)) return value;
  throw new VerifierError('policy-malformed', 'The release policy is malformed.', {
    remedy: 'Members: codeIdentity, signer, minimumSvn, allowDebug, platforms, allowWarning; see /openapi.json.',
  });
}

/** Names of the conditions that do not hold; empty means release. A condition on a partition fails without one. */
export function refusals(policy: ReleasePolicy, attested: Attested): string[] {
  const { partition } = attested;
  const conditions: readonly (readonly [string, boolean])[] = [
    ['state', attested.state === 'affirming' || (policy.allowWarning === true && attested.state === 'warning')],
    ['platform', policy.platforms === undefined || policy.platforms.includes(attested.platform)],
    [
      'code-identity',
      policy.codeIdentity === undefined ||
        (partition !== undefined && policy.codeIdentity.includes(partition.codeIdentity)),
    ],
    ['signer', policy.signer === undefined || (partition !== undefined && policy.signer.includes(partition.signer))],
    [
      'security-version',
      policy.minimumSvn === undefined || (partition !== undefined && partition.svn >= policy.minimumSvn),
    ],
    ['debug', policy.allowDebug === true || partition?.debug !== true],
  ];
  return conditions.filter(([, holds]) => !holds).map(([name]) => name);
}
