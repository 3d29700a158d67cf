/**
 * The record of a platform, whichever way it enrolled: its name is its own, and its certified key never changes.
 */
import { timingSafeEqual } from 'node:crypto';
import type { Transaction } from 'kysely';
import { sha256 } from '../broker/kek.ts';
import { appendAudit } from './audit.ts';
import type { Database } from './database/open.ts';
import type { Schema } from './database/schema.ts';
import { VerifierError } from './errors.ts';
import type { Caller } from './roles.ts';

export interface EnrolledPlatform {
  readonly platform: string;
  readonly akName: Uint8Array;
}

/** What enrolment proved of a platform. */
export interface ProvedKeys {
  readonly platform: string;
  /** TPMT_PUBLIC of the key that the manufacturer certified: the EK, or the IAK of a platform that enrols by it. */
  readonly ek_public: Uint8Array;
  /** DER; empty where no EK is known. */
  readonly ek_certificate: Uint8Array;
  readonly ak_public: Uint8Array;
  readonly ak_name: Uint8Array;
}

const PLATFORM_NAME = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/;
const NAME_HEX = 32;

/** The name that was asked for, or one from the certified key. Throws `request-malformed`. */
export function platformName(wished: string | undefined, prefix: 'ek' | 'iak', certified: Uint8Array): string {
  const platform = wished ?? `${prefix}-${sha256(certified).toString('hex').slice(0, NAME_HEX)}`;
  if (PLATFORM_NAME.test(platform)) return platform;
  throw new VerifierError('request-malformed', 'A platform name has 1-128 letters, digits, dots, dashes or colons.', {
    remedy: 'Choose such a name, or none: it is then derived from the key.',
  });
}

/** Store a platform that has proved its keys, or its new attestation key. Throws as `refuseTaken`. */
export async function recordPlatform(
  db: Database,
  caller: Caller,
  now: Date,
  keys: ProvedKeys,
): Promise<EnrolledPlatform> {
  const { platform, ...columns } = keys;
  const ekDigest = sha256(keys.ek_public);
  await db.transaction().execute(async (tx) => {
    const detail = { ek: ekDigest.toString('hex'), ak: Buffer.from(keys.ak_name).toString('hex') };
    // The audit's head row orders concurrent enrolments, so that the check below cannot race.
    await appendAudit(tx, now, [
      { tenant: caller.tenant, actor: caller.actor, action: 'platform.enrol', subject: platform, detail },
    ]);
    await refuseTaken(tx, caller.tenant, platform, ekDigest, keys.ak_name);
    await tx
      .insertInto('platform')
      .values({ ...columns, tenant: caller.tenant, id: platform, ek_digest: ekDigest, enrolled_at: now })
      .onConflict((conflict) =>
        conflict
          .columns(['tenant', 'id'])
          .doUpdateSet({ ak_public: keys.ak_public, ak_name: keys.ak_name, enrolled_at: now })
          // Belt and braces: the record of another EK is not touched whatever happened above.
          .where('platform.ek_digest', '=', ekDigest),
      )
      .execute();
  });
  return { platform, akName: keys.ak_name };
}

/** Throws `platform-taken` when name or keys are another record's, `platform-revoked`. */
export async function refuseTaken(
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

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

function taken(platform: string): VerifierError {
  return new VerifierError(
    'platform-taken',
    `${platform} is enrolled with another endorsement key, or this TPM under another name.`,
    {
      failed: ['platform-identity'],
      remedy:
        'A TPM has one endorsement key of each kind: use the kind it enrolled with. Otherwise choose another name, or have an operator remove the old record: DELETE /v1/platforms/{id}.',
    },
  );
}
