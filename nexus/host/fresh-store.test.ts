import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryStore, type RecordChange } from '../../tpm/state/store.ts';
import { FreshStore } from './fresh-store.ts';

const bytes = (...values: number[]) => Uint8Array.from(values);
const put = (key: string, value: number): RecordChange[] => [{ key, value: bytes(value) }];

function counterAt(start = 0n) {
  let value = start;
  return { read: async () => value, increment: async () => ++value };
}

/** A disk: what was committed, to be copied and put back. */
class Disk extends MemoryStore {
  copy(): Disk {
    const copy = new Disk();
    void copy.commit([...this.keys('')].map((key) => ({ key, value: this.get(key) }))); // in memory: done at once
    return copy;
  }
}

describe('a store that tells an older copy of itself', () => {
  it('is a store: what was acknowledged is there after opening again, and its version is not among the records', async () => {
    const [disk, counter] = [new Disk(), counterAt()];
    const store = await FreshStore.over(disk, counter, 'it');
    await Promise.all([
      store.commit(put('a', 1)),
      store.commit(put('b', 2)),
      store.commit([{ key: 'a', value: undefined }]),
    ]);
    const again = await FreshStore.over(disk, counter, 'it');
    expect([...again.keys('')]).toEqual(['b']);
    expect(again.get('b')).toEqual(bytes(2));
  });

  it('refuses every copy from before an acknowledged change, and an empty one', async () => {
    const [disk, counter] = [new Disk(), counterAt()];
    const store = await FreshStore.over(disk, counter, 'it');
    const opened = disk.copy();
    await store.commit(put('a', 1));
    const first = disk.copy();
    await store.commit(put('a', 2));
    const now = disk.copy();
    for (const old of [opened, first, new Disk()]) {
      await expect(FreshStore.over(old, counter, 'it')).rejects.toMatchObject({ code: 'E_STATE_ROLLED_BACK' });
    }
    await FreshStore.over(now, counter, 'it');
    // Opening was a change, too.
    await expect(FreshStore.over(disk.copy(), counter, 'it')).rejects.toMatchObject({ code: 'E_STATE_ROLLED_BACK' });
  });

  it('opens after a stop between write and counter; the copy of that moment dies with the next change', async () => {
    const [other, count] = [new Disk(), counterAt()];
    let fails = false;
    const failing = {
      read: count.read,
      increment: async () => (fails ? Promise.reject(new Error('power')) : count.increment()),
    };
    const running = await FreshStore.over(other, failing, 'it');
    await running.commit(put('a', 1));
    const acknowledged = other.copy();
    fails = true;
    await expect(running.commit(put('a', 2))).rejects.toThrow('power');
    await expect(running.commit(put('a', 3))).rejects.toThrow('power'); // and for ever
    const ahead = other.copy();
    await FreshStore.over(ahead.copy(), counterAt(await count.read()), 'it'); // by itself, it opens
    // The root starts from the acknowledged copy; what it holds back is of no use after the next change.
    const next = await FreshStore.over(acknowledged, count, 'it');
    await next.commit(put('a', 4));
    await expect(FreshStore.over(ahead.copy(), count, 'it')).rejects.toMatchObject({ code: 'E_STATE_ROLLED_BACK' });
    expect(next.get('a')).toEqual(bytes(4));
  });

  it('whatever is changed and put back, nothing acknowledged is ever taken back', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('change', 'copy', 'reopen', 'restore'), { maxLength: 20 }),
        async (acts) => {
          const counter = counterAt();
          let disk = new Disk();
          let copy = disk.copy();
          let store = await FreshStore.over(disk, counter, 'it');
          let value = 0;
          for (const act of acts) {
            if (act === 'change') await store.commit(put('a', ++value));
            else if (act === 'copy') copy = disk.copy();
            else {
              const from = act === 'restore' ? copy.copy() : disk.copy();
              const opened = await FreshStore.over(from, counter, 'it').catch(() => undefined);
              if (opened === undefined) continue;
              [disk, store] = [from, opened];
              expect(store.get('a')?.[0] ?? 0).toBe(value);
            }
          }
        },
      ),
    );
  });
});
