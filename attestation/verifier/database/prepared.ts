/**
 * Statements of every attestation, which PostgreSQL parses and plans once for each connection: planning takes longer
 * than running them. Their text must be constant, so their parameters are arrays and JSON, never lists.
 */
import { sql } from 'kysely';
import type { PoolClient } from 'pg';

const MARK = '/* prepared */';

/** Ends the text of a statement that is to be prepared. */
export const PREPARED = sql.raw(MARK);

const names = new Map<string, string>();

/** Have a connection prepare the statements that are marked. */
export function preparing(client: PoolClient): void {
  const query = client.query.bind(client) as (text: string | object, values?: unknown) => unknown;
  client.query = ((text: string | object, values?: unknown) => {
    if (typeof text !== 'string' || !text.trimEnd().endsWith(MARK)) return query(text, values);
    const name = names.get(text) ?? `nexus-${names.size}`;
    names.set(text, name);
    return query({ name, text, values });
  }) as PoolClient['query']; // one of its overloads, with a promise as the answer
}
