/** Who calls: an API token, an OpenID Connect token, a client certificate, or nobody in particular. */
import type { TLSSocket } from 'node:tls';
import type { FastifyRequest } from 'fastify';
import { createRemoteJWKSet, decodeJwt, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import type { Database } from '../database/open.ts';
import { VerifierError } from '../errors.ts';
import { type Caller, ROLES, type Role } from '../roles.ts';
import { authenticateToken } from '../tokens.ts';

export const DEFAULT_TENANT = 'default';

/** An identity provider whose access tokens are accepted. */
export interface OidcProvider {
  /** `iss`, exactly; its discovery document names the keys. */
  readonly issuer: string;
  /** `aud` that a token must have. */
  readonly audience: string;
  /** Claim with an array of our role names. Default `roles`. */
  readonly rolesClaim?: string;
  /** Claim with the tenant; without it every token of this provider is of `tenant`. */
  readonly tenantClaim?: string;
  readonly tenant?: string;
}

/** A client certificate, by the common name that a CA of `tls.clientCa` certified. */
export interface CertificateRule {
  readonly commonName: string;
  readonly tenant?: string;
  readonly roles: readonly Role[];
}

export interface AuthenticationOptions {
  readonly db: Database;
  readonly clock: () => Date;
  readonly anonymousRoles: readonly Role[];
  readonly oidc: readonly OidcProvider[];
  readonly certificates: readonly CertificateRule[];
}

const BEARER = /^Bearer +(\S+)$/i;
const API_TOKEN_PREFIX = 'nxt_';

function refused(message: string, cause?: unknown): VerifierError {
  return new VerifierError('token-refused', message, { remedy: 'Obtain a new token from your provider.', cause });
}

function rolesOf(value: unknown): ReadonlySet<Role> {
  const names: readonly unknown[] = Array.isArray(value) ? value : [];
  return new Set(ROLES.filter((role) => names.includes(role)));
}

export class Authentication {
  readonly #options: AuthenticationOptions;
  readonly #anonymous: Caller;
  readonly #keys = new Map<string, JWTVerifyGetKey>();

  constructor(options: AuthenticationOptions) {
    this.#options = options;
    this.#anonymous = { tenant: DEFAULT_TENANT, actor: 'anonymous', roles: new Set(options.anonymousRoles) };
  }

  /** Throws `token-refused` for credentials that are sent and wrong; without any the caller is anonymous. */
  async caller(request: FastifyRequest): Promise<Caller> {
    const bearer = BEARER.exec(request.headers.authorization ?? '')?.[1];
    if (bearer?.startsWith(API_TOKEN_PREFIX)) {
      return authenticateToken(this.#options.db, this.#options.clock(), bearer);
    }
    if (bearer !== undefined) return this.#openId(bearer);
    return this.#certificate(request) ?? this.#anonymous;
  }

  async #openId(token: string): Promise<Caller> {
    let claims: JWTPayload;
    try {
      claims = decodeJwt(token);
    } catch (cause) {
      throw refused('The bearer token is neither an API token nor a JWT.', cause);
    }
    const provider = this.#options.oidc.find((candidate) => candidate.issuer === claims.iss);
    if (provider === undefined) throw refused('The issuer of the token is not configured here.');
    const { issuer, audience, rolesClaim = 'roles', tenantClaim, tenant = DEFAULT_TENANT } = provider;
    const keys = await this.#providerKeys(provider);
    const verified = await jwtVerify(token, keys, {
      issuer,
      audience,
      currentDate: this.#options.clock(),
      requiredClaims: ['sub', 'exp'],
    }).catch((cause: unknown) => {
      throw refused('The token is not valid: its signature, audience or dates.', cause);
    });
    const { payload } = verified;
    const claimed = tenantClaim === undefined ? tenant : payload[tenantClaim];
    if (typeof claimed !== 'string') throw refused(`The token has no claim ${tenantClaim}.`);
    return { tenant: claimed, actor: `oidc:${payload.sub}`, roles: rolesOf(payload[rolesClaim]) };
  }

  async #providerKeys({ issuer }: OidcProvider): Promise<JWTVerifyGetKey> {
    const known = this.#keys.get(issuer);
    if (known !== undefined) return known;
    const url = `${issuer.replace(/\/+$/, '')}/.well-known/openid-configuration`;
    const response = await fetch(url, { signal: AbortSignal.timeout(5_000) }).catch((cause: unknown) => {
      throw refused('The identity provider does not answer.', cause);
    });
    const document = (await response.json()) as { issuer?: string; jwks_uri?: string };
    if (document.issuer !== issuer || document.jwks_uri === undefined) {
      throw refused('The discovery document of the identity provider is not its own.');
    }
    const keys = createRemoteJWKSet(new URL(document.jwks_uri));
    this.#keys.set(issuer, keys);
    return keys;
  }

  #certificate(request: FastifyRequest): Caller | undefined {
    // A plain connection has neither member.
    const socket = request.raw.socket as Partial<TLSSocket>;
    if (socket.authorized !== true) return undefined;
    const name = socket.getPeerCertificate?.().subject?.CN;
    const rule = this.#options.certificates.find((candidate) => candidate.commonName === name);
    if (rule === undefined) return undefined;
    return { tenant: rule.tenant ?? DEFAULT_TENANT, actor: `mtls:${rule.commonName}`, roles: new Set(rule.roles) };
  }
}
