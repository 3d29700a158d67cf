/** Appraisal of evidence: the nonce is spent, the platform looked up, the evidence appraised, the result signed. */
import { createLocalJWKSet, type JWTPayload, jwtVerify } from 'jose';
import { sha256 } from '../broker/kek.ts';
import type { Challenge, Challenges } from './challenges.ts';
import { Batcher } from './database/batcher.ts';
import type { Database } from './database/open.ts';
import type { Endorsements } from './endorsements.ts';
import { VerifierError } from './errors.ts';
import type {
  AppraisalContext,
  Appraised,
  CheckResult,
  EvidenceFormat,
  ListPosition,
  OpenedEvidence,
} from './evidence-format.ts';
import type { Metrics } from './http/metrics.ts';
import { boundNonce } from './nonces.ts';
import { type Outcome, recordOutcomes } from './outcomes.ts';
import type { KnownPlatform, Platforms } from './platforms.ts';
import { EAR_TYPE, type Result, readResultClaims, resultClaims } from './results.ts';
import type { Caller } from './roles.ts';
import type { SigningKeys } from './signing-keys.ts';

/** A verdict and its signed form. */
export interface Verdict extends Result {
  readonly checks: readonly CheckResult[];
  /** EAR, a JWT. */
  readonly result: string;
  /** What it says, for other forms of it. */
  readonly claims: JWTPayload;
  /** Where the list of this machine now stands: the next evidence may go on from there. */
  readonly shown?: ListPosition | undefined;
}

/** What comes with evidence. */
export interface Submitted {
  /** A key that the evidence should bind. */
  readonly key?: Uint8Array;
  /** Where the list in the evidence goes on from, when it is not sent whole. */
  readonly since?: ListPosition;
  /** Claims that join the result. */
  readonly claims?: object;
}

export interface AttestationsOptions {
  readonly db: Database;
  readonly clock: () => Date;
  readonly keys: SigningKeys;
  readonly challenges: Challenges;
  readonly platforms: Platforms;
  readonly endorsements: Endorsements;
  readonly formats: readonly EvidenceFormat[];
  readonly issuer: string;
  readonly build: string;
  readonly resultSeconds: number;
  readonly metrics: Metrics;
}

interface Found {
  readonly format: EvidenceFormat;
  readonly opened: OpenedEvidence;
  readonly platform: KnownPlatform;
}

const NO_REFERENCE = 'none';

export class Attestations {
  readonly #options: AttestationsOptions;
  readonly #record: Batcher<Outcome, undefined>;

  constructor(options: AttestationsOptions) {
    this.#options = options;
    this.#record = new Batcher((outcomes) => recordOutcomes(options.db, options.clock(), outcomes));
  }

  /**
   * Spend a challenge of `purpose` on evidence. Throws `challenge-spent` and what `appraise` throws.
   */
  async attest(
    caller: Caller,
    purpose: string,
    challengeId: string,
    evidence: Uint8Array,
    more: Submitted = {},
  ): Promise<Verdict> {
    // The nonce is used up whatever comes of the evidence, and a spent one is refused whatever the evidence is.
    const [spent, found] = await Promise.allSettled([
      this.#options.challenges.spend(caller.tenant, purpose, challengeId),
      this.#find(caller.tenant, evidence),
    ]);
    if (spent.status === 'rejected') throw spent.reason;
    if (found.status === 'rejected') throw found.reason;
    return this.#appraise(caller, spent.value, found.value, more);
  }

  /** Appraise evidence over a challenge that was spent. Throws `evidence-malformed`, `evidence-partial`, `platform-unknown`, `-revoked`. */
  async appraise(
    caller: Caller,
    challenge: Pick<Challenge, 'nonce'>,
    evidence: Uint8Array,
    more: Submitted = {},
  ): Promise<Verdict> {
    return this.#appraise(caller, challenge, await this.#find(caller.tenant, evidence), more);
  }

  /** The evidence, opened, and whose it says it is. */
  async #find(tenant: string, evidence: Uint8Array): Promise<Found> {
    const { format, opened } = this.#open(evidence);
    return { format, opened, platform: await this.#options.platforms.byAttestationKey(tenant, opened.akName) };
  }

  async #appraise(
    caller: Caller,
    challenge: Pick<Challenge, 'nonce'>,
    { format, opened, platform }: Found,
    more: Submitted,
  ): Promise<Verdict> {
    const { clock, keys, endorsements, issuer, build, resultSeconds } = this.#options;
    const now = clock();
    const before = shownBy(format, platform.clock);
    if (more.since !== undefined) mustContinue(before, more.since);
    const inQuote = more.key !== undefined && format.keyBinding === 'nonce' ? more.key : undefined;
    const nonce = inQuote === undefined ? challenge.nonce : boundNonce(inQuote, challenge.nonce);
    const { endorsementRevision: revision } = platform;
    const provisioned = revision === 0 ? undefined : await endorsements.current(caller.tenant, revision);
    const appraised = appraiseClosed(opened, { nonce, now, ...(provisioned && { provisioned }) }, platform);
    const result: Result = {
      tenant: caller.tenant,
      platform: platform.id,
      state: appraised.state,
      failed: appraised.checks.filter((check) => !check.passed).map((check) => check.name),
      nonce: challenge.nonce,
      boundKey: inQuote === undefined ? undefined : sha256(inQuote).toString('hex'),
      partition: appraised.partition,
      device: appraised.device,
    };
    const reference = platform.reference;
    const policyId = reference === undefined ? NO_REFERENCE : `${reference.name}/${reference.version}`;
    const ear = resultClaims(result, appraised, { issuer, build, issuedAt: now, seconds: resultSeconds, policyId });
    const claims = { ...ear, ...more.claims };
    // A verdict is on record before anyone can act on it.
    const [signed] = await Promise.all([
      keys.sign(claims, EAR_TYPE),
      this.#record.add({ caller, result, clock: appraised.clock, now, seconds: resultSeconds }),
    ]);
    this.#options.metrics.attestations.inc({ state: result.state });
    for (const check of result.failed) this.#options.metrics.failedChecks.inc({ check });
    const shown = shownBy(format, appraised.clock) ?? before;
    return { ...result, checks: appraised.checks, result: signed, claims, shown };
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

function shownBy(format: EvidenceFormat, clock: object | null | undefined): ListPosition | undefined {
  return clock ? format.listPosition?.(clock) : undefined;
}

/** A list that starts where no list ended is a mistake of the sender, and no reason for a verdict. */
function mustContinue(before: ListPosition | undefined, since: ListPosition): void {
  if (before?.resetCount === since.resetCount && before.entries === since.entries) return;
  throw new VerifierError('evidence-partial', 'The list does not start where the last good one ended.', {
    remedy: 'Send the whole list, over a new nonce.',
  });
}

function refusedResult(cause?: unknown): VerifierError {
  return new VerifierError('result-refused', 'The result is not signed by this verifier, or it has expired.', {
    failed: ['result'],
    remedy: 'Attest again and send the new result.',
    cause,
  });
}

/** An appraisal that throws has found nothing good: it is contraindicated, under a name of its own. */
function appraiseClosed(
  opened: OpenedEvidence,
  asked: Pick<AppraisalContext, 'nonce' | 'now' | 'provisioned'>,
  platform: KnownPlatform,
): Appraised {
  try {
    return opened.appraise({
      ...asked,
      akPublic: platform.akPublic,
      ekCertificate: platform.ekCertificate,
      reference: platform.reference?.body,
      clock: platform.clock,
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
