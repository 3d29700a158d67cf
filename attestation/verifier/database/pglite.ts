/**
 * PGlite in a directory, shaped as the `pg` pool that Kysely's PostgreSQL dialect expects: one SQL, one dialect, two
 * databases. PGlite's defaults trade durability for speed (`fsync` off, and Emscripten's file system ignores it); here
 * every commit reaches the disk before it is acknowledged.
 */
import fs from 'node:fs';
import { PGlite } from '@electric-sql/pglite';
import { NodeFS } from '@electric-sql/pglite/nodefs';
import type { PostgresPool, PostgresPoolClient } from 'kysely';

/** The one stream operation that Emscripten's NODEFS lacks: `fsync` of the host's file. */
interface Stream {
  readonly nfd?: number;
}

class DurableNodeFS extends NodeFS {
  override async init(...args: Parameters<NodeFS['init']>): ReturnType<NodeFS['init']> {
    const started = await super.init(...args);
    started.emscriptenOpts.preRun?.push((module: unknown) => {
      // PGlite does not type Emscripten's internals.
      const { NODEFS } = module as { NODEFS: { stream_ops: { fsync?: (stream: Stream) => number } } };
      NODEFS.stream_ops.fsync = (stream) => {
        if (stream.nfd !== undefined) fs.fsyncSync(stream.nfd);
        return 0;
      };
    });
    return started;
  }
}

/** Start parameters without PGlite's `-F` (no fsync); `fdatasync` is a stub in Emscripten, `fsync` is not. */
const DURABLE = [
  ...PGlite.defaultStartParams.filter((parameter) => parameter !== '-F'),
  '-c',
  'fsync=on',
  '-c',
  'wal_sync_method=fsync',
];

/** Open, and create if it is empty, a database in `directory` (or in memory where none is given). */
export async function openPglite(directory?: string): Promise<PGlite> {
  if (directory === undefined) return PGlite.create();
  fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
  return PGlite.create({ fs: new DurableNodeFS(directory), startParams: DURABLE });
}

const COMMAND_WITH_ROWS = /^\s*(insert|update|delete|merge)/i;

/** A pool of the one connection that PGlite has: whoever connects holds it until release; others wait in order. */
export function pglitePool(database: PGlite): PostgresPool {
  let tail: Promise<void> = Promise.resolve();
  return {
    async connect(): Promise<PostgresPoolClient> {
      const before = tail;
      let release = (): void => {};
      tail = new Promise((resolve) => {
        release = resolve;
      });
      await before;
      return {
        // Kysely declares a cursor overload too; it is used only where a cursor is configured, and none is.
        query: (async (text: string, parameters: readonly unknown[]) => {
          // Without parameters there may be several statements, as in pg's simple protocol.
          const result =
            parameters.length === 0 ? (await database.exec(text)).at(-1) : await database.query(text, [...parameters]);
          const command = COMMAND_WITH_ROWS.exec(text)?.[1]?.toUpperCase() ?? 'SELECT';
          return { command, rowCount: result?.affectedRows ?? 0, rows: result?.rows ?? [] };
        }) as PostgresPoolClient['query'],
        release,
      };
    },
    end: () => database.close(),
  };
}
