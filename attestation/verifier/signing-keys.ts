/**
 * Keys that sign attestation results: ECDSA P-256, made here, kept under the key-encryption key, shared by all
 * replicas. One key signs; the ones before it stay in the JWKS until the last result they signed has expired.
 */
import { createPrivateKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { calculateJwkThumbprint, type JSONWebKeySet, type JWK, type JWTPayload } from 'jose';
import type { KeyEncryptionKey } from '../broker/kek.ts';
import { signEarCwt } from '../ear/cwt-sign.ts';
import { appendAudit } from './audit.ts';
import type { Database } from './database/open.ts';

interface SigningKey {
  readonly kid: string;
  readonly key: KeyObject;
}

/** How long another replica's rotation may go unnoticed. */
const REFRESH_MS = 60_000;

export class SigningKeys {
  readonly #db: Database;
  readonly #kek: KeyEncryptionKey;
  readonly #clock: () => Date;
  /** A retired key stays published for this long: the longest life of a result. */
  readonly #overlapSeconds: number;
  #current: SigningKey | undefined;
  #readAt = 0;

  constructor(db: Database, kek: KeyEncryptionKey, clock: () => Date, overlapSeconds: number) {
    this.#db = db;
    this.#kek = kek;
    this.#clock = clock;
    this.#overlapSeconds = overlapSeconds;
  }

  /** Make a new key and sign with it from now on. Returns its `kid` (RFC 7638 thumbprint). */
  async rotate(actor: string): Promise<string> {
    const now = this.#clock();
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const jwk = pair.publicKey.export({ format: 'jwk' });
    const kid = await calculateJwkThumbprint(jwk as JWK);
    const pkcs8 = pair.privateKey.export({ format: 'der', type: 'pkcs8' });
    const wrapped = this.#kek.seal(pkcs8, `signing-key ${kid}`);
    pkcs8.fill(0);
    await this.#db.transaction().execute(async (tx) => {
      await appendAudit(tx, now, [{ tenant: '*', actor, action: 'signing-key.rotate', subject: kid }]);
      const expires = new Date(now.getTime() + this.#overlapSeconds * 1000);
      await tx
        .updateTable('signing_key')
        .set({ retired_at: now, expires_at: expires })
        .where('retired_at', 'is', null)
        .execute();
      await tx
        .insertInto('signing_key')
        .values({
          kid,
          public_jwk: JSON.stringify({ ...jwk, kid, alg: 'ES256', use: 'sig' }),
          wrapped_private: wrapped,
          created_at: now,
        })
        .execute();
    });
    this.#readAt = 0;
    return kid;
  }

  /** The public keys of every result that can still be valid (RFC 7517). */
  async jwks(): Promise<JSONWebKeySet> {
    const rows = await this.#db
      .selectFrom('signing_key')
      .select('public_jwk')
      .where((eb) => eb.or([eb('expires_at', 'is', null), eb('expires_at', '>', this.#clock())]))
      .orderBy('created_at', 'desc')
      .execute();
    return { keys: rows.map((row) => row.public_jwk as JWK) };
  }

  /**
   * Sign a claims set as a compact JWS (RFC 7515) with the media type of its header. By OpenSSL in place: jose goes
   * through WebCrypto's queue, which takes three times as long, once for every attestation. Tests verify with jose.
   */
  async sign(claims: JWTPayload, type: string): Promise<string> {
    const { kid, key } = await this.#signer();
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const input = `${part({ alg: 'ES256', kid, typ: type })}.${part(claims)}`;
    const signature = sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' });
    return `${input}.${signature.toString('base64url')}`;
  }

  /** Sign the claims of a result as a CWT (RFC 8392) with the same key and identifier. Throws EarError. */
  async signCwt(claims: JWTPayload): Promise<Uint8Array> {
    const { kid, key } = await this.#signer();
    return signEarCwt(claims, key, kid);
  }

  async #signer(): Promise<SigningKey> {
    const now = this.#clock().getTime();
    if (this.#current !== undefined && now - this.#readAt < REFRESH_MS) return this.#current;
    let row = await this.#newest();
    if (row === undefined) {
      await this.rotate('verifier');
      row = await this.#newest();
    }
    if (row === undefined) throw new Error('a signing key was written and is not there');
    if (row.kid !== this.#current?.kid) {
      const pkcs8 = this.#kek.open(row.wrapped_private, `signing-key ${row.kid}`);
      this.#current = { kid: row.kid, key: createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }) };
      pkcs8.fill(0);
    }
    this.#readAt = now;
    return this.#current;
  }

  #newest() {
    return this.#db
      .selectFrom('signing_key')
      .select(['kid', 'wrapped_private'])
      .where('retired_at', 'is', null)
      .orderBy('created_at', 'desc')
      .executeTakeFirst();
  }
}
