/** When to try again what others must answer. */
import { randomInt } from 'node:crypto';

const FIRST_DELAY_MS = 1_000;
const MAX_DELAY_MS = 15 * 60_000;

/** Exponential back-off with full jitter, at most a quarter of an hour: milliseconds after `failures` in a row. */
export function delayAfter(failures: number): number {
  return randomInt(FIRST_DELAY_MS, Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(failures, 20)) + 1);
}

/** An interval with a tenth of it random, so that a fleet does not come all at once: milliseconds. */
export function jittered(seconds: number): number {
  return randomInt(seconds * 900, seconds * 1100 + 1);
}
