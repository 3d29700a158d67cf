import { describe, expect, it } from 'vitest';
import { Counters } from './counters.ts';
import type { HostStore } from './store.ts';

const KEY = new Uint8Array(32).fill(1);
const OWNER = new Uint8Array(32).fill(2);

/** A disk and a TPM that may be cut off after any number of writes. */
class Ground {
  record: Uint8Array | undefined;
  known = 6n;
  writesLeft = Number.POSITIVE_INFINITY;

  readonly store = {
    counters: () => this.record,
    putCounters: async (record: Uint8Array) => {
      this.spend();
      this.record = record;
    },
  } as unknown as HostStore; // Counters touch these two only
  readonly freshness = {
    read: async () => this.known,
    increment: async () => {
      this.spend();
      this.known += 1n;
    },
  };

  open = () => Counters.open(this.store, KEY, this.freshness);

  static async fresh(): Promise<Ground> {
    const ground = new Ground();
    ground.record = await Counters.first(KEY, ground.freshness);
    return ground;
  }

  private spend(): void {
    if (this.writesLeft-- <= 0) throw new Error('power is gone');
  }
}

describe('counters of partitions', () => {
  it('begin at 0, count apart, and are kept', async () => {
    const ground = await Ground.fresh();
    const counters = await ground.open();
    expect(counters.value(OWNER, 0)).toBe(0n);
    expect(await Promise.all([counters.increment(OWNER, 0), counters.increment(OWNER, 0)])).toEqual([1n, 2n]);
    await counters.increment(OWNER, 7);
    const again = await ground.open();
    expect([again.value(OWNER, 0), again.value(OWNER, 7), again.value(KEY, 0)]).toEqual([2n, 1n, 0n]);
  });

  it('keep what was acknowledged when power goes at any write, in use or at opening', async () => {
    for (let writes = 0; writes < 12; writes++) {
      const ground = await Ground.fresh();
      ground.writesLeft = writes;
      let acknowledged = 0n;
      for (let life = 0; life < 3; life++) {
        await ground
          .open()
          .then(async (counters) => {
            for (let i = 0; i < 2; i++) acknowledged = await counters.increment(OWNER, 0);
          })
          .catch((error) => expect(error.message).toBe('power is gone'));
        ground.writesLeft = Number.POSITIVE_INFINITY;
        const value = (await ground.open()).value(OWNER, 0);
        expect(value).toBeGreaterThanOrEqual(acknowledged);
        expect(value).toBeLessThanOrEqual(acknowledged + 1n);
        acknowledged = value;
        ground.writesLeft = writes;
      }
    }
  });

  it('refuse an older record', async () => {
    const ground = await Ground.fresh();
    const counters = await ground.open();
    const old = ground.record;
    await counters.increment(OWNER, 0);
    ground.record = old;
    await expect(ground.open()).rejects.toMatchObject({ code: 'E_STATE_ROLLED_BACK' });
  });

  it('refuse the unacknowledged record of a stopped host once another was acknowledged', async () => {
    const ground = await Ground.fresh();
    const counters = await ground.open();
    const before = ground.record;
    ground.writesLeft = 1; // the record is written, the TPM not told
    await expect(counters.increment(OWNER, 0)).rejects.toThrow('power is gone');
    const held = ground.record;
    ground.writesLeft = Number.POSITIVE_INFINITY;
    await expect(counters.increment(OWNER, 0)).rejects.toMatchObject({ code: 'E_PLATFORM' });

    ground.record = before;
    const second = await ground.open();
    await second.increment(OWNER, 5);
    ground.record = held;
    await expect(ground.open()).rejects.toMatchObject({ code: 'E_STATE_ROLLED_BACK' });
  });

  it('refuse a record that is missing, cut short, changed, or of another nexus', async () => {
    const ground = await Ground.fresh();
    await (await ground.open()).increment(OWNER, 0);
    const whole = ground.record ?? new Uint8Array();
    const changed = Uint8Array.from(whole);
    changed[changed.length - 33] = 9;
    const foreign = await Counters.first(OWNER, ground.freshness);
    for (const record of [undefined, new Uint8Array(), whole.subarray(0, 40), whole.subarray(44), changed, foreign]) {
      ground.record = record;
      await expect(ground.open()).rejects.toMatchObject({ code: 'E_STATE_CORRUPT' });
    }
  });
});
