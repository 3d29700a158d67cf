/**
 * Endorsements: CoRIM that was provisioned, kept as it came, and what counts of it now. A document is one record by its
 * SHA-256. It is revoked for its endorser's sake or ours, and its digests are then known as revoked; or removed, and then it
 * says nothing. Its tags carry their own versions, of which the newest of an endorser counts.
 */
import { sha256 } from '../broker/kek.ts';
import { Failing } from '../checks.ts';
import { CorimError } from '../corim/comid.ts';
import {
  type Corim,
  type CorimOptions,
  isUnsignedCorim,
  type OpenedCorim,
  openSignedCorim,
  parseCorim,
  type Validity,
} from '../corim/corim.ts';
import { hasMachineValues } from '../corim/values.ts';
import { newestOf, type ProvisionedManifest, type ReadManifest, readUnsigned } from '../machine/manifests.ts';
import { appendAudit } from './audit.ts';
import type { Database } from './database/open.ts';
import { bumpRevision, Endorsers, Signers } from './endorsers.ts';
import { VerifierError } from './errors.ts';
import type { Caller } from './roles.ts';
import { requireRole } from './tokens.ts';

/** Bytes of one document. */
export const MAX_CORIM = 2 ** 20;
/** Documents of a tenant, and their bytes: all of them are in memory wherever evidence of it is appraised. */
const MAX_DOCUMENTS = 256;
const MAX_TOTAL = 16 * 2 ** 20;
const MAX_TENANTS = 1_000;

export type EndorsementState = 'in-force' | 'superseded' | 'out-of-date' | 'untrusted' | 'revoked';

export interface EndorsementInfo {
  /** SHA-256 of the document, hexadecimal. */
  readonly id: string;
  /** The document's own identifier. */
  readonly corim: string;
  readonly profile: string | undefined;
  readonly endorser: string | null;
  readonly state: EndorsementState;
  readonly validity: Validity | undefined;
  readonly tags: readonly { readonly id: string; readonly version: number; readonly supersededBy?: number }[];
  readonly createdBy: string;
  readonly createdAt: Date;
  readonly revokedAt: Date | null;
  readonly revokedBecause: string | null;
}

/** A record without its document. */
interface Row {
  readonly id: string;
  readonly endorser: string | null;
  readonly created_by: string;
  readonly created_at: Date;
  readonly revoked_at: Date | null;
  readonly revoked_because: string | null;
}

interface Kept extends ProvisionedManifest {
  readonly row: Row;
  /** What it was read by: it is read again when that changes. */
  readonly readBy: string;
}

interface Current {
  readonly revision: number;
  readonly kept: Promise<readonly Kept[]>;
}

export class Endorsements {
  readonly #db: Database;
  readonly #clock: () => Date;
  readonly #endorsers: Endorsers;
  readonly #current = new Map<string, Current>();

  constructor(db: Database, clock: () => Date) {
    this.#db = db;
    this.#clock = clock;
    this.#endorsers = new Endorsers(db, clock);
  }

  /** What a tenant's appraisals go by. `revision` is the database's, so that no replica overlooks a change. */
  current(tenant: string, revision: number): Promise<readonly ProvisionedManifest[]> {
    const known = this.#current.get(tenant);
    if (known?.revision === revision) return known.kept;
    const kept = this.#load(tenant, known?.kept);
    if (this.#current.size >= MAX_TENANTS) this.#current.clear();
    this.#current.set(tenant, { revision, kept });
    // What could not be read is tried again, not remembered.
    kept.catch(() => this.#current.delete(tenant));
    return kept;
  }

  /**
   * Store a document; whose it is, its signature says. Sent again it is the same record. An unsigned one needs the role
   * operator, who may say anything in reference values too. `profile`: what it must be of. Throws `endorsement-malformed`, `-untrusted`, `-revoked`,
   * `-limit`, `role-missing`.
   */
  async add(
    caller: Caller,
    bytes: Uint8Array,
    profile?: string,
  ): Promise<{ readonly created: boolean; readonly info: EndorsementInfo }> {
    const { tenant, actor } = caller;
    const now = this.#clock();
    const { endorser, corim } = await this.#read(caller, bytes, profile, now);
    const id = sha256(bytes).toString('hex');
    const created = await this.#db.transaction().execute(async (tx) => {
      // The audit's head row orders writers, so that what is counted below cannot change.
      const detail = { corim: corim.id, endorser: endorser ?? '' };
      await appendAudit(tx, now, [{ tenant, actor, action: 'endorsement.add', subject: id, detail }]);
      const rows = await tx
        .selectFrom('endorsement')
        .select(({ fn }) => ['id', 'revoked_at', fn<number>('length', ['corim']).as('size')])
        .where('tenant', '=', tenant)
        .execute();
      const same = rows.find((row) => row.id === id);
      if (same?.revoked_at) throw revoked(id);
      if (same !== undefined) return false;
      const total = rows.reduce((sum, { size }) => sum + size, bytes.length);
      if (rows.length >= MAX_DOCUMENTS || total > MAX_TOTAL) throw full();
      await tx
        .insertInto('endorsement')
        .values({ tenant, id, endorser: endorser ?? null, corim: bytes, created_by: actor, created_at: now })
        .execute();
      await bumpRevision(tx, tenant);
      return true;
    });
    const info = (await this.list(tenant)).find((one) => one.id === id);
    if (info === undefined) throw unknown(id);
    return { created, info };
  }

  async list(tenant: string): Promise<EndorsementInfo[]> {
    const kept = await this.#load(tenant, this.#current.get(tenant)?.kept);
    const now = this.#clock();
    return kept.map((one) => infoOf(one, kept, now));
  }

  /** The document as it came. Throws `endorsement-unknown`. */
  async document(tenant: string, id: string): Promise<Uint8Array> {
    const row = await this.#db
      .selectFrom('endorsement')
      .select('corim')
      .where('tenant', '=', tenant)
      .where('id', '=', id)
      .executeTakeFirst();
    if (row === undefined) throw unknown(id);
    return row.corim;
  }

  /** Its digests are known as revoked from now on. Throws `endorsement-unknown`. */
  async revoke(caller: Caller, id: string, because: string): Promise<void> {
    const { tenant, actor } = caller;
    const now = this.#clock();
    await this.#db.transaction().execute(async (tx) => {
      const detail = { because };
      await appendAudit(tx, now, [{ tenant, actor, action: 'endorsement.revoke', subject: id, detail }]);
      const result = await tx
        .updateTable('endorsement')
        .set({ revoked_at: now, revoked_because: because })
        .where('tenant', '=', tenant)
        .where('id', '=', id)
        .where('revoked_at', 'is', null)
        .executeTakeFirst();
      if (result.numUpdatedRows === 0n) throw unknown(id);
      await bumpRevision(tx, tenant);
    });
  }

  /** Forget it: its digests are nobody's from now on. Throws `endorsement-unknown`. */
  async remove(caller: Caller, id: string): Promise<void> {
    const { tenant, actor } = caller;
    await this.#db.transaction().execute(async (tx) => {
      await appendAudit(tx, this.#clock(), [{ tenant, actor, action: 'endorsement.remove', subject: id }]);
      const result = await tx
        .deleteFrom('endorsement')
        .where('tenant', '=', tenant)
        .where('id', '=', id)
        .executeTakeFirst();
      if (result.numDeletedRows === 0n) throw unknown(id);
      await bumpRevision(tx, tenant);
    });
  }

  /** Read a document that somebody sends, and find whose it is. */
  async #read(caller: Caller, bytes: Uint8Array, profile: string | undefined, now: Date) {
    const { corim, opened } = parsed(bytes, profile === undefined ? {} : { profiles: [profile] });
    if (opened === undefined) {
      requireRole(caller, 'operator');
      return { corim, endorser: undefined };
    }
    for (const { name, ...document } of await this.#endorsers.list(caller.tenant)) {
      const verified = new Signers(document).verified(bytes, opened);
      if (verified !== undefined && isTrusted(verified, now)) return { corim, endorser: name };
    }
    throw new VerifierError('endorsement-untrusted', `No registered endorser has signed "${corim.id}".`, {
      failed: ['endorsement-signature'],
      remedy: 'An operator registers who may: PUT /v1/endorsers/{name}, or nexus verifier corim trust.',
    });
  }

  async #load(tenant: string, before: Promise<readonly Kept[]> | undefined): Promise<readonly Kept[]> {
    const endorsers = new Map((await this.#endorsers.list(tenant)).map((one) => [one.name, one]));
    const rows = await this.#db
      .selectFrom('endorsement')
      .select(['id', 'endorser', 'created_by', 'created_at', 'revoked_at', 'revoked_because'])
      .where('tenant', '=', tenant)
      .orderBy('created_at')
      .orderBy('id')
      .execute();
    const known = new Map((await before?.catch(() => []))?.map((one) => [one.row.id, one]));
    const kept: Kept[] = [];
    for (const row of rows) {
      const { keys, anchors } = endorsers.get(row.endorser ?? '') ?? { keys: [], anchors: [] };
      const readBy = JSON.stringify([keys, anchors]);
      const old = known.get(row.id);
      const manifest =
        old?.readBy === readBy
          ? old
          : readRecord(await this.document(tenant, row.id), row.endorser, new Signers({ keys, anchors }));
      const endorser = row.endorser ?? undefined;
      kept.push({ ...manifest, endorser, revoked: row.revoked_because ?? undefined, row, readBy });
    }
    return kept;
  }
}

/** A record as it stands with its endorser now, who may have been given other keys or be trusted no longer. */
function readRecord(bytes: Uint8Array, endorser: string | null, signers: Signers): Omit<ReadManifest, 'revoked'> {
  if (endorser === null) return readUnsigned(bytes);
  const opened = openSignedCorim(bytes);
  const withdrawn = () => {
    throw new Failing('revoked', `its endorser "${endorser}" is trusted no longer, or with other keys`);
  };
  return signers.verified(bytes, opened) ?? { corim: opened.corim, standing: withdrawn };
}

function parsed(
  bytes: Uint8Array,
  options: CorimOptions,
): { readonly corim: Corim; readonly opened: OpenedCorim | undefined } {
  try {
    const opened = isUnsignedCorim(bytes) ? undefined : openSignedCorim(bytes, options);
    const { corim } = opened ?? { corim: parseCorim(bytes, options) };
    if (hasMachineValues(corim)) return { corim, opened };
  } catch (cause) {
    throw malformed(cause instanceof Error ? cause.message : 'it does not parse', cause);
  }
  throw malformed('it has no value of a register or of an event');
}

/** Whether a signer is trusted; a document that is not valid yet, or no longer, may be so. */
function isTrusted({ standing }: Pick<ReadManifest, 'standing'>, now: Date): boolean {
  const state = standingState(standing, now);
  return state === undefined || state === 'out-of-date';
}

function standingState(standing: ReadManifest['standing'], now: Date): EndorsementState | undefined {
  try {
    standing(now);
    return undefined;
  } catch (cause) {
    const isLate = cause instanceof Failing ? cause.fault === 'expired' : cause instanceof CorimError;
    return isLate ? 'out-of-date' : 'untrusted';
  }
}

function infoOf(one: Kept, all: readonly Kept[], now: Date): EndorsementInfo {
  const { corim, standing, row, endorser } = one;
  const newest = newestOf(all.filter((other) => other.endorser === endorser));
  const tags = corim.comids.map(({ id, version }) => {
    const latest = newest.get(id) ?? version;
    return { id, version, ...(latest > version && { supersededBy: latest }) };
  });
  const superseded = tags.every(({ supersededBy }) => supersededBy !== undefined);
  return {
    id: row.id,
    corim: corim.id,
    profile: corim.profile,
    endorser: row.endorser,
    state: row.revoked_at ? 'revoked' : (standingState(standing, now) ?? (superseded ? 'superseded' : 'in-force')),
    validity: corim.validity,
    tags,
    createdBy: row.created_by,
    createdAt: row.created_at,
    revokedAt: row.revoked_at,
    revokedBecause: row.revoked_because,
  };
}

const malformed = (reason: string, cause?: unknown): VerifierError =>
  new VerifierError('endorsement-malformed', `The CoRIM is malformed, or of no use here: ${reason}`, {
    remedy: 'docs/evidence.md, Manifests (CoRIM), says what is read.',
    cause,
  });

const revoked = (id: string): VerifierError =>
  new VerifierError('endorsement-revoked', `${id} was revoked.`, {
    remedy: 'If that was a mistake, remove it first: DELETE /v1/endorsements/{id}.',
  });

const unknown = (id: string): VerifierError =>
  new VerifierError('endorsement-unknown', `There is no endorsement ${id} (or it is revoked already).`, {
    remedy: 'List them: GET /v1/endorsements.',
  });

const full = (): VerifierError =>
  new VerifierError(
    'endorsement-limit',
    `A tenant has at most ${MAX_DOCUMENTS} CoRIM, and ${MAX_TOTAL} bytes of them.`,
    {
      remedy: 'Remove what is superseded: DELETE /v1/endorsements/{id}.',
    },
  );
