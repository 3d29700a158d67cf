import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Records, runKey } from './record.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'record-'));
  writeFileSync(join(directory, 'frame.ts'), 'if (f >= FRAMES) return E_RANGE;');
});
afterEach(() => rmSync(directory, { recursive: true }));

test('a changed, added, renamed or removed file, another solver and another question are each another key', () => {
  const key = (): string => runKey([directory], ['z3 4.8.12', 'BND']);
  const keys = [key(), runKey([directory], ['z3 4.8.13', 'BND']), runKey([directory], ['z3 4.8.12B', 'ND'])];
  writeFileSync(join(directory, 'frame.ts'), 'if (f > FRAMES) return E_RANGE;');
  keys.push(key());
  writeFileSync(join(directory, 'grant.ts'), '');
  keys.push(key());
  rmSync(join(directory, 'frame.ts'));
  keys.push(key());
  expect(new Set(keys).size).toBe(keys.length);
  expect(key()).toBe(key());
});

test('what is kept is found, under its key alone', () => {
  const records = new Records(directory);
  expect(records.find('aa')).toBeUndefined();
  records.keep('aa', '3 proved');
  expect(records.find('aa')).toBe('3 proved');
  expect(records.find('ab')).toBeUndefined();
  expect(readdirSync(join(directory, 'runs'))).toEqual(['aa']);
});
