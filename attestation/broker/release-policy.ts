/** Who may have a resource: conditions on what an attestation result says, each with the name of its refusal. */
import { Environment } from '@marcbachmann/cel-js';
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
    expect: Type.Optional(
      Type.Array(Type.String({ maxLength: 4096 }), {
        maxItems: 16,
        description: 'CEL expressions over state, platform and partition that must be true (docs/verifier.md)',
      }),
    ),
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
  if (Check(ReleasePolicySchema, value)) {
    for (const expression of value.expect ?? []) mustCompile(expression);
    return value;
  }
  throw new VerifierError('policy-malformed', 'The release policy is malformed.', {
    remedy:
      'Members: codeIdentity, signer, minimumSvn, allowDebug, platforms, allowWarning, expect; see /openapi.json.',
  });
}

/** What an expression sees. Without a partition `partition.attested` is false, and its other members are empty. */
const EXPRESSIONS = new Environment({ limits: { maxDepth: 32 } })
  .registerVariable('state', 'string')
  .registerVariable('platform', 'string')
  .registerVariable({
    name: 'partition',
    schema: { attested: 'bool', codeIdentity: 'string', signer: 'string', svn: 'int', debug: 'bool' },
  });

function mustCompile(expression: string): void {
  const { valid, type, error } = EXPRESSIONS.check(expression);
  if (valid && type === 'bool') return;
  const reason = valid ? `it gives ${type}, not bool` : (error?.message.split('\n')[0] ?? 'it does not compile');
  throw new VerifierError('policy-malformed', `"${expression.slice(0, 200)}": ${reason}.`, {
    remedy: 'It may use state, platform, and partition.attested, .codeIdentity, .signer, .svn, .debug.',
  });
}

/** What throws is not true. */
function isTrue(expression: string, { state, platform, partition }: Attested): boolean {
  const { codeIdentity = '', signer = '', svn = 0, debug = false } = partition ?? {};
  const seen = { attested: partition !== undefined, codeIdentity, signer, svn: BigInt(svn), debug };
  try {
    return EXPRESSIONS.evaluate(expression, { state, platform, partition: seen }) === true;
  } catch {
    return false;
  }
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
    ...(policy.expect ?? []).map((expression, index) => [`expect-${index + 1}`, isTrue(expression, attested)] as const),
  ];
  return conditions.filter(([, holds]) => !holds).map(([name]) => name);
}
