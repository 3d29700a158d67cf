/**
 * Leases: how long the holder of a released resource may keep it. A holder renews on a new verdict, without the resource
 * being sent again; a platform that turns contraindicated or revoked loses its leases (verifier/changes.ts).
 */
import { appendAudit } from '../verifier/audit.ts';
import type { Database } from '../verifier/database/open.ts';
import { VerifierError } from '../verifier/errors.ts';
import type { Result } from '../verifier/results.ts';
import type { Caller } from '../verifier/roles.ts';
import { parseReleasePolicy, refusals } from './release-policy.ts';

export interface LeaseInfo {
  readonly id: string;
  readonly resource: string;
  readonly platform: string;
  readonly live: boolean;
  readonly expiresAt: Date;
  readonly revokedAt: Date | null;
}

export class Leases {
  readonly #db: Database;
  readonly #clock: () => Date;

  constructor(db: Database, clock: () => Date) {
    this.#db = db;
    this.#clock = clock;
  }

  /** Throws `lease-unknown`. */
  async get(tenant: string, id: string): Promise<LeaseInfo> {
    const row = await this.#row(this.#db, tenant, id);
    return {
      id: row.id,
      resource: row.resource,
      platform: row.platform,
      live: row.revoked_at === null && row.expires_at > this.#clock(),
      expiresAt: row.expires_at,
      revokedAt: row.revoked_at,
    };
  }

  /**
   * Let a live lease run on from now, for the platform and partition that hold it. Throws `lease-unknown`, `lease-ended`,
   * `release-refused` for a result that is another's or that the resource's policy refuses, `resource-unknown` when the
   * resource was revoked.
   */
  async renew(caller: Caller, id: string, result: Result): Promise<LeaseInfo> {
    const { tenant, actor } = caller;
    const now = this.#clock();
    await this.#db.transaction().execute(async (tx) => {
      const row = await this.#row(tx, tenant, id);
      // Before anything that may change is read: the audit's head row orders this with revocations.
      await appendAudit(tx, now, [
        {
          tenant,
          actor,
          action: 'lease.renew',
          subject: row.resource,
          detail: { lease: id, platform: result.platform },
        },
      ]);
      const resource = await tx
        .selectFrom('resource')
        .select(['policy', 'lease_seconds', 'revoked_at'])
        .where('tenant', '=', tenant)
        .where('name', '=', row.resource)
        .where('version', '=', row.version)
        .executeTakeFirst();
      if (resource === undefined || resource.revoked_at !== null) {
        throw new VerifierError('resource-unknown', `There is no live resource ${row.resource}.`);
      }
      const failed = refusals(parseReleasePolicy(resource.policy), result);
      const identity = row.code_identity === null ? undefined : Buffer.from(row.code_identity).toString('hex');
      if (row.platform !== result.platform || identity !== result.partition?.codeIdentity) failed.push('lease-holder');
      if (failed.length > 0) {
        throw new VerifierError('release-refused', `The attestation does not renew a lease of ${row.resource}.`, {
          failed: [...new Set([...result.failed, ...failed])],
          remedy: 'Renew on a verdict over the machine and the partition that the resource was released to.',
        });
      }
      const renewed = await tx
        .updateTable('lease')
        .set({ expires_at: new Date(now.getTime() + resource.lease_seconds * 1000) })
        .where('id', '=', id)
        .where('revoked_at', 'is', null)
        .where('expires_at', '>', now)
        .executeTakeFirst();
      if (renewed.numUpdatedRows === 0n) {
        throw new VerifierError('lease-ended', 'The lease was revoked, or has run out.', {
          remedy: 'Forget the resource, and ask for it again: POST /v1/releases.',
        });
      }
    });
    return this.get(tenant, id);
  }

  async #row(db: Pick<Database, 'selectFrom'>, tenant: string, id: string) {
    const row = await db
      .selectFrom('lease')
      .selectAll()
      .where('id', '=', id)
      .where('tenant', '=', tenant)
      .executeTakeFirst();
    if (row === undefined) throw new VerifierError('lease-unknown', 'There is no such lease.');
    return row;
  }
}
