/** Enrolled platforms: looking them up for an appraisal, and what an operator may do to them. */

import { type Selectable, sql } from 'kysely';
import { appendAudit } from './audit.ts';
import { Batcher } from './database/batcher.ts';
import type { Database } from './database/open.ts';
import { PREPARED } from './database/prepared.ts';
import type { PlatformTable } from './database/schema.ts';
import { VerifierError } from './errors.ts';
import { DEFAULT_REFERENCE } from './references.ts';
import type { Caller } from './roles.ts';

/** A platform as an appraisal needs it: its keys, its last clock, and the reference values in force for it. */
export interface KnownPlatform {
  readonly tenant: string;
  readonly id: string;
  readonly akPublic: Uint8Array;
  /** DER, as enrolled; undefined where a platform has none. */
  readonly ekCertificate: Uint8Array | undefined;
  readonly revokedAt: Date | null;
  readonly reference: { readonly name: string; readonly version: number; readonly body: object } | undefined;
  readonly clock: object | null;
  /** Of the tenant's endorsements; 0 where there never were any. */
  readonly endorsementRevision: number;
}

export interface PlatformInfo {
  readonly id: string;
  readonly akName: string;
  readonly ekDigest: string;
  readonly reference: string | null;
  readonly enrolledAt: Date;
  readonly revokedAt: Date | null;
  readonly state: string;
  readonly failed: readonly string[];
  readonly attestedAt: Date | null;
}

type FoundRow = Pick<
  Selectable<PlatformTable>,
  'tenant' | 'id' | 'ak_public' | 'ak_name' | 'ek_certificate' | 'revoked_at'
> & {
  readonly clock: object | null;
  readonly name: string | null;
  readonly version: number | null;
  readonly revision: number | null;
};

interface Key {
  readonly tenant: string;
  readonly akName: Uint8Array;
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const keyOf = (tenant: string, akName: Uint8Array) => `${tenant}\0${hex(akName)}`;

const MAX_BODIES = 1_000;

/**
 * Documents of reference values, by version: a version never changes, so it is read once. That the same version is the
 * same object lets an evidence format keep what it compiled from it.
 */
class ReferenceBodies {
  readonly #db: Database;
  readonly #known: Map<string, object>;

  constructor(db: Database, known: Map<string, object>) {
    this.#db = db;
    this.#known = known;
  }

  get(tenant: string, name: string, version: number): object | undefined {
    return this.#known.get(`${tenant}\0${name}\0${version}`);
  }

  async load(tenant: string, name: string, version: number): Promise<void> {
    if (this.get(tenant, name, version) !== undefined) return;
    const { body } = await this.#db
      .selectFrom('reference')
      .select('body')
      .where('tenant', '=', tenant)
      .where('name', '=', name)
      .where('version', '=', version)
      .executeTakeFirstOrThrow();
    // Full means that something versions without end: start over rather than track use.
    if (this.#known.size >= MAX_BODIES) this.#known.clear();
    this.#known.set(`${tenant}\0${name}\0${version}`, body);
  }
}

export class Platforms {
  readonly #db: Database;
  readonly #clock: () => Date;
  readonly #bodies = new Map<string, object>();
  readonly #find: Batcher<Key, KnownPlatform | undefined>;

  constructor(db: Database, clock: () => Date) {
    this.#db = db;
    this.#clock = clock;
    this.#find = new Batcher(async (keys) => {
      const wanted = new Map(
        keys.map(({ tenant, akName }) => [keyOf(tenant, akName), { tenant, ak_name: hex(akName) }]),
      );
      const { rows } = await sql<FoundRow>`
        select platform.tenant, platform.id, platform.ak_public, platform.ak_name, platform.ek_certificate,
          platform.revoked_at, verdict.clock, newest.name, newest.version, endorsed.revision
        from jsonb_to_recordset(${JSON.stringify([...wanted.values()])}::jsonb) as wanted(tenant text, ak_name text)
        join platform on platform.tenant = wanted.tenant and platform.ak_name = decode(wanted.ak_name, 'hex')
        left join verdict on verdict.tenant = platform.tenant and verdict.platform = platform.id
        left join endorsement_revision endorsed on endorsed.tenant = platform.tenant
        left join lateral (
          select reference.name, reference.version from reference
          where reference.tenant = platform.tenant and reference.revoked_at is null
            and reference.name = coalesce(platform.reference, ${DEFAULT_REFERENCE})
          order by reference.version desc limit 1
        ) newest on true ${PREPARED}`.execute(db);
      const bodies = new ReferenceBodies(db, this.#bodies);
      for (const { tenant, name, version } of rows) {
        if (name !== null && version !== null) await bodies.load(tenant, name, version);
      }
      const found = new Map(rows.map((row) => [keyOf(row.tenant, row.ak_name), row]));
      return keys.map((key) => {
        const row = found.get(keyOf(key.tenant, key.akName));
        if (row === undefined) return undefined;
        const { name, version } = row;
        const body = name === null || version === null ? undefined : bodies.get(row.tenant, name, version);
        return {
          tenant: row.tenant,
          id: row.id,
          akPublic: row.ak_public,
          ekCertificate: row.ek_certificate.length > 0 ? row.ek_certificate : undefined,
          revokedAt: row.revoked_at,
          reference: name === null || version === null || body === undefined ? undefined : { name, version, body },
          clock: row.clock,
          endorsementRevision: row.revision ?? 0,
        };
      });
    });
  }

  /** The platform whose attestation key has this TPM name. Throws `platform-unknown` or `platform-revoked`. */
  async byAttestationKey(tenant: string, akName: Uint8Array): Promise<KnownPlatform> {
    const platform = await this.#find.add({ tenant, akName });
    if (platform === undefined) {
      throw new VerifierError('platform-unknown', 'No platform is enrolled with this attestation key.', {
        failed: ['ak-enrolled'],
        remedy: 'Enrol it: POST /v1/enrolments, or nexus agent enrol.',
      });
    }
    if (platform.revokedAt !== null) {
      throw new VerifierError('platform-revoked', `The platform ${platform.id} is revoked.`, {
        failed: ['ak-enrolled'],
        remedy: 'Ask an operator why.',
      });
    }
    return platform;
  }

  async list(tenant: string): Promise<PlatformInfo[]> {
    const rows = await this.#db
      .selectFrom('platform')
      .leftJoin('verdict', (join) =>
        join.onRef('verdict.tenant', '=', 'platform.tenant').onRef('verdict.platform', '=', 'platform.id'),
      )
      .selectAll('platform')
      .select(['verdict.state', 'verdict.failed', 'verdict.at', 'verdict.expires_at'])
      .where('platform.tenant', '=', tenant)
      .orderBy('platform.id')
      .execute();
    const now = this.#clock();
    return rows.map((row) => ({
      id: row.id,
      akName: hex(row.ak_name),
      ekDigest: hex(row.ek_digest),
      reference: row.reference,
      enrolledAt: row.enrolled_at,
      revokedAt: row.revoked_at,
      state: stateOf(row, now),
      failed: row.failed ?? [],
      attestedAt: row.at,
    }));
  }

  /** Name the reference values for a platform; null means the tenant's default. */
  async setReference(caller: Caller, id: string, reference: string | null): Promise<void> {
    await this.#db.transaction().execute(async (tx) => {
      const result = await tx
        .updateTable('platform')
        .set({ reference })
        .where('tenant', '=', caller.tenant)
        .where('id', '=', id)
        .executeTakeFirst();
      if (result.numUpdatedRows === 0n) throw unknown(id);
      await appendAudit(tx, this.#clock(), [
        {
          tenant: caller.tenant,
          actor: caller.actor,
          action: 'platform.reference',
          subject: id,
          detail: { reference: reference ?? DEFAULT_REFERENCE },
        },
      ]);
    });
  }

  /** No appraisal and no release for it from now on; its leases end. The record stays and keeps its name taken. */
  async revoke(caller: Caller, id: string): Promise<void> {
    const now = this.#clock();
    await this.#db.transaction().execute(async (tx) => {
      const result = await tx
        .updateTable('platform')
        .set({ revoked_at: now })
        .where('tenant', '=', caller.tenant)
        .where('id', '=', id)
        .where('revoked_at', 'is', null)
        .executeTakeFirst();
      if (result.numUpdatedRows === 0n) throw unknown(id);
      await tx
        .updateTable('lease')
        .set({ revoked_at: now })
        .where('tenant', '=', caller.tenant)
        .where('platform', '=', id)
        .where('revoked_at', 'is', null)
        .execute();
      await appendAudit(tx, now, [
        { tenant: caller.tenant, actor: caller.actor, action: 'platform.revoke', subject: id },
      ]);
    });
  }

  /** Forget a platform, so that its name and its TPM may enrol again. */
  async remove(caller: Caller, id: string): Promise<void> {
    const now = this.#clock();
    await this.#db.transaction().execute(async (tx) => {
      for (const table of ['verdict', 'lease', 'poll'] as const) {
        await tx.deleteFrom(table).where('tenant', '=', caller.tenant).where('platform', '=', id).execute();
      }
      const result = await tx
        .deleteFrom('platform')
        .where('tenant', '=', caller.tenant)
        .where('id', '=', id)
        .executeTakeFirst();
      if (result.numDeletedRows === 0n) throw unknown(id);
      await appendAudit(tx, now, [
        { tenant: caller.tenant, actor: caller.actor, action: 'platform.remove', subject: id },
      ]);
    });
  }
}

function stateOf(row: { revoked_at: Date | null; state: string | null; expires_at: Date | null }, now: Date): string {
  if (row.revoked_at !== null) return 'revoked';
  if (row.state === null || row.expires_at === null) return 'unverified';
  return row.expires_at <= now ? 'expired' : row.state;
}

function unknown(id: string): VerifierError {
  return new VerifierError('platform-unknown', `No platform ${id} is enrolled (or it is revoked already).`, {
    remedy: 'List them: GET /v1/platforms.',
  });
}
