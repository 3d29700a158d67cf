import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Database, openDatabase } from './database/open.ts';
import type { Caller } from './roles.ts';
import { authenticateToken, createToken, requireRole, revokeToken } from './tokens.ts';

const NOW = new Date('2026-01-01T00:00:00Z');
const LATER = new Date('2026-01-01T01:00:00Z');

describe('API tokens', () => {
  let db: Database;
  beforeAll(async () => {
    db = await openDatabase({ memory: true });
  });
  afterAll(() => db.destroy());

  it('stand for a tenant and roles, and are not in the database', async () => {
    const token = await createToken(db, NOW, 'operator', { tenant: 't', name: 'ci', roles: ['auditor'] });
    const caller = await authenticateToken(db, NOW, token);
    expect(caller.tenant).toBe('t');
    expect([...caller.roles]).toEqual(['auditor']);
    const dump = JSON.stringify(await db.selectFrom('token').selectAll().execute());
    expect(dump).not.toContain(token.slice(-43));
  });

  it('are refused when wrong, unknown, malformed, expired or revoked', async () => {
    const token = await createToken(db, NOW, 'operator', {
      tenant: 't',
      name: 'x',
      roles: ['admin'],
      expiresAt: LATER,
    });
    const refused = { code: 'token-refused' };
    const last = token.at(-2) === 'A' ? 'B' : 'A';
    await expect(authenticateToken(db, NOW, `${token.slice(0, -2)}${last}A`)).rejects.toMatchObject(refused);
    await expect(authenticateToken(db, NOW, token.replace(/[0-9a-f]{8}/, '00000000'))).rejects.toMatchObject(refused);
    await expect(authenticateToken(db, NOW, 'nxt_1_2')).rejects.toMatchObject(refused);
    await expect(authenticateToken(db, LATER, token)).rejects.toMatchObject(refused);
    const caller = await authenticateToken(db, NOW, token);
    await revokeToken(db, NOW, caller, caller.actor.slice('token:'.length));
    await expect(authenticateToken(db, NOW, token)).rejects.toMatchObject(refused);
  });

  it('open only what their roles allow', () => {
    const caller = (actor: string, ...roles: Caller['roles'] extends ReadonlySet<infer R> ? R[] : never) =>
      ({ tenant: 't', actor, roles: new Set(roles) }) satisfies Caller;
    expect(() => requireRole(caller('token:1', 'admin'), 'broker')).not.toThrow();
    expect(() => requireRole(caller('token:1', 'broker'), 'operator', 'broker')).not.toThrow();
    expect(() => requireRole(caller('token:1', 'auditor'), 'broker')).toThrow(expect.objectContaining({ status: 403 }));
    expect(() => requireRole(caller('anonymous'), 'broker')).toThrow(expect.objectContaining({ status: 401 }));
  });
});
