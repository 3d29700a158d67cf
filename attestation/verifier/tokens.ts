/** API tokens: `nxt_<id>_<secret>`. The database holds the secret's SHA-256; the token itself is shown once. */
import { randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import { sha256 } from '../broker/kek.ts';
import { appendAudit } from './audit.ts';
import type { Database } from './database/open.ts';
import { VerifierError } from './errors.ts';
import type { Caller, Role } from './roles.ts';

const TOKEN = /^nxt_([0-9a-f-]{36})_([A-Za-z0-9_-]{43})$/;

function refused(): VerifierError {
  return new VerifierError('token-refused', 'The token is malformed, unknown, expired or revoked.', {
    remedy: 'Ask an administrator for one: nexus verifier token NAME --roles ROLES.',
  });
}

export interface TokenRequest {
  readonly tenant: string;
  readonly name: string;
  readonly roles: readonly Role[];
  readonly expiresAt?: Date;
  /** Only for a first token that the caller of `createVerifier` brings along. */
  readonly token?: string;
}

/** Make a token; returns its only copy. */
export async function createToken(db: Database, now: Date, actor: string, request: TokenRequest): Promise<string> {
  const token = request.token ?? `nxt_${randomUUID()}_${randomBytes(32).toString('base64url')}`;
  const match = TOKEN.exec(token);
  if (match?.[1] === undefined || match[2] === undefined) throw refused();
  const [, id, secret] = match;
  await db.transaction().execute(async (tx) => {
    await appendAudit(tx, now, [
      { tenant: request.tenant, actor, action: 'token.create', subject: id, detail: { roles: [...request.roles] } },
    ]);
    await tx
      .insertInto('token')
      .values({
        id,
        tenant: request.tenant,
        name: request.name,
        roles: JSON.stringify(request.roles),
        secret_hash: sha256(Buffer.from(secret)),
        created_at: now,
        expires_at: request.expiresAt ?? null,
      })
      .execute();
  });
  return token;
}

/** The caller that a token stands for. Throws `token-refused`. */
export async function authenticateToken(db: Database, now: Date, token: string): Promise<Caller> {
  const match = TOKEN.exec(token);
  if (match?.[1] === undefined || match[2] === undefined) throw refused();
  const row = await db.selectFrom('token').selectAll().where('id', '=', match[1]).executeTakeFirst();
  // An unknown id costs the same comparison as a wrong secret.
  const expected = row === undefined ? sha256() : Buffer.from(row.secret_hash);
  const equal = timingSafeEqual(sha256(Buffer.from(match[2])), expected);
  const live = row !== undefined && row.revoked_at === null && (row.expires_at === null || row.expires_at > now);
  if (!equal || !live) throw refused();
  return { tenant: row.tenant, actor: `token:${row.id}`, roles: new Set(row.roles as Role[]) };
}

/** Revoke by id. Throws `token-unknown`. */
export async function revokeToken(db: Database, now: Date, caller: Caller, id: string): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const result = await tx
      .updateTable('token')
      .set({ revoked_at: now })
      .where('id', '=', id)
      .where('tenant', '=', caller.tenant)
      .where('revoked_at', 'is', null)
      .executeTakeFirst();
    if (result.numUpdatedRows === 0n) {
      throw new VerifierError('token-unknown', `No live token has the id ${id}.`, { remedy: 'List the tokens.' });
    }
    await appendAudit(tx, now, [{ tenant: caller.tenant, actor: caller.actor, action: 'token.revoke', subject: id }]);
  });
}

/** Throws `token-missing` or `role-missing` unless the caller has one of the roles (or is an administrator). */
export function requireRole(caller: Caller, ...roles: readonly Role[]): void {
  if (caller.roles.has('admin') || roles.some((role) => caller.roles.has(role))) return;
  const needed = roles.join(' or ');
  if (caller.actor === 'anonymous') {
    throw new VerifierError('token-missing', `This needs the role ${needed}.`, {
      remedy: 'Send Authorization: Bearer <token>.',
    });
  }
  throw new VerifierError('role-missing', `This needs the role ${needed}.`, {
    remedy: 'Use a token with that role.',
  });
}
