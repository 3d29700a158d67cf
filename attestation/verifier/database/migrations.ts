/** The schema's history, in code so that it travels with the package. A released migration is never edited. */
import { type Kysely, type Migration, sql } from 'kysely';

// A migration runs against the schema of its own time, so it cannot be typed by today's.
type Database = Kysely<unknown>;

const first: Migration = {
  async up(db: Database) {
    const statements = [
      sql`create table setting (name text primary key, value jsonb not null)`,
      sql`create table token (
        id text primary key, tenant text not null, name text not null, roles jsonb not null,
        secret_hash bytea not null, created_at timestamptz not null, expires_at timestamptz, revoked_at timestamptz)`,
      sql`create table platform (
        tenant text not null, id text not null, ek_digest bytea not null, ek_public bytea not null,
        ek_certificate bytea not null, ak_public bytea not null, ak_name bytea not null, reference text,
        enrolled_at timestamptz not null, revoked_at timestamptz,
        primary key (tenant, id), unique (tenant, ek_digest), unique (tenant, ak_name))`,
      sql`create table pending_enrolment (
        id text primary key, tenant text not null, platform text not null, ek_public bytea not null,
        ek_certificate bytea not null, ak_public bytea not null, ak_name bytea not null,
        secret_hash bytea not null, expires_at timestamptz not null)`,
      sql`create table challenge (
        id text primary key, tenant text not null, nonce bytea not null, purpose text not null,
        expires_at timestamptz not null)`,
      sql`create index challenge_expiry on challenge (expires_at)`,
      sql`create table session (
        id text primary key, tenant text not null, door text not null, nonce bytea not null, status text not null,
        result text, detail jsonb not null, expires_at timestamptz not null)`,
      sql`create index session_expiry on session (expires_at)`,
      sql`create table reference (
        tenant text not null, name text not null, version integer not null, body jsonb not null,
        created_by text not null, created_at timestamptz not null, revoked_at timestamptz,
        primary key (tenant, name, version))`,
      sql`create table resource (
        tenant text not null, name text not null, version integer not null, media_type text not null,
        policy jsonb not null, one_time boolean not null, lease_seconds integer not null,
        wrapped_key bytea not null, ciphertext bytea not null,
        created_at timestamptz not null, revoked_at timestamptz,
        primary key (tenant, name, version))`,
      sql`create table lease (
        id text primary key, tenant text not null, resource text not null, version integer not null,
        platform text not null, code_identity bytea, key_digest bytea not null,
        granted_at timestamptz not null, expires_at timestamptz not null, revoked_at timestamptz)`,
      sql`create index lease_platform on lease (tenant, platform)`,
      sql`create table signing_key (
        kid text primary key, public_jwk jsonb not null, wrapped_private bytea not null,
        created_at timestamptz not null, retired_at timestamptz, expires_at timestamptz)`,
      sql`create table audit (
        seq bigint primary key, at timestamptz not null, tenant text not null, actor text not null,
        action text not null, subject text not null, detail jsonb not null,
        previous bytea not null, hash bytea not null)`,
      sql`create table audit_head (id integer primary key, seq bigint not null, hash bytea not null)`,
      sql`insert into audit_head (id, seq, hash) values (1, 0, decode(repeat('00', 32), 'hex'))`,
      sql`create table verdict (
        tenant text not null, platform text not null, state text not null, failed jsonb not null, clock jsonb,
        at timestamptz not null, expires_at timestamptz not null, changed_at timestamptz not null,
        primary key (tenant, platform))`,
    ];
    for (const statement of statements) await statement.execute(db);
  },
};

const continuous: Migration = {
  async up(db: Database) {
    const statements = [
      sql`create table event (
        id bigint generated always as identity primary key, tenant text not null, platform text not null,
        before text not null, state text not null, failed jsonb not null, at timestamptz not null)`,
      sql`create table webhook (
        id text primary key, tenant text not null, url text not null, wrapped_secret bytea not null,
        delivered bigint not null, attempts integer not null, next_attempt_at timestamptz not null,
        created_at timestamptz not null)`,
    ];
    for (const statement of statements) await statement.execute(db);
  },
};

/**
 * The audit trail is chained in the database, and an attestation that changes no platform's state is recorded by one
 * statement: what takes the trail's lock for five round trips would keep every other replica waiting.
 */
const inOneStatement: Migration = {
  async up(db: Database) {
    const statements = [
      // `canonical` of an entry is what its hash covers between `seq` and `previous`: audit.ts.
      sql`create function append_audit(moment timestamptz, entries jsonb) returns void language plpgsql as $$
        declare
          head audit_head;
          entry jsonb;
          chained bytea;
        begin
          select * into strict head from audit_head where id = 1 for update;
          for entry in select value from jsonb_array_elements(entries) with ordinality order by ordinality loop
            head.seq := head.seq + 1;
            chained := sha256(convert_to(
              format('[%s,%s,"%s"]', head.seq, entry->>'canonical', encode(head.hash, 'hex')), 'UTF8'));
            insert into audit (seq, at, tenant, actor, action, subject, detail, previous, hash)
              values (head.seq, moment, entry->>'tenant', entry->>'actor', entry->>'action', entry->>'subject',
                entry->'detail', head.hash, chained);
            head.hash := chained;
          end loop;
          update audit_head set seq = head.seq, hash = head.hash where id = 1;
        end $$`,
      sql`create function record_unchanged(moment timestamptz, entries jsonb, verdicts jsonb) returns boolean
        language plpgsql as $$
        begin
          perform 1 from audit_head where id = 1 for update;
          if exists (
            select 1 from jsonb_to_recordset(verdicts) as given(tenant text, platform text, state text)
              left join verdict using (tenant, platform) where verdict.state is distinct from given.state
          ) then
            return false;
          end if;
          perform append_audit(moment, entries);
          update verdict set failed = given.failed, clock = coalesce(given.clock, verdict.clock), at = given.at,
              expires_at = given.expires_at
            from jsonb_to_recordset(verdicts) as given(
              tenant text, platform text, failed jsonb, clock jsonb, at timestamptz, expires_at timestamptz)
            where verdict.tenant = given.tenant and verdict.platform = given.platform;
          return true;
        end $$`,
    ];
    for (const statement of statements) await statement.execute(db);
  },
};

const polls: Migration = {
  async up(db: Database) {
    await sql`create table poll (
      tenant text not null, platform text not null, url text not null, wrapped_token bytea,
      every_seconds integer not null, failures integer not null, last_error text, next_at timestamptz not null,
      primary key (tenant, platform))`.execute(db);
  },
};

const endorsements: Migration = {
  async up(db: Database) {
    const statements = [
      sql`create table endorser (
        tenant text not null, name text not null, keys jsonb not null, anchors jsonb not null,
        created_by text not null, created_at timestamptz not null, primary key (tenant, name))`,
      sql`create table endorsement (
        tenant text not null, id text not null, endorser text, corim bytea not null,
        created_by text not null, created_at timestamptz not null, revoked_at timestamptz, revoked_because text,
        primary key (tenant, id))`,
      sql`create table endorsement_revision (tenant text primary key, revision bigint not null)`,
    ];
    for (const statement of statements) await statement.execute(db);
  },
};

/** In the order of their names. */
export const MIGRATIONS: Readonly<Record<string, Migration>> = {
  '0001_first': first,
  '0002_continuous': continuous,
  '0003_in_one_statement': inOneStatement,
  '0004_polls': polls,
  '0005_endorsements': endorsements,
};
