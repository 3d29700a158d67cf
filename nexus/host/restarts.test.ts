import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Restarts } from './restarts.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

it('waits twice as long after each crash, up to a minute, and forgets when a partition has come up', () => {
  const started: string[] = [];
  const restarts = new Restarts((name) => started.push(name), Date.now);
  const waits: number[] = [];
  for (let round = 0; round < 12; round++) {
    const wait = restarts.crashed('web');
    waits.push(wait);
    vi.advanceTimersByTime(wait - 1);
    expect(started).toHaveLength(round);
    vi.advanceTimersByTime(1);
    expect(started).toHaveLength(round + 1);
  }
  expect(waits.slice(0, 4)).toEqual([100, 200, 400, 800]);
  expect(waits.at(-1)).toBe(60_000);
  expect(restarts.crashed('other')).toBe(100);
  vi.advanceTimersByTime(60_000);
  vi.advanceTimersByTime(60_000);
  expect(restarts.crashed('web')).toBe(100);
});

it('starts nothing after it was closed', () => {
  const started: string[] = [];
  const restarts = new Restarts((name) => started.push(name), Date.now);
  restarts.crashed('web');
  restarts.close();
  vi.runAllTimers();
  expect(started).toEqual([]);
});
