/**
 * Enrolment: a platform becomes known when its TPM has proved that the attestation key lives beside the endorsement
 * key that a trusted manufacturer certified. Two steps, MakeCredential and ActivateCredential (Part 1, section 24);
 * nothing but the pending challenge is stored before the proof, and no record ever changes its EK.
 */
import { randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import type { Transaction } from 'kysely';
import { sha256 } from '../broker/kek.ts';
import { appendAudit } from './audit.ts';
import type { Database } from './database/open.ts';
import type { Schema } from './database/schema.ts';
import { type Manufacturers, sameKey } from './ek-certificates.ts';
import { VerifierError } from './errors.ts';
import { type Credential, makeCredential } from './make-credential.ts';
import type { Caller } from './tokens.ts';
import { readAttestationKey, readEndorsementKey } from './tpm-keys.ts';
import type { TpmPublic } from './tpm-public.ts';

export interface EnrolmentRequest {
  /** The name the platform asks for; by default it is derived from the EK. */
  readonly platform?: string | undefined;
  /** TPMT_PUBLIC. */
  readonly ekPublic: Uint8Array;
  /** DER, leaf first. */
  readonly ekCertificates: readonly Uint8Array[];
  /** TPMT_PUBLIC. */
  readonly akPublic: Uint8Array;
}

export interface EnrolmentChallenge {
  readonly id: string;
  readonly platform: string;
  /** TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET, without their size fields, for TPM2_ActivateCredential. */
  readonly credentialBlob: Uint8Array;
  readonly encryptedSecret: Uint8Array;
  readonly expiresAt: Date;
}

export interface EnrolledPlatform {
  readonly platform: string;
  readonly akName: Uint8Array;
}

/** Not longer than the digest of any EK's name algorithm, as MakeCredential demands. */
const SECRET_BYTES = 32;
const PLATFORM_NAME = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/;
const EK_NAME_HEX = 32;
/** Unfinished enrolments a tenant may have: enough for a rack that boots, too few to fill a disk. */
const MAX_PENDING = 1_000;

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

function taken(platform: string): VerifierError {
  return new VerifierError(
    'platform-taken',
    `Another TPM is enrolled as ${platform}, or this one under another name.`,
    {
      failed: ['platform-identity'],
      remedy: 'Choose another name, or have an operator remove the old record: DELETE /v1/platforms/{id}.',
    },
  );
}

export class Enrolment {
  readonly #db: Database;
  readonly #clock: () => Date;
  readonly #manufacturers: Manufacturers;
  readonly #seconds: number;

  constructor(db: Database, clock: () => Date, manufacturers: Manufacturers, seconds: number) {
    this.#db = db;
    this.#clock = clock;
    this.#manufacturers = manufacturers;
    this.#seconds = seconds;
  }

  /** Check what can be checked without the TPM and set it the task that only the EK's TPM can solve. */
  async begin(caller: Caller, request: EnrolmentRequest): Promise<EnrolmentChallenge> {
    const now = this.#clock();
    const ek = readEndorsementKey(request.ekPublic);
    const ak = readAttestationKey(request.akPublic);
    const certified = await this.#manufacturers.validate(request.ekCertificates, now);
    if (!sameKey(certified, ek.key)) {
      throw new VerifierError('ek-mismatch', 'The EK certificate is for another key than the EK that was sent.', {
        failed: ['ek-certificate'],
        remedy: 'Create the EK with the template that the certificate was issued for.',
      });
    }
    const ekDigest = sha256(request.ekPublic);
    const platform = request.platform ?? `ek-${ekDigest.toString('hex').slice(0, EK_NAME_HEX)}`;
    if (!PLATFORM_NAME.test(platform)) {
      throw new VerifierError(
        'request-malformed',
        'A platform name has 1-128 letters, digits, dots, dashes or colons.',
      );
    }
    await this.#refuseTaken(this.#db, caller.tenant, platform, ekDigest);
    const secret = randomBytes(SECRET_BYTES);
    const credential = this.#wrap(ek, ak.name, secret);
    const id = randomUUID();
    const expiresAt = new Date(now.getTime() + this.#seconds * 1000);
    await this.#makeRoom(caller.tenant, now);
    await this.#db
      .insertInto('pending_enrolment')
      .values({
        id,
        tenant: caller.tenant,
        platform,
        ek_public: request.ekPublic,
        ek_certificate: request.ekCertificates[0] ?? new Uint8Array(0),
        ak_public: request.akPublic,
        ak_name: ak.name,
        secret_hash: sha256(secret),
        expires_at: expiresAt,
      })
      .execute();
    secret.fill(0);
    return { id, platform, ...credential, expiresAt };
  }

  /** Accept the solved task, once. A wrong answer ends the enrolment. */
  async finish(caller: Caller, id: string, secret: Uint8Array): Promise<EnrolledPlatform> {
    const now = this.#clock();
    const pending = await this.#db
      .deleteFrom('pending_enrolment')
      .where('id', '=', id)
      .where('tenant', '=', caller.tenant)
      .returningAll()
      .executeTakeFirst();
    if (pending === undefined || pending.expires_at <= now) {
      throw new VerifierError('enrolment-unknown', 'No enrolment waits under this id, or it has expired.', {
        remedy: 'Begin again: POST /v1/enrolments.',
      });
    }
    if (!equalBytes(sha256(secret), pending.secret_hash)) {
      await this.#db
        .transaction()
        .execute((tx) =>
          appendAudit(tx, now, [
            { tenant: caller.tenant, actor: caller.actor, action: 'platform.enrol-refused', subject: pending.platform },
          ]),
        );
      throw new VerifierError('activation-refused', 'The activated secret is wrong.', {
        failed: ['proof-of-possession'],
        remedy: 'Run TPM2_ActivateCredential on the TPM that holds both keys, then begin again.',
      });
    }
    const ekDigest = sha256(pending.ek_public);
    await this.#db.transaction().execute(async (tx) => {
      const detail = { ek: ekDigest.toString('hex'), ak: Buffer.from(pending.ak_name).toString('hex') };
      // The audit's head row orders concurrent enrolments, so that the check below cannot race.
      await appendAudit(tx, now, [
        { tenant: caller.tenant, actor: caller.actor, action: 'platform.enrol', subject: pending.platform, detail },
      ]);
      await this.#refuseTaken(tx, caller.tenant, pending.platform, ekDigest, pending.ak_name);
      const { id: _, platform, secret_hash, expires_at, ...keys } = pending;
      await tx
        .insertInto('platform')
        .values({ ...keys, id: platform, ek_digest: ekDigest, enrolled_at: now })
        .onConflict((conflict) =>
          conflict
            .columns(['tenant', 'id'])
            .doUpdateSet({ ak_public: keys.ak_public, ak_name: keys.ak_name, enrolled_at: now })
            // Belt and braces: the record of another EK is not touched whatever happened above.
            .where('platform.ek_digest', '=', ekDigest),
        )
        .execute();
    });
    return { platform: pending.platform, akName: pending.ak_name };
  }

  #wrap(ek: TpmPublic, akName: Uint8Array, secret: Uint8Array): Credential {
    try {
      return makeCredential(ek, akName, secret);
    } catch (cause) {
      throw new VerifierError('ek-malformed', 'Nothing can be encrypted to this endorsement key.', {
        remedy: 'Create the EK with a template of the TCG EK Credential Profile.',
        cause,
      });
    }
  }

  async #refuseTaken(
    db: Database | Transaction<Schema>,
    tenant: string,
    platform: string,
    ekDigest: Uint8Array,
    akName?: Uint8Array,
  ): Promise<void> {
    const rows = await db
      .selectFrom('platform')
      .select(['id', 'ek_digest', 'revoked_at'])
      .where('tenant', '=', tenant)
      .where((eb) =>
        eb.or([
          eb('id', '=', platform),
          eb('ek_digest', '=', ekDigest),
          ...(akName === undefined ? [] : [eb('ak_name', '=', akName)]),
        ]),
      )
      .execute();
    for (const row of rows) {
      if (row.id !== platform || !equalBytes(row.ek_digest, ekDigest)) throw taken(platform);
      if (row.revoked_at !== null) {
        throw new VerifierError('platform-revoked', `The platform ${platform} is revoked.`, {
          failed: ['platform-identity'],
          remedy: 'An operator can remove the record to allow a new enrolment.',
        });
      }
    }
  }

  async #makeRoom(tenant: string, now: Date): Promise<void> {
    await this.#db.deleteFrom('pending_enrolment').where('expires_at', '<=', now).execute();
    const { count } = await this.#db
      .selectFrom('pending_enrolment')
      .select((eb) => eb.fn.countAll<number>().as('count'))
      .where('tenant', '=', tenant)
      .executeTakeFirstOrThrow();
    if (Number(count) >= MAX_PENDING) {
      throw new VerifierError('rate-limited', 'Too many enrolments are unfinished.', {
        remedy: `Try again in ${this.#seconds} seconds.`,
      });
    }
  }
}
