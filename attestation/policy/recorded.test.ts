import { describe, expect, test } from 'vitest';
import { EVENT, EventLogWriter } from '../eventlog/format.ts';
import { SHA256 } from '../hash.ts';
import { compilePolicy } from './policy.ts';
import { modelOfLog } from './recorded.ts';

const text = (value: string) => new TextEncoder().encode(value);

describe('a boot log by itself', () => {
  const log = new EventLogWriter([SHA256.id]);
  log.append(8, EVENT.IPL, new Map([[SHA256.id, SHA256.digest(text('quiet'))]]), text('kernel_cmdline: quiet'));

  test('is a model that policies judge, with the registers that it leads to', () => {
    const [passed, failed] = compilePolicy({
      name: 'try',
      clauses: [{ expect: 'size(events) == 1' }, { expect: 'size(events) == 2', severity: 'warning' }],
    }).evaluate(modelOfLog(log.bytes()));
    expect(passed).toMatchObject({ passed: true });
    expect(failed).toMatchObject({ passed: false, severity: 'warning', detail: expect.stringContaining('1') });
  });

  test('that is none is refused', () => {
    expect(() => modelOfLog(text('nothing'))).toThrow(expect.objectContaining({ name: 'EventLogError' }));
  });
});
