/** Reference values: JSON documents, versioned and revocable; a new version replaces the one before it at once. */
import { appendAudit } from './audit.ts';
import type { Database } from './database/open.ts';
import { VerifierError } from './errors.ts';
import type { Caller } from './roles.ts';

export interface ReferenceInfo {
  readonly name: string;
  readonly version: number;
  readonly body: object;
  readonly createdBy: string;
  readonly createdAt: Date;
  readonly revokedAt: Date | null;
}

/** The document a platform is appraised against when its record names no other. */
export const DEFAULT_REFERENCE = 'default';
const REFERENCE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

export class References {
  readonly #db: Database;
  readonly #clock: () => Date;
  /** Throws for a malformed document. */
  readonly #validate: (body: unknown) => unknown;

  constructor(db: Database, clock: () => Date, validate: (body: unknown) => unknown) {
    this.#db = db;
    this.#clock = clock;
    this.#validate = validate;
  }

  /** Store a new version; returns its number. Throws `reference-malformed`. */
  async put(caller: Caller, name: string, body: object): Promise<number> {
    if (!REFERENCE_NAME.test(name)) {
      throw new VerifierError('request-malformed', 'A reference name has 1-128 letters, digits, dots or dashes.', {
        remedy: 'Choose such a name.',
      });
    }
    try {
      this.#validate(body);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : 'unknown reason';
      throw new VerifierError('reference-malformed', `The reference values are malformed: ${reason}`, {
        remedy: 'docs/evidence.md describes reference values.',
        cause,
      });
    }
    const now = this.#clock();
    return this.#db.transaction().execute(async (tx) => {
      await appendAudit(tx, now, [
        { tenant: caller.tenant, actor: caller.actor, action: 'reference.put', subject: name },
      ]);
      const { newest } = await tx
        .selectFrom('reference')
        .select((eb) => eb.fn.max<number | null>('version').as('newest'))
        .where('tenant', '=', caller.tenant)
        .where('name', '=', name)
        .executeTakeFirstOrThrow();
      const version = (newest ?? 0) + 1;
      await tx
        .insertInto('reference')
        .values({
          tenant: caller.tenant,
          name,
          version,
          body: JSON.stringify(body),
          created_by: caller.actor,
          created_at: now,
        })
        .execute();
      return version;
    });
  }

  async list(tenant: string): Promise<ReferenceInfo[]> {
    const rows = await this.#db
      .selectFrom('reference')
      .selectAll()
      .where('tenant', '=', tenant)
      .orderBy('name')
      .orderBy('version')
      .execute();
    return rows.map((row) => ({
      name: row.name,
      version: row.version,
      body: row.body,
      createdBy: row.created_by,
      createdAt: row.created_at,
      revokedAt: row.revoked_at,
    }));
  }

  /** Revoke one version: the newest live one before it is in force again. Throws `reference-unknown`. */
  async revoke(caller: Caller, name: string, version: number): Promise<void> {
    const now = this.#clock();
    await this.#db.transaction().execute(async (tx) => {
      const result = await tx
        .updateTable('reference')
        .set({ revoked_at: now })
        .where('tenant', '=', caller.tenant)
        .where('name', '=', name)
        .where('version', '=', version)
        .where('revoked_at', 'is', null)
        .executeTakeFirst();
      if (result.numUpdatedRows === 0n) {
        throw new VerifierError('reference-unknown', `There is no live version ${version} of ${name}.`, {
          remedy: 'List them: GET /v1/references.',
        });
      }
      await appendAudit(tx, now, [
        { tenant: caller.tenant, actor: caller.actor, action: 'reference.revoke', subject: name, detail: { version } },
      ]);
    });
  }
}
