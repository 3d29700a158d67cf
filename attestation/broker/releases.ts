/**
 * Release: a resource goes, encrypted, to the key that an attested partition generated. The evidence binds that key:
 * its user data is SHA-256(key) || SHA-256(nonce) (docs/architecture.md), so neither the host nor the network, nor
 * another partition with the same verdict, can put its own key there.
 */
import { randomUUID, timingSafeEqual } from 'node:crypto';
import type { Attestations } from '../verifier/attestations.ts';
import { appendAudit } from '../verifier/audit.ts';
import type { Database } from '../verifier/database/open.ts';
import { VerifierError } from '../verifier/errors.ts';
import type { Result } from '../verifier/results.ts';
import type { Caller } from '../verifier/roles.ts';
import { hpkeSeal } from './hpke.ts';
import { sha256 } from './kek.ts';
import { RELEASE_INFO, releaseUserData } from './release-binding.ts';
import { parseReleasePolicy, refusals } from './release-policy.ts';
import type { Resources } from './resources.ts';

export interface Lease {
  readonly id: string;
  readonly expiresAt: Date;
}

export interface Released {
  readonly version: number;
  readonly mediaType: string;
  readonly enc: Uint8Array;
  readonly ciphertext: Uint8Array;
  readonly lease: Lease;
}

/** A decision for release, with the content still in clear. */
export interface Granted {
  readonly version: number;
  readonly mediaType: string;
  readonly content: Buffer;
  readonly lease: Lease;
}

function refused(resource: string, failed: readonly string[]): VerifierError {
  return new VerifierError('release-refused', `The attestation does not meet the policy of ${resource}.`, {
    failed,
    remedy: 'Compare what failed with the reference values, and with the policy of the resource: GET /v1/resources.',
  });
}

export class Releases {
  readonly #db: Database;
  readonly #clock: () => Date;
  readonly #resources: Resources;
  readonly #attestations: Attestations;

  constructor(db: Database, clock: () => Date, resources: Resources, attestations: Attestations) {
    this.#db = db;
    this.#clock = clock;
    this.#resources = resources;
    this.#attestations = attestations;
  }

  /** Appraise, then release. */
  async byEvidence(
    caller: Caller,
    resource: string,
    key: Uint8Array,
    purpose: string,
    challenge: string,
    evidence: Uint8Array,
  ): Promise<Released> {
    return this.#release(
      caller,
      resource,
      key,
      await this.#attestations.attest(caller, purpose, challenge, evidence, { key }),
    );
  }

  /** Release on a result that this verifier signed and that has not expired. */
  async byResult(caller: Caller, resource: string, key: Uint8Array, result: string): Promise<Released> {
    return this.#release(caller, resource, key, await this.#attestations.readResult(caller.tenant, result));
  }

  async #release(caller: Caller, name: string, key: Uint8Array, result: Result): Promise<Released> {
    const granted = await this.grant(caller, name, sha256(key), releaseUserData(key, result.nonce), result);
    try {
      const { enc, ciphertext } = hpkeSeal(key, RELEASE_INFO, new TextEncoder().encode(name), granted.content);
      return { version: granted.version, mediaType: granted.mediaType, enc, ciphertext, lease: granted.lease };
    } catch (cause) {
      throw new VerifierError('key-malformed', 'The X25519 public key cannot be used.', {
        remedy: 'Send the 32 bytes of a freshly made key.',
        cause,
      });
    } finally {
      granted.content.fill(0);
    }
  }

  /**
   * Decide, record a lease, and hand out the content in clear to a front door, which encrypts it and zeroes it.
   * `userData` is what the attested partition must carry for the key to be its own. Throws `release-refused`,
   * `resource-unknown`, `resource-spent`.
   */
  async grant(
    caller: Caller,
    name: string,
    keyDigest: Uint8Array,
    userData: Uint8Array,
    result: Result,
  ): Promise<Granted> {
    const row = await this.#resources.newest(caller.tenant, name);
    const failed = refusals(parseReleasePolicy(row.policy), result);
    const attested = result.partition?.userData;
    const inUserData =
      attested !== undefined && attested.length === userData.length && timingSafeEqual(attested, userData);
    const inQuote = result.boundKey === Buffer.from(keyDigest).toString('hex');
    if (!inUserData && !inQuote) failed.push('key-binding');
    if (failed.length > 0) {
      await this.#refuse(caller, name, result.platform, failed);
      // What the appraisal found is the cause; the policy's refusals alone would hide it.
      throw refused(name, [...new Set([...result.failed, ...failed])]);
    }
    const lease = await this.#lease(caller, row, keyDigest, result);
    return { version: row.version, mediaType: row.media_type, content: this.#resources.open(row), lease };
  }

  async #lease(
    caller: Caller,
    row: Awaited<ReturnType<Resources['newest']>>,
    keyDigest: Uint8Array,
    result: Result,
  ): Promise<Lease> {
    const now = this.#clock();
    const lease = { id: randomUUID(), expiresAt: new Date(now.getTime() + row.lease_seconds * 1000) };
    const identity = result.partition?.codeIdentity;
    await this.#db.transaction().execute(async (tx) => {
      const detail = { platform: result.platform, version: row.version, lease: lease.id };
      // The head row's lock is also what makes a one-time release once across replicas.
      await appendAudit(tx, now, [
        { tenant: caller.tenant, actor: caller.actor, action: 'resource.release', subject: row.name, detail },
      ]);
      const live = await tx
        .selectFrom('resource')
        .select('revoked_at')
        .where('tenant', '=', caller.tenant)
        .where('name', '=', row.name)
        .where('version', '=', row.version)
        .executeTakeFirst();
      if (live === undefined || live.revoked_at !== null) {
        throw new VerifierError('resource-unknown', `There is no live resource ${row.name}.`);
      }
      if (row.one_time) {
        const spent = await tx
          .selectFrom('lease')
          .select('id')
          .where('tenant', '=', caller.tenant)
          .where('resource', '=', row.name)
          .where('version', '=', row.version)
          .executeTakeFirst();
        if (spent !== undefined) {
          throw new VerifierError('resource-spent', `${row.name} was released already; it is released once.`, {
            failed: ['one-time'],
            remedy: 'Store a new version of the resource.',
          });
        }
      }
      await tx
        .insertInto('lease')
        .values({
          id: lease.id,
          tenant: caller.tenant,
          resource: row.name,
          version: row.version,
          platform: result.platform,
          code_identity: identity === undefined ? null : Buffer.from(identity, 'hex'),
          key_digest: keyDigest,
          granted_at: now,
          expires_at: lease.expiresAt,
        })
        .execute();
    });
    return lease;
  }

  async #refuse(caller: Caller, resource: string, platform: string, failed: readonly string[]): Promise<void> {
    await this.#db.transaction().execute((tx) =>
      appendAudit(tx, this.#clock(), [
        {
          tenant: caller.tenant,
          actor: caller.actor,
          action: 'resource.refuse',
          subject: resource,
          detail: { platform, failed },
        },
      ]),
    );
  }
}
