/**
 * Resources: secrets, keys and certificates that are released to attested partitions. The content lies in the database
 * under a data key of its own, which lies under the key-encryption key (envelope encryption). Versions are kept; the
 * newest live one is released.
 */
import { randomBytes } from 'node:crypto';
import { appendAudit } from '../verifier/audit.ts';
import type { Database } from '../verifier/database/open.ts';
import { VerifierError } from '../verifier/errors.ts';
import type { Caller } from '../verifier/roles.ts';
import { type KeyEncryptionKey, openBytes, sealBytes } from './kek.ts';
import { parseReleasePolicy, type ReleasePolicy } from './release-policy.ts';

export interface ResourceInput {
  readonly content: Uint8Array;
  readonly policy: unknown;
  readonly mediaType?: string;
  /** Released once per version, to one partition. */
  readonly oneTime?: boolean;
  readonly leaseSeconds?: number;
}

/** Everything about a resource but its content. */
export interface ResourceInfo {
  readonly name: string;
  readonly version: number;
  readonly mediaType: string;
  readonly policy: ReleasePolicy;
  readonly oneTime: boolean;
  readonly leaseSeconds: number;
  readonly createdAt: Date;
  readonly revokedAt: Date | null;
}

const RESOURCE_NAME = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,254}$/;
const DEFAULT_LEASE_SECONDS = 3600;
const DATA_KEY_BYTES = 32;

export class Resources {
  readonly #db: Database;
  readonly #kek: KeyEncryptionKey;
  readonly #clock: () => Date;

  constructor(db: Database, kek: KeyEncryptionKey, clock: () => Date) {
    this.#db = db;
    this.#kek = kek;
    this.#clock = clock;
  }

  /** Store a new version; returns its number. Throws `policy-malformed` or `request-malformed`. */
  async put(caller: Caller, name: string, input: ResourceInput): Promise<number> {
    if (!RESOURCE_NAME.test(name)) {
      throw new VerifierError(
        'request-malformed',
        'A resource name has 1-255 letters, digits, dots, dashes, slashes.',
        {
          remedy: 'Choose such a name.',
        },
      );
    }
    const policy = parseReleasePolicy(input.policy);
    const now = this.#clock();
    const dataKey = randomBytes(DATA_KEY_BYTES);
    try {
      return await this.#db.transaction().execute(async (tx) => {
        const detail = { bytes: input.content.length, oneTime: input.oneTime ?? false };
        // First, because the audit's head row orders concurrent writers of the same name.
        await appendAudit(tx, now, [
          { tenant: caller.tenant, actor: caller.actor, action: 'resource.put', subject: name, detail },
        ]);
        const { newest } = await tx
          .selectFrom('resource')
          .select((eb) => eb.fn.max<number | null>('version').as('newest'))
          .where('tenant', '=', caller.tenant)
          .where('name', '=', name)
          .executeTakeFirstOrThrow();
        const version = (newest ?? 0) + 1;
        const context = contextOf(caller.tenant, name, version);
        await tx
          .insertInto('resource')
          .values({
            tenant: caller.tenant,
            name,
            version,
            media_type: input.mediaType ?? 'application/octet-stream',
            policy: JSON.stringify(policy),
            one_time: input.oneTime ?? false,
            lease_seconds: input.leaseSeconds ?? DEFAULT_LEASE_SECONDS,
            wrapped_key: this.#kek.seal(dataKey, context),
            ciphertext: sealBytes(dataKey, input.content, context),
            created_at: now,
          })
          .execute();
        return version;
      });
    } finally {
      dataKey.fill(0);
    }
  }

  /** On what terms the newest version is released, for a next one; without any, to whoever is affirming. */
  async terms(tenant: string, name: string): Promise<Omit<ResourceInput, 'content'>> {
    const row = await this.newest(tenant, name).catch((error: unknown) => {
      if (error instanceof VerifierError && error.code === 'resource-unknown') return undefined;
      throw error;
    });
    if (row === undefined) return { policy: {} };
    return {
      policy: row.policy,
      mediaType: row.media_type,
      oneTime: row.one_time,
      leaseSeconds: row.lease_seconds,
    };
  }

  async list(tenant: string): Promise<ResourceInfo[]> {
    const rows = await this.#db
      .selectFrom('resource')
      .selectAll()
      .where('tenant', '=', tenant)
      .orderBy('name')
      .orderBy('version')
      .execute();
    return rows.map((row) => ({
      name: row.name,
      version: row.version,
      mediaType: row.media_type,
      policy: parseReleasePolicy(row.policy),
      oneTime: row.one_time,
      leaseSeconds: row.lease_seconds,
      createdAt: row.created_at,
      revokedAt: row.revoked_at,
    }));
  }

  /** Newest live version, sealed. Throws `resource-unknown`. */
  async newest(tenant: string, name: string) {
    const row = await this.#db
      .selectFrom('resource')
      .selectAll()
      .where('tenant', '=', tenant)
      .where('name', '=', name)
      .where('revoked_at', 'is', null)
      .orderBy('version', 'desc')
      .executeTakeFirst();
    if (row === undefined) throw unknown(name);
    return row;
  }

  /** The content in clear; the caller zeroes it. */
  open(row: Awaited<ReturnType<Resources['newest']>>): Buffer {
    const context = contextOf(row.tenant, row.name, row.version);
    const dataKey = this.#kek.open(row.wrapped_key, context);
    try {
      return openBytes(dataKey, row.ciphertext, context);
    } finally {
      dataKey.fill(0);
    }
  }

  /** Revoke every version and every lease of it. Throws `resource-unknown`. */
  async revoke(caller: Caller, name: string): Promise<void> {
    const now = this.#clock();
    await this.#db.transaction().execute(async (tx) => {
      await appendAudit(tx, now, [
        { tenant: caller.tenant, actor: caller.actor, action: 'resource.revoke', subject: name },
      ]);
      const result = await tx
        .updateTable('resource')
        .set({ revoked_at: now })
        .where('tenant', '=', caller.tenant)
        .where('name', '=', name)
        .where('revoked_at', 'is', null)
        .executeTakeFirst();
      if (result.numUpdatedRows === 0n) throw unknown(name);
      await tx
        .updateTable('lease')
        .set({ revoked_at: now })
        .where('tenant', '=', caller.tenant)
        .where('resource', '=', name)
        .where('revoked_at', 'is', null)
        .execute();
    });
  }
}

/** Associated data: a sealed row opens in its own place only. */
function contextOf(tenant: string, name: string, version: number): string {
  return JSON.stringify(['resource', tenant, name, version]);
}

function unknown(name: string): VerifierError {
  return new VerifierError('resource-unknown', `There is no live resource ${name}.`, {
    remedy: 'Store it: PUT /v1/resources/{name}.',
  });
}
