import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { renewed } from './tpm-tables.ts';

test('the tables of docs/tpm.md are those of the declarations (node scripts/tool.mjs scripts/tpm-tables.ts)', () => {
  const page = readFileSync('docs/tpm.md', 'utf8');
  expect(page).toBe(renewed(page));
});
