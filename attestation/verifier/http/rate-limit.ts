/** A token bucket per caller, in this replica's memory: cheap protection, not accounting. */
import { VerifierError } from '../errors.ts';

export interface RateLimit {
  /** Sustained requests per second and caller. */
  readonly perSecond: number;
  /** Requests that may come at once. */
  readonly burst: number;
}

interface Bucket {
  tokens: number;
  at: number;
}

/** Callers remembered at once; beyond it the longest idle are forgotten. */
const MAX_CALLERS = 10_000;

export class RateLimiter {
  readonly #limit: RateLimit;
  readonly #clock: () => Date;
  // A Map keeps insertion order: re-inserting on use makes its first key the longest idle.
  readonly #buckets = new Map<string, Bucket>();

  constructor(limit: RateLimit, clock: () => Date) {
    this.#limit = limit;
    this.#clock = clock;
  }

  /** Count one request. Throws `rate-limited` when the caller's bucket is empty. */
  take(caller: string): void {
    const now = this.#clock().getTime();
    const { perSecond, burst } = this.#limit;
    const bucket = this.#buckets.get(caller) ?? { tokens: burst, at: now };
    // A clock that was set back refills nothing, and takes nothing away.
    const elapsed = Math.max(0, now - bucket.at) / 1000;
    bucket.tokens = Math.min(burst, bucket.tokens + elapsed * perSecond);
    bucket.at = now;
    this.#buckets.delete(caller);
    this.#buckets.set(caller, bucket);
    if (this.#buckets.size > MAX_CALLERS) {
      for (const idle of this.#buckets.keys()) {
        this.#buckets.delete(idle);
        break;
      }
    }
    if (bucket.tokens < 1) {
      throw new VerifierError('rate-limited', `More than ${perSecond} requests a second.`, {
        remedy: `Wait ${Math.ceil((1 - bucket.tokens) / perSecond)} s and try again.`,
      });
    }
    bucket.tokens -= 1;
  }
}
