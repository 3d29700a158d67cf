import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { V86_INTERRUPTS, V86_POWER } from '../acpi/machine.ts';
import { LOG_AREA } from '../firmware/direct.ts';
import { placeLinux } from './boot.ts';
import { bootParams } from './boot-params.ts';
import { cpio, type TreeEntry } from './cpio.ts';
import { neededLibraries, parseElf } from './elf.ts';
import { parseKernel } from './kernel.ts';
import { unpackLz4 } from './lz4.ts';
import { authenticodeRanges, measuredEvents } from './measure.ts';

const text = (value: string) => new TextEncoder().encode(value);
const file = (value: string, executable = false): TreeEntry => ({ kind: 'file', bytes: text(value), executable });

describe('cpio', () => {
  it('gives equal bytes for equal trees, whatever the order of insertion', () => {
    const entries: [string, TreeEntry][] = [
      ['b/x', file('1', true)],
      ['a', { kind: 'link', target: 'b/x' }],
      ['b/y', file('2')],
    ];
    expect(cpio(new Map(entries))).toEqual(cpio(new Map(entries.toReversed())));
  });

  it('refuses paths that leave the root', () => {
    for (const path of ['/etc/passwd', '../x', 'a/../../x', '', 'a//b']) {
      expect(() => cpio(new Map([[path, file('')]]))).toThrow(RangeError);
    }
  });

  it('reads back as written: names, modes and contents (newc format)', () => {
    const name = fc.string({ minLength: 1, maxLength: 12, unit: fc.constantFrom(...'abcdef0') });
    const tree = fc.dictionary(name, fc.uint8Array({ maxLength: 50 }));
    fc.assert(
      fc.property(tree, (files) => {
        const archive = cpio(
          new Map(Object.entries(files).map(([path, bytes]) => [path, { kind: 'file', bytes, executable: false }])),
        );
        expect(readCpio(archive)).toEqual(
          Object.entries(files)
            .map(([path, bytes]) => ({ path, mode: 0o100644, bytes: Uint8Array.from(bytes) }))
            .sort((a, b) => (a.path < b.path ? -1 : 1)),
        );
      }),
    );
  });
});

function readCpio(archive: Uint8Array): { path: string; mode: number; bytes: Uint8Array }[] {
  const found: { path: string; mode: number; bytes: Uint8Array }[] = [];
  const align = (at: number) => Math.ceil(at / 4) * 4;
  for (let at = 0; ; ) {
    const field = (i: number) =>
      Number.parseInt(Buffer.from(archive.subarray(at + 6 + 8 * i, at + 14 + 8 * i)).toString(), 16);
    expect(Buffer.from(archive.subarray(at, at + 6)).toString()).toBe('070701');
    const [mode, size, nameSize] = [field(1), field(6), field(11)];
    const path = Buffer.from(archive.subarray(at + 110, at + 110 + nameSize - 1)).toString();
    if (path === 'TRAILER!!!') return found;
    const content = align(at + 110 + nameSize);
    found.push({ path, mode, bytes: archive.slice(content, content + size) });
    at = align(content + size);
  }
}

/** A 32-bit ELF with one loadable segment at 16 MiB. */
function tinyElf(): Uint8Array {
  const bytes = new Uint8Array(0x100);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x7f454c46);
  bytes.set([1, 1, 1], 4);
  view.setUint32(24, 0x1000000, true);
  view.setUint32(28, 52, true);
  view.setUint16(42, 32, true);
  view.setUint16(44, 1, true);
  [1, 0x80, 0xc1000000, 0x1000000, 0x80, 0x2000].forEach((value, i) => {
    view.setUint32(52 + 4 * i, value, true);
  });
  return bytes;
}

/** A bzImage around it, packed with gzip so that the test needs no tool of the distribution but gzip. */
function tinyKernel(version = 0x20f): Uint8Array {
  const packed = gzipSync(tinyElf());
  const bytes = new Uint8Array(0x1400 + packed.length + 4);
  const view = new DataView(bytes.buffer);
  bytes[0x1f1] = 4;
  bytes[0x201] = 0x6a;
  view.setUint32(0x202, 0x53726448, true);
  view.setUint16(0x206, version, true);
  view.setUint32(0x248, 0x1400 - 5 * 512, true);
  view.setUint32(0x24c, packed.length + 4, true);
  bytes.set(packed, 0x1400);
  return bytes;
}

describe('lz4', () => {
  const frame = (...blocks: number[][]) =>
    Uint8Array.from([0x02, 0x21, 0x4c, 0x18, ...blocks.flatMap((block) => [block.length, 0, 0, 0, ...block])]);

  it('copies literals and overlapping matches (format document, "abc" repeated)', () => {
    // token 3 literals + match of 4+2, distance 3, then 5 literals
    const packed = frame([0x32, 0x61, 0x62, 0x63, 3, 0, 0x50, 0x31, 0x32, 0x33, 0x34, 0x35]);
    expect(Buffer.from(unpackLz4(packed, 14)).toString()).toBe('abcabcabc12345');
  });

  it('refuses any other bytes with a typed error, and never writes past the size announced', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(100), (bytes, size) => {
        try {
          expect(unpackLz4(frame([...bytes]), size).length).toBe(size);
        } catch (error) {
          expect(error).toMatchObject({ code: 'LINUX_KERNEL' });
        }
      }),
    );
  });
});

describe('kernel', () => {
  it('finds the kernel proper inside a bzImage', async () => {
    const kernel = await parseKernel(tinyKernel());
    expect(kernel.elf.entry).toBe(0x1000000);
    expect(kernel.segments).toEqual([{ gpa: 0x1000000, bytes: tinyElf().subarray(0x80), size: 0x2000 }]);
    expect(kernel.end).toBe(0x1002000);
  });

  it('refuses what is no kernel, or too old to be given an RSDP', async () => {
    for (const image of [new Uint8Array(0), new Uint8Array(0x2000), tinyKernel(0x20d)]) {
      await expect(parseKernel(image)).rejects.toMatchObject({ code: 'LINUX_KERNEL' });
    }
  });

  it('refuses any damaged ELF with a typed error', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(0x80), fc.nat(255)), { maxLength: 8 }), (damage) => {
        const elf = tinyElf();
        for (const [at, value] of damage) elf[at] = value;
        for (const parse of [parseElf, neededLibraries]) {
          try {
            parse(elf);
          } catch (error) {
            expect(error).toMatchObject({ code: 'LINUX_KERNEL' });
          }
        }
      }),
    );
  });
});

describe('direct boot', async () => {
  const kernel = await parseKernel(tinyKernel());
  const boot = {
    kernel,
    initrd: text('initramfs'),
    commandLine: 'console=ttyS0',
    memoryBytes: 32 << 20,
    machine: { power: V86_POWER, interrupts: V86_INTERRUPTS },
    tpm: 'tis' as const,
  };

  it('places nothing on top of anything else', () => {
    const { segments } = placeLinux({ ...boot, eventLog: new Uint8Array(LOG_AREA.size), seed: new Uint8Array(32) });
    const sorted = segments.toSorted((a, b) => a.gpa - b.gpa);
    sorted.reduce((end, { gpa, bytes }) => {
      expect(gpa).toBeGreaterThanOrEqual(end);
      return gpa + bytes.length;
    }, 0);
    expect((sorted.at(-1)?.gpa ?? 0) + (sorted.at(-1)?.bytes.length ?? 0)).toBeLessThanOrEqual(boot.memoryBytes);
  });

  it('says how much memory is wanted when there is too little, and refuses a hostile command line', () => {
    expect(() => placeLinux({ ...boot, memoryBytes: 16 << 20 })).toThrow(/at the least/);
    expect(() => placeLinux({ ...boot, commandLine: 'a\0b' })).toThrow(/NUL/);
    expect(() => placeLinux({ ...boot, commandLine: 'a'.repeat(2048) })).toThrow(/2047/);
  });

  it('tells the kernel its memory, initramfs, command line and RSDP (zero page)', () => {
    const page = bootParams({
      kernel,
      commandLine: 0x20000,
      initrd: { start: 0x1800000, size: 9 },
      rsdp: 0xe0400,
      setupData: 0x11000,
      memory: [{ start: 0x100000, size: 0x1000, type: 'ram' }],
    });
    const view = new DataView(page.buffer);
    expect(view.getUint32(0x70, true)).toBe(0xe0400);
    expect(view.getUint32(0x228, true)).toBe(0x20000);
    expect([view.getUint32(0x218, true), view.getUint32(0x21c, true)]).toEqual([0x1800000, 9]);
    expect(view.getUint32(0x250, true)).toBe(0x11000);
    expect(page[0x1e8]).toBe(1);
    expect(view.getUint32(0x2d0, true)).toBe(0x100000);
  });

  it('a changed kernel, initramfs, command line or table changes exactly its own PCR', () => {
    const digests = (changed: Partial<typeof boot>) =>
      measuredEvents({ ...boot, ...changed }, 'test 1').map(({ pcr, measured }) => {
        const hash = createHash('sha256');
        for (const piece of measured) hash.update(piece);
        return `${pcr}:${hash.digest('hex')}`;
      });
    const changedPcrs = (changed: Partial<typeof boot>) => {
      const before = digests({});
      return digests(changed).flatMap((digest, i) => (digest === before[i] ? [] : [Number(digest.split(':')[0])]));
    };
    const image = kernel.image.slice();
    image[0x1300] = 1;
    expect(changedPcrs({})).toEqual([]);
    expect(changedPcrs({ kernel: { ...kernel, image } })).toEqual([4]);
    expect(changedPcrs({ initrd: text('Initramfs') })).toEqual([9]);
    expect(changedPcrs({ commandLine: 'console=ttyS1' })).toEqual([9]);
    expect(changedPcrs({ machine: { ...boot.machine, power: { ...V86_POWER, sciInterrupt: 10 } } })).toEqual([0]);
  });

  it('leaves checksum and certificates out of a PE digest, and covers what is no PE whole', () => {
    const pe = new Uint8Array(0x400).fill(7);
    const view = new DataView(pe.buffer);
    view.setUint16(0, 0x5a4d, true);
    view.setUint32(0x3c, 0x80, true);
    view.setUint32(0x80, 0x4550, true);
    view.setUint16(0x98, 0x20b, true);
    view.setUint32(0x98 + 144, 0x300, true);
    view.setUint32(0x98 + 148, 0x100, true);
    const covered = (image: Uint8Array) => Buffer.concat(authenticodeRanges(image));
    const changed = pe.slice();
    for (const at of [0x98 + 64, 0x98 + 67, 0x98 + 144 + 5, 0x300, 0x3ff]) changed[at] = (changed[at] ?? 0) ^ 1;
    new DataView(changed.buffer).setUint32(0x98 + 148, 0x100, true);
    expect(covered(changed)).toEqual(covered(pe));
    expect(covered(pe).length).toBe(0x400 - 4 - 8 - 0x100);
    expect(covered(text('no PE'))).toEqual(Buffer.from('no PE'));
  });
});
