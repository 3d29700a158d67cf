/** Batches: nobody waits alone, a busy replica flushes a few milliseconds apart, and a failure is of its batch only. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Batcher } from './batcher.ts';

describe('a batcher', () => {
  beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'setImmediate', 'performance'] }));
  afterEach(() => vi.useRealTimers());

  const recording = () => {
    const batches: (readonly number[])[] = [];
    const batcher = new Batcher<number, number>(async (items) => {
      batches.push(items);
      if (items.includes(-1)) throw new Error('refused');
      return items.map((item) => item * 2);
    });
    return { batches, batcher };
  };

  it('flushes a lone request at once, and those of one turn together', async () => {
    const { batches, batcher } = recording();
    const answers = Promise.all([batcher.add(1), batcher.add(2)]);
    await vi.advanceTimersByTimeAsync(0);
    expect(await answers).toEqual([2, 4]);
    expect(batches).toEqual([[1, 2]]);
  });

  it('gathers what comes soon after a flush, for a few milliseconds', async () => {
    const { batches, batcher } = recording();
    void batcher.add(1);
    await vi.advanceTimersByTimeAsync(1);
    void batcher.add(2);
    await vi.advanceTimersByTimeAsync(1);
    void batcher.add(3);
    expect(batches).toEqual([[1]]);
    await vi.advanceTimersByTimeAsync(20);
    expect(batches).toEqual([[1], [2, 3]]);
  });

  it('fails each request of a batch that failed, and goes on with the next', async () => {
    const { batcher } = recording();
    const failed = Promise.allSettled([batcher.add(1), batcher.add(-1)]);
    await vi.advanceTimersByTimeAsync(0);
    expect((await failed).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    const next = batcher.add(4);
    await vi.advanceTimersByTimeAsync(20);
    expect(await next).toBe(8);
  });
});
