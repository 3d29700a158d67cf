import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { duration, existing, programPath, readAtMost } from './arguments.ts';

describe('arguments that name files', () => {
  let directory: string;
  let file: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'nexus-arguments-'));
    file = join(directory, 'ten');
    writeFileSync(file, '0123456789');
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  test('are read up to a size, however long they are', () => {
    expect(readAtMost(file, 10, '').toString()).toBe('0123456789');
    expect(() => readAtMost(file, 9, 'take a shorter one')).toThrow(
      expect.objectContaining({ code: 'E_USAGE_SIZE', remedy: 'take a shorter one' }),
    );
    expect(() => readAtMost('/dev/zero', 1000, '')).toThrow(expect.objectContaining({ code: 'E_USAGE_SIZE' }));
  });

  test('must be there where they are named', () => {
    expect(existing('--log', file)).toBe(file);
    for (const absent of [join(directory, 'none'), directory]) {
      expect(() => existing('--log', absent)).toThrow(expect.objectContaining({ code: 'E_USAGE_FILE' }));
    }
  });

  test('programs are found as a shell finds them', () => {
    expect(programPath('node')).toMatch(/\/node$/);
    expect(programPath(process.execPath)).toBe(process.execPath);
    for (const absent of ['no-such-program-here', file, directory]) {
      expect(() => programPath(absent)).toThrow(expect.objectContaining({ code: 'E_USAGE_PROGRAM' }));
    }
  });
});

test('lengths of time have a unit', () => {
  expect(['90s', '10m', '2h', '1d'].map((text) => duration('--age', text))).toEqual([90, 600, 7_200, 86_400]);
  for (const wrong of ['', '10', 'm', '-1s', '1.5h', '9999999s', '10 m']) {
    expect(() => duration('--age', wrong)).toThrow(expect.objectContaining({ code: 'E_USAGE_DURATION' }));
  }
});
