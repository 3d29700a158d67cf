/** The verifier as a service: one database, one HTTP listener. Any number of them may share a PostgreSQL. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { FastifyBaseLogger } from 'fastify';
import { nexusEvidence } from '../appraise.ts';
import { type KekSource, type KeyEncryptionKey, loadKek } from '../broker/kek.ts';
import { Leases } from '../broker/leases.ts';
import { Releases } from '../broker/releases.ts';
import { Resources } from '../broker/resources.ts';
import { machineEvidence } from '../machine/appraise.ts';
import { type AskAgent, askAgentOver, type PollTls } from './ask-agent.ts';
import { Attestations } from './attestations.ts';
import { Challenges } from './challenges.ts';
import { expireVerdicts } from './changes.ts';
import { type Database, type DatabaseLocation, openDatabase } from './database/open.ts';
import { DeviceEnrolment } from './device-enrolment.ts';
import { Manufacturers } from './ek-certificates.ts';
import { Endorsements } from './endorsements.ts';
import { Endorsers } from './endorsers.ts';
import { Enrolment } from './enrolment.ts';
import { VerifierError } from './errors.ts';
import type { EvidenceFormat } from './evidence-format.ts';
import { buildApp, type TlsOptions } from './http/app.ts';
import { Authentication, type CertificateRule, DEFAULT_TENANT, type OidcProvider } from './http/authentication.ts';
import { createMetrics } from './http/metrics.ts';
import type { RateLimit } from './http/rate-limit.ts';
import { type Job, Jobs } from './jobs.ts';
import { Platforms } from './platforms.ts';
import { Polls } from './polls.ts';
import { References } from './references.ts';
import type { Role } from './roles.ts';
import type { Service } from './service.ts';
import { Sessions } from './sessions.ts';
import { SigningKeys } from './signing-keys.ts';
import { createToken } from './tokens.ts';
import { VERSION } from './version.ts';
import { Webhooks } from './webhooks.ts';

export interface VerifierOptions {
  readonly database: DatabaseLocation;
  /** CAs of TPM manufacturers: PEM bundles or DER certificates. */
  readonly manufacturers: readonly (string | Uint8Array)[];
  /** Revocation lists of those CAs, DER. */
  readonly revocationLists?: readonly Uint8Array[];
  /** Default for a directory: a file `kek` in it. A database by URL must be told. */
  readonly keyEncryptionKey?: KekSource;
  /** `iss` of every result. Default `nexus-tcb`. */
  readonly issuer?: string;
  /** Roles of a caller without credentials. Default: attester and enroller (whose proof is the EK certificate). */
  readonly anonymousRoles?: readonly Role[];
  /** Life of a nonce and of a pending enrolment. Default 300. */
  readonly challengeSeconds?: number;
  /** Life of a result. Default 300. */
  readonly resultSeconds?: number;
  /** Default 16 MiB. */
  readonly bodyLimit?: number;
  /** Per client address. Default 200 a second, 400 at once. */
  readonly rateLimit?: RateLimit | false;
  /** Addresses and CIDR ranges of proxies whose `x-forwarded-for` names the client to the rate limit. Default: none. */
  readonly trustedProxies?: readonly string[];
  readonly tls?: TlsOptions;
  /** Callers by client certificate (needs `tls.clientCa`). */
  readonly certificates?: readonly CertificateRule[];
  /** Identity providers whose tokens are accepted. */
  readonly oidc?: readonly OidcProvider[];
  /** Run jobs (expiry, webhooks, cleaning) while listening. Default true. */
  readonly jobs?: boolean;
  /** Default: the evidence of nexus hosts and of any machine with a TPM 2.0, docs/evidence.md. */
  readonly formats?: readonly EvidenceFormat[];
  /** How the verifier shows itself to the agents that it polls. */
  readonly pollTls?: PollTls;
  /** Default: over HTTP(S), with `pollTls`. */
  readonly askAgent?: AskAgent;
  readonly clock?: () => Date;
  readonly logger?: FastifyBaseLogger | false;
}

export interface Verifier {
  /** Start to serve; port 0 takes a free one. Returns the base URL. */
  listen(address?: { readonly host?: string; readonly port?: number }): Promise<string>;
  /** Make an API token in the default tenant; this is its only copy. */
  createToken(name: string, roles: readonly Role[]): Promise<string>;
  /** Finish open requests, then close the database. */
  close(): Promise<void>;
  readonly service: Service;
}

const DEFAULT_SECONDS = 300;
const DEFAULT_BODY_LIMIT = 16 * 2 ** 20;
const DEFAULT_RATE_LIMIT: RateLimit = { perSecond: 200, burst: 400 };
const SALT_BYTES = 16;

function kekSource(options: VerifierOptions): KekSource {
  if (options.keyEncryptionKey !== undefined) return options.keyEncryptionKey;
  if ('directory' in options.database) return { file: join(options.database.directory, 'kek') };
  if ('memory' in options.database) return { unseal: async () => randomBytes(32) };
  throw new VerifierError('kek-wrong', 'A verifier on PostgreSQL needs a key-encryption key.', {
    remedy: 'Start with --kek FILE or a passphrase; every replica uses the same.',
  });
}

/** Load the key and compare its fingerprint with the database's; the first replica records it. */
async function openKek(db: Database, source: KekSource): Promise<KeyEncryptionKey> {
  const fresh = { salt: randomBytes(SALT_BYTES).toString('hex') };
  await remember(db, 'kek-salt', fresh);
  const { salt } = (await recall(db, 'kek-salt')) as typeof fresh;
  const kek = await loadKek(source, Buffer.from(salt, 'hex'));
  await remember(db, 'kek-fingerprint', { fingerprint: kek.fingerprint });
  const recorded = (await recall(db, 'kek-fingerprint')) as { fingerprint: string };
  if (recorded.fingerprint !== kek.fingerprint) {
    throw new VerifierError('kek-wrong', 'The key-encryption key does not belong to this database.', {
      remedy: 'Start with the key file, passphrase or TPM that the database was created with.',
    });
  }
  return kek;
}

const CLEANING_SECONDS = 60;
const EXPIRY_SECONDS = 5;

/** What is done at intervals, by whichever replica comes first. */
function jobsOf({ db, clock, challenges, sessions, webhooks, polls }: Service): Job[] {
  return [
    { name: 'deliver-webhooks', everySeconds: 1, run: () => webhooks.deliver() },
    { name: 'poll-agents', everySeconds: 1, run: () => polls.run() },
    { name: 'expire-verdicts', everySeconds: EXPIRY_SECONDS, run: () => expireVerdicts(db, clock()) },
    {
      name: 'clean',
      everySeconds: CLEANING_SECONDS,
      async run() {
        await challenges.purge();
        await sessions.purge();
      },
    },
  ];
}

/** Reference values are good if one of the formats takes them; what all say otherwise is the error. */
function parseReference(formats: readonly EvidenceFormat[], body: unknown): unknown {
  const reasons: string[] = [];
  for (const format of formats) {
    try {
      return format.parseReference(body);
    } catch (error) {
      reasons.push(`${format.mediaType}: ${error instanceof Error ? error.message : 'malformed'}`);
    }
  }
  throw new TypeError(reasons.join('; '));
}

async function remember(db: Database, name: string, value: object): Promise<void> {
  await db
    .insertInto('setting')
    .values({ name, value: JSON.stringify(value) })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

async function recall(db: Database, name: string): Promise<object> {
  return (await db.selectFrom('setting').select('value').where('name', '=', name).executeTakeFirstOrThrow()).value;
}

/**
 * Open the database, load the keys, build the service; nothing listens yet.
 * Throws `VerifierError`: `database-unavailable`, `database-newer`, `kek-wrong`, `ek-malformed` (a CA does not parse).
 */
export async function createVerifier(options: VerifierOptions): Promise<Verifier> {
  const clock = options.clock ?? (() => new Date());
  const challengeSeconds = options.challengeSeconds ?? DEFAULT_SECONDS;
  const resultSeconds = options.resultSeconds ?? DEFAULT_SECONDS;
  const manufacturers = new Manufacturers(options.manufacturers, options.revocationLists);
  const formats = options.formats ?? [nexusEvidence, machineEvidence];
  const source = kekSource(options);
  const db = await openDatabase(options.database);
  try {
    const kek = await openKek(db, source);
    const keys = new SigningKeys(db, kek, clock, resultSeconds);
    const metrics = createMetrics();
    const challenges = new Challenges(db, clock, challengeSeconds);
    const platforms = new Platforms(db, clock);
    const endorsements = new Endorsements(db, clock);
    const attestations = new Attestations({
      db,
      clock,
      keys,
      challenges,
      platforms,
      endorsements,
      formats,
      issuer: options.issuer ?? 'nexus-tcb',
      build: `nexus-tcb ${VERSION}`,
      resultSeconds,
      metrics,
    });
    const resources = new Resources(db, kek, clock);
    const webhooks = new Webhooks(db, kek, clock);
    let draining = false;
    const service: Service = {
      db,
      clock,
      keys,
      challenges,
      sessions: new Sessions(db, clock, challengeSeconds),
      mediaTypes: formats.map((format) => format.mediaType),
      platforms,
      attestations,
      resources,
      enrolment: new Enrolment(db, clock, manufacturers, challengeSeconds),
      deviceEnrolment: new DeviceEnrolment(db, clock, manufacturers, challenges),
      references: new References(db, clock, (body) => parseReference(formats, body)),
      endorsers: new Endorsers(db, clock),
      endorsements,
      leases: new Leases(db, clock),
      releases: new Releases(db, clock, resources, attestations),
      webhooks,
      polls: new Polls({ db, kek, clock, attestations, ask: options.askAgent ?? askAgentOver(options.pollTls) }),
      metrics,
      get draining() {
        return draining;
      },
    };
    const app = await buildApp(service, {
      logger: options.logger ?? false,
      bodyLimit: options.bodyLimit ?? DEFAULT_BODY_LIMIT,
      rateLimit: options.rateLimit ?? DEFAULT_RATE_LIMIT,
      trustedProxies: options.trustedProxies ?? [],
      tls: options.tls,
      authentication: new Authentication({
        db,
        clock,
        anonymousRoles: options.anonymousRoles ?? ['attester', 'enroller'],
        oidc: options.oidc ?? [],
        certificates: options.certificates ?? [],
      }),
    });
    const jobs = new Jobs(db, jobsOf(service), (name, error) =>
      app.log.error({ err: error, job: name }, 'a job failed'),
    );
    let working = false;
    return {
      service,
      async listen({ host = '127.0.0.1', port = 0 } = {}) {
        if (options.jobs !== false) {
          await jobs.start();
          working = true;
        }
        return app.listen({ host, port });
      },
      createToken: (name, roles) => createToken(db, clock(), 'operator', { tenant: DEFAULT_TENANT, name, roles }),
      async close() {
        draining = true;
        await app.close();
        if (working) await jobs.stop();
        await db.destroy();
      },
    };
  } catch (error) {
    await db.destroy();
    throw error;
  }
}
