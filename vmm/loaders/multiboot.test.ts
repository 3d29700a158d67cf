import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BOOT_INFO, loadMultiboot, MultibootError } from './multiboot.ts';

const MIB = 1024 * 1024;
const LOAD = 0x100000;

/** The smallest image: one segment that holds the Multiboot header and the entry point. */
function image(change: (view: DataView) => void = () => {}): Uint8Array {
  const bytes = new Uint8Array(0x200);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  view.setUint16(16, 2, true); // executable
  view.setUint16(18, 3, true); // x86
  view.setUint32(24, LOAD + 0x20, true); // entry
  view.setUint32(28, 52, true);
  view.setUint16(42, 32, true);
  view.setUint16(44, 1, true);
  const program = [1, 0x100, LOAD, LOAD, 0x100, 0x300, 7, 0x1000];
  program.forEach((value, i) => {
    view.setUint32(52 + 4 * i, value, true);
  });
  view.setUint32(0x100, 0x1badb002, true);
  view.setUint32(0x104, 3, true);
  view.setUint32(0x108, -(0x1badb002 + 3), true);
  bytes[0x120] = 0xf4;
  change(view);
  return bytes;
}

const code = (run: () => unknown) => {
  try {
    run();
  } catch (error) {
    if (error instanceof MultibootError) return error.code;
    throw error;
  }
  return 'loaded';
};

describe('loadMultiboot', () => {
  it('gives the segments, the boot information and the entry state', () => {
    const { segments, entry } = loadMultiboot(image(), 'mode=test', 4 * MIB);
    expect(entry).toEqual({ eip: LOAD + 0x20, eax: 0x2badb002, ebx: BOOT_INFO });
    expect(segments.map(({ gpa, bytes }) => [gpa, bytes.length])).toEqual([
      [BOOT_INFO, 4096],
      [LOAD, 0x100],
    ]);
    const info = segments[0]?.bytes ?? new Uint8Array();
    const view = new DataView(info.buffer);
    const line = view.getUint32(16, true) - BOOT_INFO;
    expect(new TextDecoder().decode(info.subarray(line, line + 10))).toBe('mode=test\0');
    expect(view.getUint32(8, true)).toBe(3 * 1024); // KiB above 1 MiB
    expect(view.getUint32(44, true)).toBe(48); // two memory map entries
  });

  it('refuses what it cannot load, each with its code', () => {
    const refusals: [string, Uint8Array][] = [
      ['MULTIBOOT_HEADER', image((view) => view.setUint32(0x108, 0, true))],
      ['MULTIBOOT_HEADER', new Uint8Array(0)],
      [
        'MULTIBOOT_HEADER',
        image((view) => {
          view.setUint32(0x104, 7, true);
          view.setUint32(0x108, -(0x1badb002 + 7), true);
        }),
      ],
      ['MULTIBOOT_ELF', image((view) => view.setUint8(4, 2))],
      ['MULTIBOOT_ELF', image((view) => view.setUint16(44, 0xffff, true))],
      ['MULTIBOOT_ELF', image((view) => view.setUint32(28, 0xfffffff0, true))],
      ['MULTIBOOT_ELF', image((view) => view.setUint32(24, 0, true))],
      ['MULTIBOOT_ELF', image((view) => view.setUint32(52 + 4, 0xffffffff, true))],
      ['MULTIBOOT_ELF', image((view) => view.setUint32(52 + 16, 0x10000, true))],
      ['MULTIBOOT_MEMORY', image((view) => view.setUint32(52 + 20, 0xfff00000, true))],
      [
        'MULTIBOOT_MEMORY',
        image((view) => {
          view.setUint32(24, BOOT_INFO - 0x80, true);
          view.setUint32(52 + 12, BOOT_INFO - 0x100, true);
        }),
      ],
    ];
    for (const [wanted, bytes] of refusals) expect(code(() => loadMultiboot(bytes, '', 4 * MIB))).toBe(wanted);
    expect(code(() => loadMultiboot(image(), 'a\nb', 4 * MIB))).toBe('MULTIBOOT_COMMAND_LINE');
    expect(code(() => loadMultiboot(image(), 'x'.repeat(4096), 4 * MIB))).toBe('MULTIBOOT_COMMAND_LINE');
  });

  it('answers any bytes with segments inside memory or a MultibootError', () => {
    const start = image();
    const mutated = fc
      .array(fc.tuple(fc.nat(start.length - 1), fc.nat(255)), { maxLength: 12 })
      .map((changes) => changes.reduce((bytes, [at, value]) => bytes.with(at, value), start));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 600 }), mutated), (bytes) => {
        const result = (() => {
          try {
            return loadMultiboot(bytes, '', MIB * 2);
          } catch (error) {
            expect(error).toBeInstanceOf(MultibootError);
            return undefined;
          }
        })();
        for (const { gpa, bytes: content } of result?.segments ?? []) {
          expect(gpa + content.length).toBeLessThanOrEqual(2 * MIB);
        }
      }),
      { numRuns: 500 },
    );
  });
});
