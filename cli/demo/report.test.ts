import { expect, it } from 'vitest';
import { reportText } from './report.ts';

it('a stage that failed has its way out under the table, and no table of attempts that were not made', () => {
  const error = { code: 'E_STATE_CORRUPT', message: 'the store is cut short', remedy: 'restore the directory' };
  const stage = { name: 'platform', ok: false, seconds: 1, summary: '', evidence: {}, error };
  const text = reportText({ ok: false, seconds: 1, stages: [stage] });
  expect(text).toContain('E_STATE_CORRUPT: the store is cut short');
  expect(text).toContain('\nway out: restore the directory\n');
  expect(text).not.toContain('ATTEMPT');
});
