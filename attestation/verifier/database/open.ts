/** Open the verifier's database: PGlite in a directory, or PostgreSQL by URL; migrated to today's schema. */
import fs from 'node:fs';
import { join } from 'node:path';
import { Kysely, Migrator, PostgresDialect, type PostgresPool } from 'kysely';
import pg from 'pg';
import { VerifierError } from '../errors.ts';
import { lockDirectory } from './lock.ts';
import { MIGRATIONS } from './migrations.ts';
import { openPglite, pglitePool } from './pglite.ts';
import { preparing } from './prepared.ts';
import type { Schema } from './schema.ts';

export type Database = Kysely<Schema>;

/** A state directory (PGlite in it, and the files beside it), a PostgreSQL URL, or nothing that lasts, for tests. */
export type DatabaseLocation =
  | { readonly directory: string }
  | { readonly url: string; readonly connections?: number }
  | { readonly memory: true };

/** `bigint` columns here are counters far below 2^53. */
const INT8 = 20;
pg.types.setTypeParser(INT8, Number);

async function embeddedPool(directory: string | undefined): Promise<PostgresPool> {
  if (directory === undefined) return pglitePool(await openPglite());
  fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
  const lock = lockDirectory(directory);
  try {
    const pool = pglitePool(await openPglite(join(directory, 'database')));
    return { ...pool, end: () => pool.end().finally(() => lock.release()) };
  } catch (error) {
    lock.release();
    throw error;
  }
}

function dialect(location: DatabaseLocation): PostgresDialect {
  if ('url' in location) {
    const pool = new pg.Pool({
      connectionString: location.url,
      max: location.connections ?? 8,
      connectionTimeoutMillis: 5_000,
    });
    // Without these listeners the process ends when PostgreSQL does: under an idle connection, or one between queries.
    pool.on('error', () => {});
    pool.on('connect', (client) => {
      client.on('error', () => {});
      preparing(client);
    });
    return new PostgresDialect({ pool });
  }
  return new PostgresDialect({
    pool: async () => embeddedPool('directory' in location ? location.directory : undefined),
  });
}

/**
 * Open and migrate. Replicas may do so at once: Kysely's migrator takes a lock in the database.
 * Throws `VerifierError` `database-unavailable`, or `database-newer` when a later version of nexus-tcb has migrated it.
 */
export async function openDatabase(location: DatabaseLocation): Promise<Database> {
  const db = new Kysely<Schema>({ dialect: dialect(location) });
  const migrator = new Migrator({ db, provider: { getMigrations: async () => ({ ...MIGRATIONS }) } });
  const { error } = await migrator.migrateToLatest().catch((cause: unknown) => ({ error: cause }));
  if (error === undefined) return db;
  await db.destroy().catch(() => {});
  if (error instanceof VerifierError) throw error;
  if (error instanceof Error && /corrupted migrations/.test(error.message)) {
    throw new VerifierError('database-newer', 'The database was migrated by a later version of nexus-tcb.', {
      remedy: 'Run that version, or point this one at another database.',
      cause: error,
    });
  }
  throw new VerifierError('database-unavailable', 'The database could not be opened.', {
    remedy: 'directory' in location ? `Check that ${location.directory} is ours and has space.` : 'Check the URL.',
    cause: error,
  });
}

/** SQLSTATE classes 08 (connection), 57P (operator intervention), 53 (resources); and the socket's own codes. */
const AWAY = /^(08|57P|53|ECONN|EPIPE|ETIMEDOUT)/;
const AWAY_MESSAGE = /^(Connection terminated|timeout exceeded when trying to connect)/;

/** Whether an error says that the database cannot be reached now, so that the same request may succeed later. */
export function isDatabaseAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code } = error as { code?: unknown };
  return (typeof code === 'string' && AWAY.test(code)) || AWAY_MESSAGE.test(error.message);
}
