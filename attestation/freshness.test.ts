import { expect, test } from 'vitest';
import { type ClockRecord, freshnessByClock, parseClockRecord } from './freshness.ts';

const AT = Date.parse('2026-01-01T00:00:00Z');
const record: ClockRecord = {
  ak: 'aa',
  clock: '1000000',
  resetCount: 4,
  restartCount: 1,
  at: new Date(AT).toISOString(),
};

/** A quote whose clock has advanced by `advance` seconds, looked at `later` seconds after the record. */
const age = (advance: number, later: number, change: Partial<ClockRecord> = {}) => {
  const { at: _, ...quoted } = { ...record, clock: String(1_000_000 + advance * 1000), ...change };
  return freshnessByClock(quoted, record, 600, new Date(AT + later * 1000));
};

test('a quote is as old as its clock is behind, at the most; a clock may run 15 % fast', () => {
  expect(age(60, 60)).toEqual({ state: 'affirming', detail: 'at most 8 s old by the clock of its TPM' });
  expect(age(60, 3600)).toMatchObject({ state: 'expired' });
  // 600 s wanted: what a clock at its fastest would hide is counted.
  expect(age(1000, 1469).state).toBe('affirming');
  expect(age(1000, 1470).state).toBe('expired');
});

test('a quote from before the record, or by a clock ahead of time, is against the machine', () => {
  expect(age(-1, 60)).toEqual({ state: 'contraindicated', detail: 'older than the evidence that was recorded' });
  expect(age(60, 60, { resetCount: 3 }).state).toBe('contraindicated');
  expect(age(60, 60, { restartCount: 0 }).state).toBe('contraindicated');
  expect(age(3600, 60).detail).toContain('it was set');
});

test('a clock that stood still meanwhile, or another one, tells nothing', () => {
  expect(age(60, 60, { resetCount: 5, restartCount: 0 }).state).toBe('unverified');
  expect(age(60, 60, { restartCount: 2 }).state).toBe('unverified');
  expect(age(60, 60, { ak: 'bb' }).state).toBe('unverified');
});

test('a record is read back, and nothing else', () => {
  expect(parseClockRecord(JSON.parse(JSON.stringify(record)))).toEqual(record);
  for (const wrong of [null, {}, { ...record, clock: -1 }, { ...record, at: 'yesterday' }, { ...record, more: 1 }]) {
    expect(() => parseClockRecord(wrong)).toThrow(TypeError);
  }
});
