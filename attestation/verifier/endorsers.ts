/** Endorsers: who may sign CoRIM for a tenant, by keys or by authorities that certify theirs. An operator registers them. */
import type { Transaction } from 'kysely';
import { fromBase64 } from '../bytes.ts';
import { CorimError } from '../corim/comid.ts';
import type { OpenedCorim } from '../corim/corim.ts';
import { type PublicKey, verification } from '../crypto/port.ts';
import { chainedTo, inDates, type ReadManifest } from '../machine/manifests.ts';
import { Trust } from '../x509/chain.ts';
import { appendAudit } from './audit.ts';
import type { Database } from './database/open.ts';
import type { Schema } from './database/schema.ts';
import { VerifierError } from './errors.ts';
import type { Caller } from './roles.ts';

/** As the API has it: base64 of DER. */
export interface EndorserDocument {
  /** SubjectPublicKeyInfo. */
  readonly keys: readonly string[];
  /** Certificates that those in a CoRIM (x5chain) must lead to. */
  readonly anchors: readonly string[];
}

export interface EndorserInfo extends EndorserDocument {
  readonly name: string;
  readonly createdBy: string;
  readonly createdAt: Date;
}

const ENDORSER_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
/** Every one of them may be tried on a CoRIM whose signer is not known. */
const MAX_ENDORSERS = 64;

/** An endorser whose keys are read. */
export class Signers {
  readonly #keys: readonly PublicKey[];
  readonly #anchors: readonly Uint8Array[];

  /** Throws for a key or certificate that is none. */
  constructor({ keys, anchors }: EndorserDocument) {
    this.#keys = keys.map((key) => verification().importSpki(fromBase64(key)));
    this.#anchors = anchors.map(fromBase64);
    new Trust(this.#anchors);
  }

  /** The manifest, if one of the keys signed it, or one that its certificates are of. Where these lead is in its standing. */
  verified(bytes: Uint8Array, opened: OpenedCorim): Omit<ReadManifest, 'revoked'> | undefined {
    const mine = this.#keys.some((key) => succeeds(() => opened.verify(key)));
    if (mine) return { corim: opened.corim, standing: inDates(opened) };
    if (this.#anchors.length === 0) return undefined;
    try {
      return chainedTo(bytes, opened, this.#anchors);
    } catch {
      return undefined;
    }
  }
}

function succeeds(body: () => void): boolean {
  try {
    body();
    return true;
  } catch (error) {
    if (error instanceof CorimError) return false;
    throw error;
  }
}

/** Tell every replica that a tenant's endorsers or endorsements have changed. */
export async function bumpRevision(tx: Transaction<Schema>, tenant: string): Promise<void> {
  await tx
    .insertInto('endorsement_revision')
    .values({ tenant, revision: 1 })
    .onConflict((conflict) =>
      conflict.column('tenant').doUpdateSet((eb) => ({ revision: eb('endorsement_revision.revision', '+', 1) })),
    )
    .execute();
}

export class Endorsers {
  readonly #db: Database;
  readonly #clock: () => Date;

  constructor(db: Database, clock: () => Date) {
    this.#db = db;
    this.#clock = clock;
  }

  /** Register an endorser, or give it other keys. Throws `endorser-malformed`. */
  async put(caller: Caller, name: string, document: EndorserDocument): Promise<void> {
    checkDocument(name, document);
    const now = this.#clock();
    const { tenant, actor } = caller;
    const keys = JSON.stringify(document.keys);
    const anchors = JSON.stringify(document.anchors);
    await this.#db.transaction().execute(async (tx) => {
      const detail = { keys: document.keys, anchors: document.anchors };
      await appendAudit(tx, now, [{ tenant, actor, action: 'endorser.put', subject: name, detail }]);
      const others = await tx
        .selectFrom('endorser')
        .select('name')
        .where('tenant', '=', tenant)
        .where('name', '!=', name)
        .execute();
      if (others.length >= MAX_ENDORSERS) {
        throw new VerifierError('endorsement-limit', `A tenant has at most ${MAX_ENDORSERS} endorsers.`, {
          remedy: 'Remove one: DELETE /v1/endorsers/{name}.',
        });
      }
      const row = { tenant, name, keys, anchors, created_by: actor, created_at: now };
      await tx
        .insertInto('endorser')
        .values(row)
        .onConflict((conflict) => conflict.columns(['tenant', 'name']).doUpdateSet(row))
        .execute();
      await bumpRevision(tx, tenant);
    });
  }

  async list(tenant: string): Promise<EndorserInfo[]> {
    const rows = await this.#db
      .selectFrom('endorser')
      .selectAll()
      .where('tenant', '=', tenant)
      .orderBy('created_at')
      .orderBy('name')
      .execute();
    return rows.map(({ name, keys, anchors, created_by: createdBy, created_at: createdAt }) => ({
      name,
      keys,
      anchors,
      createdBy,
      createdAt,
    }));
  }

  /** Trust an endorser no longer: what it signed counts as revoked from now on. Throws `endorser-unknown`. */
  async remove(caller: Caller, name: string): Promise<void> {
    const { tenant, actor } = caller;
    await this.#db.transaction().execute(async (tx) => {
      await appendAudit(tx, this.#clock(), [{ tenant, actor, action: 'endorser.remove', subject: name }]);
      const result = await tx
        .deleteFrom('endorser')
        .where('tenant', '=', tenant)
        .where('name', '=', name)
        .executeTakeFirst();
      if (result.numDeletedRows === 0n) {
        throw new VerifierError('endorser-unknown', `There is no endorser ${name}.`, {
          remedy: 'List them: GET /v1/endorsers.',
        });
      }
      await bumpRevision(tx, tenant);
    });
  }
}

function checkDocument(name: string, document: EndorserDocument): void {
  const remedy = 'Send keys (SubjectPublicKeyInfo) or anchors (X.509), each base64 of DER.';
  if (!ENDORSER_NAME.test(name)) {
    throw new VerifierError('request-malformed', 'An endorser name has 1-128 letters, digits, dots or dashes.', {
      remedy: 'Choose such a name.',
    });
  }
  if (document.keys.length + document.anchors.length === 0) {
    throw new VerifierError('endorser-malformed', 'An endorser without a key or an anchor signs nothing.', { remedy });
  }
  try {
    new Signers(document);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : 'unknown reason';
    throw new VerifierError('endorser-malformed', `A key or an anchor does not parse: ${reason}`, { remedy, cause });
  }
}
