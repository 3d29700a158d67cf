/**
 * Enrolment: a platform becomes known when its TPM has proved that the attestation key lives beside the endorsement
 * key that a trusted manufacturer certified. Two steps, MakeCredential and ActivateCredential (Part 1, section 24);
 * nothing but the pending challenge is stored before the proof, and no record ever changes its EK.
 */
import { randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import { sha256 } from '../broker/kek.ts';
import { appendAudit } from './audit.ts';
import type { Database } from './database/open.ts';
import { type Manufacturers, sameKey } from './ek-certificates.ts';
import { VerifierError } from './errors.ts';
import { type Credential, makeCredential } from './make-credential.ts';
import { type EnrolledPlatform, platformName, recordPlatform, refuseTaken } from './platform-record.ts';
import type { Caller } from './roles.ts';
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

/** Not longer than the digest of any EK's name algorithm, as MakeCredential demands. */
const SECRET_BYTES = 32;
/** Unfinished enrolments a tenant may have: enough for a rack that boots, too few to fill a disk. */
const MAX_PENDING = 1_000;

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
    const platform = platformName(request.platform, 'ek', request.ekPublic);
    await refuseTaken(this.#db, caller.tenant, platform, sha256(request.ekPublic));
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
    if (!timingSafeEqual(sha256(secret), pending.secret_hash)) {
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
    const { platform, ek_public, ek_certificate, ak_public, ak_name } = pending;
    return recordPlatform(this.#db, caller, now, { platform, ek_public, ek_certificate, ak_public, ak_name });
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
