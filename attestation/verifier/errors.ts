/** Every refusal of the verifier and the broker: a code, what happened, the way out. Served as RFC 9457 problems. */

/** Code of a refusal and the HTTP status it is served with. */
export const REFUSALS = {
  'request-malformed': 400,
  'evidence-malformed': 400,
  'reference-malformed': 400,
  'endorsement-malformed': 400,
  'endorser-malformed': 400,
  'policy-malformed': 400,
  'key-malformed': 400,
  'ek-malformed': 400,
  'ak-malformed': 400,
  'token-missing': 401,
  'token-refused': 401,
  'role-missing': 403,
  'ek-untrusted': 403,
  'ek-mismatch': 403,
  'endorsement-untrusted': 403,
  'iak-untrusted': 403,
  'ak-unsuitable': 403,
  'activation-refused': 403,
  'possession-refused': 403,
  'platform-revoked': 403,
  'result-refused': 403,
  'release-refused': 403,
  'platform-unknown': 404,
  'enrolment-unknown': 404,
  'resource-unknown': 404,
  'reference-unknown': 404,
  'endorsement-unknown': 404,
  'endorser-unknown': 404,
  'token-unknown': 404,
  'lease-unknown': 404,
  'session-unknown': 404,
  'not-found': 404,
  'challenge-spent': 409,
  'lease-ended': 409,
  'evidence-partial': 409,
  'platform-taken': 409,
  'resource-spent': 409,
  'endorsement-revoked': 409,
  'endorsement-limit': 409,
  'payload-too-large': 413,
  'media-type-unsupported': 415,
  'rate-limited': 429,
  internal: 500,
  'database-unavailable': 503,
  'database-newer': 503,
  'kek-wrong': 503,
} as const;

export type RefusalCode = keyof typeof REFUSALS;

export interface RefusalDetail {
  readonly remedy?: string;
  /** Names of the checks that failed, as `appraise` names them. */
  readonly failed?: readonly string[];
  readonly cause?: unknown;
}

export class VerifierError extends Error {
  override readonly name = 'VerifierError';
  readonly code: RefusalCode;
  readonly status: number;
  /** The way out; empty where there is none. */
  readonly remedy: string;
  readonly failed: readonly string[];

  constructor(code: RefusalCode, message: string, detail: RefusalDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.code = code;
    this.status = REFUSALS[code];
    this.remedy = detail.remedy ?? '';
    this.failed = detail.failed ?? [];
  }
}

/** Body of `application/problem+json` (RFC 9457) with our three extensions: code, failed, remedy. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: RefusalCode;
  readonly failed?: readonly string[];
  readonly remedy?: string;
}

/** The problem document of a refusal; what is not ours becomes `internal` and says nothing of its insides. */
export function problem(error: unknown): Problem {
  const known =
    error instanceof VerifierError
      ? error
      : new VerifierError('internal', 'The verifier failed; the log has the cause.');
  return {
    type: `urn:nexus-tcb:problem:${known.code}`,
    title: known.code.replaceAll('-', ' '),
    status: known.status,
    detail: known.message,
    code: known.code,
    ...(known.failed.length > 0 && { failed: known.failed }),
    ...(known.remedy !== '' && { remedy: known.remedy }),
  };
}
