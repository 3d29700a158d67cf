import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BLOCK_SIZE, SealedVolume, type VolumeFile } from './volume.ts';

const KEY = { key: new Uint8Array(32).fill(5) };
const SECTOR = 512;
const filled = (value: number) => new Uint8Array(BLOCK_SIZE).fill(value);

function counterAt(start = 0n) {
  let value = start;
  return { read: async () => value, increment: async () => ++value };
}

class PowerLoss extends Error {}

/** A disk whose power fails after some writes, in the middle of one: only some of its sectors arrive. */
class MemoryFile implements VolumeFile {
  bytes: Buffer = Buffer.alloc(0);
  writesLeft = Number.POSITIVE_INFINITY;
  sectorsOfLast = 0;

  async read(into: Uint8Array, offset: number, length: number, position: number): Promise<void> {
    into.set(this.bytes.subarray(position, position + length), offset);
  }
  async write(from: Uint8Array, offset: number, length: number, position: number): Promise<void> {
    const torn = this.writesLeft-- <= 0;
    const arrives = torn ? Math.min(length, this.sectorsOfLast * SECTOR) : length;
    this.bytes.set(from.subarray(offset, offset + arrives), position);
    if (torn) throw new PowerLoss();
  }
  async truncate(size: number): Promise<void> {
    this.bytes = Buffer.alloc(size);
  }
  async datasync(): Promise<void> {}
  async stat() {
    return { size: this.bytes.length };
  }
  async close(): Promise<void> {}

  /** What is on the disk, as another machine would find it. */
  copy(): MemoryFile {
    const copy = new MemoryFile();
    copy.bytes = Buffer.from(this.bytes);
    return copy;
  }
}

async function fresh(blocks = 5) {
  const file = new MemoryFile();
  const counter = counterAt();
  await SealedVolume.format(file, blocks, KEY, counter);
  return { file, counter, volume: await SealedVolume.over(file, KEY, counter) };
}

describe('sealed volume', () => {
  it('reads zeros, then what was written, then the same after opening again', async () => {
    const { file, counter, volume } = await fresh();
    expect(await volume.read(3)).toEqual(filled(0));
    await volume.write(3, filled(7));
    await volume.write(3, filled(8));
    await volume.write(0, filled(1));
    expect(await volume.read(3)).toEqual(filled(8));
    const again = await SealedVolume.over(file, KEY, counter);
    expect(await again.read(3)).toEqual(filled(8));
    expect(await again.read(0)).toEqual(filled(1));
    expect(await again.read(1)).toEqual(filled(0));
  });

  it('works on a real file, which shows nothing of its content', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'nexus-volume-'));
    try {
      const path = join(directory, 'volume');
      const counter = counterAt();
      const volume = await SealedVolume.create(path, 4, KEY, counter);
      await volume.write(2, filled(0x42));
      await volume.close();
      const again = await SealedVolume.open(path, KEY, counter);
      expect(await again.read(2)).toEqual(filled(0x42));
      await again.close();
      await expect(SealedVolume.create(path, 4, KEY, counter)).rejects.toThrow(/EEXIST/);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('power lost at any write, whole or torn, leaves each block old or new, and the volume opens', async () => {
    const plan = fc.record({
      writes: fc.array(fc.tuple(fc.nat(4), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 12 }),
      lossAfter: fc.nat(26),
      sectors: fc.nat(9),
      lossAtOpen: fc.nat(3),
    });
    await fc.assert(
      fc.asyncProperty(plan, async ({ writes, lossAfter, sectors, lossAtOpen }) => {
        const { file, counter, volume } = await fresh();
        file.writesLeft = lossAfter;
        file.sectorsOfLast = sectors;
        const old = new Map<number, number>();
        let current: [number, number] | undefined;
        try {
          for (const [block, value] of writes) {
            current = [block, value];
            await volume.write(block, filled(value));
            old.set(block, value);
            current = undefined;
          }
        } catch (error) {
          expect(error).toBeInstanceOf(PowerLoss);
        }
        // The power may fail again while the volume is opened.
        const second = file.copy();
        second.writesLeft = lossAtOpen;
        second.sectorsOfLast = sectors;
        await SealedVolume.over(second, KEY, counter).catch((error) => expect(error).toBeInstanceOf(PowerLoss));
        const opened = await SealedVolume.over(second.copy(), KEY, counter);
        for (let block = 0; block < 5; block++) {
          const value = (await opened.read(block))[0] ?? -1;
          const allowed = [old.get(block) ?? 0, ...(current?.[0] === block ? [current[1]] : [])];
          expect(allowed).toContain(value);
          expect(Buffer.compare(await opened.read(block), filled(value))).toBe(0);
          // And it goes on working from there.
          await opened.write(block, filled(99));
          expect(Buffer.compare(await opened.read(block), filled(99))).toBe(0);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('an older copy of the file is refused once the volume was opened since', async () => {
    const { file, counter, volume } = await fresh();
    await volume.write(0, filled(1));
    const old = file.copy();
    const again = await SealedVolume.over(file, KEY, counter);
    await again.write(0, filled(2));
    await expect(SealedVolume.over(old.copy(), KEY, counterAt(3n))).rejects.toMatchObject({ code: 'E_VOLUME_STALE' });
    await SealedVolume.over(file, KEY, counter);
    await expect(SealedVolume.over(old, KEY, counter)).rejects.toMatchObject({ code: 'E_VOLUME_STALE' });
  });

  it('an older block put back, a changed byte, another key or size: refused by name', async () => {
    const { file, counter, volume } = await fresh();
    await volume.write(1, filled(1));
    const before = file.copy();
    await volume.write(1, filled(2));
    await volume.write(1, filled(3));
    const refused = (bad: VolumeFile, key = KEY) => expect(SealedVolume.over(bad, key, counter)).rejects;

    const replayed = file.copy();
    const blocks = 2 * 4096;
    before.bytes.copy(replayed.bytes, blocks, blocks);
    await refused(replayed).toMatchObject({ code: 'E_VOLUME_CORRUPT' });
    await refused(file.copy(), { key: new Uint8Array(32) }).toMatchObject({ code: 'E_VOLUME_CORRUPT' });
    const short = file.copy();
    short.bytes = short.bytes.subarray(0, -1);
    await refused(short).toMatchObject({ code: 'E_VOLUME_CORRUPT' });
    const foreign = new MemoryFile();
    foreign.bytes = Buffer.alloc(100_000);
    await refused(foreign).toMatchObject({ code: 'E_VOLUME_FORMAT' });
  });

  it('a changed byte is refused, or leaves what a power loss during the last write would', async () => {
    const { file, counter, volume } = await fresh(1);
    await volume.write(0, filled(9));
    await fc.assert(
      fc.asyncProperty(fc.nat(file.bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        const bad = file.copy();
        bad.bytes[at] = (bad.bytes[at] ?? 0) ^ flip;
        const now = await counter.read();
        try {
          const opened = await SealedVolume.over(bad, KEY, counterAt(now));
          // In nothing that counts, or in the newest superblock, which is then as if it had never been written.
          expect([filled(9), filled(0)]).toContainEqual(await opened.read(0));
        } catch (error) {
          expect(error).toMatchObject({ code: expect.stringMatching(/^E_VOLUME_/) });
        }
      }),
    );
  });

  it('writes several blocks in a row all or not at all, whenever the power fails', async () => {
    const two = (value: number) => new Uint8Array(2 * BLOCK_SIZE).fill(value);
    for (let writes = 0; writes <= 4; writes++) {
      const { file, counter, volume } = await fresh();
      await volume.write(1, two(1));
      file.writesLeft = writes;
      await volume.write(1, two(2)).catch((error) => expect(error).toBeInstanceOf(PowerLoss));
      const after = await SealedVolume.over(file.copy(), KEY, counter);
      const [first, second] = [await after.read(1), await after.read(2)];
      expect(first[0]).toBe(writes < 3 ? 1 : 2);
      expect(second).toEqual(first);
    }
  });

  it('writes no more after a write that failed, and reads what was there before it', async () => {
    const { file, volume } = await fresh();
    await volume.write(2, filled(1));
    file.writesLeft = 1;
    await expect(volume.write(2, filled(2))).rejects.toBeInstanceOf(PowerLoss);
    file.writesLeft = Number.POSITIVE_INFINITY;
    await expect(volume.write(2, filled(3))).rejects.toMatchObject({ code: 'E_VOLUME_FAILED' });
    expect(await volume.read(2)).toEqual(filled(1));
  });

  it('shows no difference of contents to who puts a file back within a session and lets it go on', async () => {
    const { file, counter, volume } = await fresh();
    const before = file.copy();
    await volume.write(0, filled(1));
    await volume.write(0, filled(2));
    const again = await SealedVolume.over(before, KEY, counter);
    // The numbers of the writes come again. Under one key, equal key stream would show 1 ^ 3 and 2 ^ 4.
    await again.write(0, filled(3));
    await again.write(0, filled(4));
    const cipherTexts = (of: MemoryFile) =>
      [0, 1].map((slot) => of.bytes.subarray(8192 + 4160 * slot + 64).subarray(0, 64));
    for (const a of cipherTexts(file)) {
      for (const b of cipherTexts(before)) {
        const difference = a.map((byte, i) => byte ^ (b[i] ?? 0));
        expect(new Set(difference).size).toBeGreaterThan(8);
      }
    }
  });

  it('refuses blocks that it does not have', async () => {
    const { volume } = await fresh();
    await expect(volume.read(5)).rejects.toMatchObject({ code: 'E_VOLUME_RANGE' });
    expect(() => volume.write(-1, filled(0))).toThrow(expect.objectContaining({ code: 'E_VOLUME_RANGE' }));
  });
});
