/** Callers of the verifier, and their roles. `admin` may do everything in its tenant. */
export const ROLES = ['admin', 'operator', 'auditor', 'broker', 'provisioner', 'enroller', 'attester'] as const;
export type Role = (typeof ROLES)[number];

/** Who calls, as every handler sees it. */
export interface Caller {
  readonly tenant: string;
  /** For the audit trail: `token:<id>`, `mtls:<subject>`, `oidc:<subject>` or `anonymous`. */
  readonly actor: string;
  readonly roles: ReadonlySet<Role>;
}
