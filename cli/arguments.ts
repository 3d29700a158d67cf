/** Arguments that several commands take, read and refused in one way. */
import { UsageError } from './errors.ts';

/** For an option that may be repeated. */
export const collect = (value: string, previous: readonly string[]): string[] => [...previous, value];

/** A whole number from `least` to `most`. Throws `UsageError` `E_USAGE_NUMBER`. */
export function wholeNumber(option: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new UsageError(
    'E_USAGE_NUMBER',
    `${option} ${text} is not a whole number from ${least} to ${most}.`,
    'Write it in digits.',
  );
}

/** A TCP port. Throws `UsageError` `E_USAGE_PORT`. */
export function port(option: string, text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
  throw new UsageError(
    'E_USAGE_PORT',
    `${option} ${text} is not a TCP port.`,
    'Give a number from 1 to 65535, or 0 for a free one.',
  );
}

/** An HTTP base URL. Throws `UsageError` `E_USAGE_URL`. */
export function httpUrl(option: string, text: string): string {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text;
  throw new UsageError(
    'E_USAGE_URL',
    `${option} ${text} is not an HTTP URL.`,
    `Example: ${option} http://127.0.0.1:8080`,
  );
}
