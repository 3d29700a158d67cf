/** Appraisal of evidence: the nonce is spent, the platform looked up, the evidence appraised, the result signed. */
import { createLocalJWKSet, jwtVerify } from 'jose';
import { sha256 } from '../broker/kek.ts';
import { appendAudit } from './audit.ts';
import type { Challenge, Challenges } from './challenges.ts';
import { recordChanges } from './changes.ts';
import { Batcher } from './database/batcher.ts';
import type { Database } from './database/open.ts';
import { VerifierError } from './errors.ts';
import type { Appraised, CheckResult, EvidenceFormat, OpenedEvidence } from './evidence-format.ts';
import type { Metrics } from './http/metrics.ts';
import type { KnownPlatform, Platforms } from './platforms.ts';
import { EAR_TYPE, type Result, readResultClaims, resultClaims } from './results.ts';
import type { SigningKeys } from './signing-keys.ts';
import type { Caller } from './tokens.ts';

/** A verdict and its signed form. */
export interface Verdict extends Result {
  readonly checks: readonly CheckResult[];
  /** EAR, a JWT. */
  readonly result: string;
}

export interface AttestationsOptions {
  readonly db: Database;
  readonly clock: () => Date;
  readonly keys: SigningKeys;
  readonly challenges: Challenges;
  readonly platforms: Platforms;
  readonly formats: readonly EvidenceFormat[];
  readonly issuer: string;
  readonly build: string;
  readonly resultSeconds: number;
  readonly metrics: Metrics;
}

interface Outcome {
  readonly caller: Caller;
  readonly result: Result;
  readonly clock: object | undefined;
  readonly now: Date;
}

const NO_REFERENCE = 'none';

export class Attestations {
  readonly #options: AttestationsOptions;
  readonly #record: Batcher<Outcome, undefined>;

  constructor(options: AttestationsOptions) {
    this.#options = options;
    this.#record = new Batcher((outcomes) => recordOutcomes(options, outcomes));
  }

  /**
   * Spend a challenge of `purpose` on evidence; `key` is one that the evidence should bind. Throws `challenge-spent`
   * and what `appraise` throws.
   */
  async attest(
    caller: Caller,
    purpose: string,
    challengeId: string,
    evidence: Uint8Array,
    key?: Uint8Array,
  ): Promise<Verdict> {
    // First the nonce: whatever follows, it is used up.
    const challenge = await this.#options.challenges.spend(caller.tenant, purpose, challengeId);
    return this.appraise(caller, challenge, evidence, key === undefined ? {} : { key });
  }

  /** Appraise evidence over a challenge that was spent; `claims` join the result. Throws `evidence-malformed`, `platform-unknown`, `-revoked`. */
  async appraise(
    caller: Caller,
    challenge: Pick<Challenge, 'nonce'>,
    evidence: Uint8Array,
    more: { readonly key?: Uint8Array; readonly claims?: object } = {},
  ): Promise<Verdict> {
    const { clock, keys, platforms, issuer, build, resultSeconds } = this.#options;
    const { format, opened } = this.#open(evidence);
    const platform = await platforms.byAttestationKey(caller.tenant, opened.akName);
    const now = clock();
    const inQuote = more.key !== undefined && format.keyBinding === 'nonce' ? more.key : undefined;
    const nonce = inQuote === undefined ? challenge.nonce : boundNonce(inQuote, challenge.nonce);
    const appraised = appraiseClosed(opened, nonce, platform, now);
    const result: Result = {
      tenant: caller.tenant,
      platform: platform.id,
      state: appraised.state,
      failed: appraised.checks.filter((check) => !check.passed).map((check) => check.name),
      nonce: challenge.nonce,
      boundKey: inQuote === undefined ? undefined : sha256(inQuote).toString('hex'),
      partition: appraised.partition,
    };
    const reference = platform.reference;
    const policyId = reference === undefined ? NO_REFERENCE : `${reference.name}/${reference.version}`;
    const claims = resultClaims(result, appraised, { issuer, build, issuedAt: now, seconds: resultSeconds, policyId });
    // A verdict is on record before anyone can act on it.
    const [signed] = await Promise.all([
      keys.sign({ ...claims, ...more.claims }, EAR_TYPE),
      this.#record.add({ caller, result, clock: appraised.clock, now }),
    ]);
    this.#options.metrics.attestations.inc({ state: result.state });
    for (const check of result.failed) this.#options.metrics.failedChecks.inc({ check });
    return { ...result, checks: appraised.checks, result: signed };
  }

  /** A result of this verifier, read back. Throws `result-refused` unless it is ours, of this tenant and in date. */
  async readResult(tenant: string, jwt: string): Promise<Result> {
    const { keys, clock, issuer } = this.#options;
    const options = { issuer, currentDate: clock(), algorithms: ['ES256'], typ: EAR_TYPE };
    const verified = await jwtVerify(jwt, createLocalJWKSet(await keys.jwks()), options).catch((cause: unknown) => {
      throw refusedResult(cause);
    });
    const result = readResultClaims(verified.payload);
    if (result.tenant !== tenant) throw refusedResult();
    return result;
  }

  /** Open as the first format that recognises it. */
  #open(evidence: Uint8Array): { format: EvidenceFormat; opened: OpenedEvidence } {
    const causes: unknown[] = [];
    for (const format of this.#options.formats) {
      try {
        return { format, opened: format.open(evidence) };
      } catch (cause) {
        causes.push(cause);
      }
    }
    const reasons = causes.map((cause) => (cause instanceof Error ? cause.message : 'it does not parse'));
    const types = this.#options.formats.map((format) => format.mediaType).join(' or ');
    throw new VerifierError('evidence-malformed', `The evidence is malformed: ${reasons.join('; ')}`, {
      failed: ['evidence-format'],
      remedy: `Send ${types}, as docs/evidence.md describes it.`,
      cause: causes[0],
    });
  }
}

const BOUND_NONCE = 'nexus-tcb release key v1';

/** What a quote is made over to bind a key besides the nonce: SHA-256(label || SHA-256(key) || nonce). */
export function boundNonce(key: Uint8Array, nonce: Uint8Array): Uint8Array {
  return Uint8Array.from(sha256(Buffer.from(BOUND_NONCE), sha256(key), nonce));
}

function refusedResult(cause?: unknown): VerifierError {
  return new VerifierError('result-refused', 'The result is not signed by this verifier, or it has expired.', {
    failed: ['result'],
    remedy: 'Attest again and send the new result.',
    cause,
  });
}

/** An appraisal that throws has found nothing good: it is contraindicated, under a name of its own. */
function appraiseClosed(opened: OpenedEvidence, nonce: Uint8Array, platform: KnownPlatform, now: Date): Appraised {
  try {
    return opened.appraise({
      nonce,
      akPublic: platform.akPublic,
      ekCertificate: platform.ekCertificate,
      reference: platform.reference?.body,
      clock: platform.clock,
      now,
    });
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    return {
      state: 'contraindicated',
      checks: [{ name: 'appraisal-completed', passed: false, detail }],
      modules: { platform: { status: 'contraindicated', vector: {} } },
    };
  }
}

/** One transaction for a batch: audit entries, and the latest verdict of each platform. */
async function recordOutcomes(options: AttestationsOptions, outcomes: readonly Outcome[]): Promise<undefined[]> {
  const { db, clock, resultSeconds } = options;
  const latest = new Map(outcomes.map((outcome) => [`${outcome.result.tenant}\0${outcome.result.platform}`, outcome]));
  await db.transaction().execute(async (tx) => {
    await appendAudit(
      tx,
      clock(),
      outcomes.map(({ caller, result }) => ({
        tenant: result.tenant,
        actor: caller.actor,
        action: 'attestation.appraise',
        subject: result.platform,
        detail: { state: result.state, failed: result.failed },
      })),
    );
    await recordChanges(
      tx,
      clock(),
      outcomes.map(({ result }) => result),
    );
    await tx
      .insertInto('verdict')
      .values(
        [...latest.values()].map(({ result, clock: tpmClock, now }) => ({
          tenant: result.tenant,
          platform: result.platform,
          state: result.state,
          failed: JSON.stringify(result.failed),
          clock: tpmClock === undefined ? null : JSON.stringify(tpmClock),
          at: now,
          expires_at: new Date(now.getTime() + resultSeconds * 1000),
          changed_at: now,
        })),
      )
      .onConflict((conflict) =>
        conflict.columns(['tenant', 'platform']).doUpdateSet((eb) => ({
          state: eb.ref('excluded.state'),
          failed: eb.ref('excluded.failed'),
          // A refused quote's clock is not believed.
          clock: eb.fn.coalesce('excluded.clock', 'verdict.clock'),
          at: eb.ref('excluded.at'),
          expires_at: eb.ref('excluded.expires_at'),
          changed_at: eb
            .case()
            .when('verdict.state', '=', eb.ref('excluded.state'))
            .then(eb.ref('verdict.changed_at'))
            .else(eb.ref('excluded.changed_at'))
            .end(),
        })),
      )
      .execute();
  });
  return outcomes.map(() => undefined);
}
