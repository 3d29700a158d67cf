import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { codeIdentity, FRAME_SIZE, launchMeasurement, populatedFrames } from './measurement.ts';

const hex = (digest: Uint8Array) => Buffer.from(digest).toString('hex');
const image = Uint8Array.from({ length: 3 * FRAME_SIZE + 77 }, (_, offset) => (offset * 31) & 0xff);
const measure = (bytes: Uint8Array, gpa = 0x100000, entry = { eip: 0x100000 }, memoryPages = 1024, permission = 3) =>
  hex(launchMeasurement(populatedFrames([{ gpa, bytes }], permission), memoryPages, entry));

describe('launch measurement', () => {
  const reference = measure(image);

  test('is the same for the same memory, however it is cut into segments', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: image.length - 1 }), (cut) => {
        const segments = [
          { gpa: 0x100000 + cut, bytes: image.subarray(cut) },
          { gpa: 0x100000, bytes: image.subarray(0, cut) },
        ];
        expect(hex(launchMeasurement(populatedFrames(segments, 3), 1024, { eip: 0x100000 }))).toBe(reference);
      }),
      { numRuns: 50 },
    );
  });

  test('changes with any byte', () => {
    fc.assert(
      fc.property(fc.nat(image.length - 1), fc.integer({ min: 1, max: 255 }), (offset, change) => {
        const other = Uint8Array.from(image);
        other[offset] = (other[offset] ?? 0) ^ change;
        expect(measure(other)).not.toBe(reference);
      }),
      { numRuns: 200 },
    );
  });

  test('changes with address, entry, memory size and permission', () => {
    expect(measure(image, 0x101000)).not.toBe(reference);
    expect(measure(image, 0x100000, { eip: 0x100004 })).not.toBe(reference);
    expect(measure(image, 0x100000, { eip: 0x100000 }, 2048)).not.toBe(reference);
    expect(measure(image, 0x100000, { eip: 0x100000 }, 1024, 1)).not.toBe(reference);
  });

  test('refuses frames that are out of order, out of memory, or short', () => {
    const frame = (page: number, length = FRAME_SIZE) => ({ page, permission: 3, content: new Uint8Array(length) });
    expect(() => launchMeasurement([frame(2), frame(1)], 16, { eip: 0 })).toThrow(RangeError);
    expect(() => launchMeasurement([frame(1), frame(1)], 16, { eip: 0 })).toThrow(RangeError);
    expect(() => launchMeasurement([frame(16)], 16, { eip: 0 })).toThrow(RangeError);
    expect(() => launchMeasurement([frame(0, 4095)], 16, { eip: 0 })).toThrow(RangeError);
  });
});

test('the code identity depends on the measurement and on the manifest', () => {
  const a = new Uint8Array(32).fill(1);
  const b = new Uint8Array(32).fill(2);
  const identities = [codeIdentity(a, b), codeIdentity(b, b), codeIdentity(a, a), codeIdentity(b, a)];
  expect(new Set(identities.map(hex)).size).toBe(4);
});
