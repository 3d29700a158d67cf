/** Who calls: a bearer token, or nobody in particular. */
import type { FastifyRequest } from 'fastify';
import type { Service } from '../service.ts';
import { authenticateToken, type Caller, type Role } from '../tokens.ts';

const BEARER = /^Bearer +(\S+)$/i;
export const DEFAULT_TENANT = 'default';

/** Throws `token-refused` for credentials that are sent and wrong; without any the caller is anonymous. */
export async function authenticate(service: Service, request: FastifyRequest): Promise<Caller> {
  const bearer = BEARER.exec(request.headers.authorization ?? '')?.[1];
  if (bearer !== undefined) return authenticateToken(service.db, service.clock(), bearer);
  return { tenant: DEFAULT_TENANT, actor: 'anonymous', roles: service.anonymousRoles as ReadonlySet<Role> };
}
