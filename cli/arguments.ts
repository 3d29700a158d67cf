/** Arguments that several commands take, read and refused in one way. */
import { accessSync, closeSync, constants, openSync, readSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
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

const SECONDS = { s: 1, m: 60, h: 3_600, d: 86_400 } as const;

/** A length of time, as `90s`, `10m`, `2h` or `1d`; in seconds. Throws `UsageError` `E_USAGE_DURATION`. */
export function duration(option: string, text: string): number {
  const [, digits, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  // The expression has no other units.
  if (digits !== undefined) return Number(digits) * SECONDS[unit as keyof typeof SECONDS];
  throw new UsageError('E_USAGE_DURATION', `${option} ${text} is not a length of time.`, `Example: ${option} 10m`);
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

/** A file's bytes, of which no more than `most` are read. Throws `UsageError` `E_USAGE_SIZE` for a larger one. */
export function readAtMost(file: string, most: number, wayOut: string): Buffer {
  const bytes = Buffer.alloc(most + 1);
  const fd = openSync(file, 'r');
  try {
    let size = 0;
    for (let read = -1; read !== 0 && size <= most; size += read)
      read = readSync(fd, bytes, size, most + 1 - size, null);
    if (size <= most) return bytes.subarray(0, size);
    throw new UsageError('E_USAGE_SIZE', `${file} is larger than ${most} bytes`, wayOut);
  } finally {
    closeSync(fd);
  }
}

/** A file that was named and must be there. Throws `UsageError` `E_USAGE_FILE`. */
export function existing(option: string, file: string): string {
  if (statSync(file, { throwIfNoEntry: false })?.isFile() === true) return file;
  throw new UsageError('E_USAGE_FILE', `${option} ${file} is not a file.`, 'Name one that is there.');
}

/** Where a program is, as a shell finds it. Throws `UsageError` `E_USAGE_PROGRAM`. */
export function programPath(program: string): string {
  const places = program.includes('/')
    ? [program]
    : (process.env.PATH ?? '').split(delimiter).map((directory) => join(directory, program));
  const found = places.find((place) => {
    try {
      accessSync(place, constants.X_OK);
      return statSync(place).isFile();
    } catch {
      return false;
    }
  });
  if (found !== undefined) return found;
  throw new UsageError('E_USAGE_PROGRAM', `${program} is not a program on the PATH.`, 'Give its path.');
}
