/** Deterministic CBOR: what is written is read, and nothing that would be written otherwise. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromHex, sameBytes, toHex } from './bytes.ts';
import { CborError, type CborValue, decodeCbor, encodeCbor, Tag } from './cbor.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 40 });
const key = fc.oneof(fc.integer({ min: -(2 ** 31), max: 2 ** 32 - 1 }), text);
const { value } = fc.letrec<{ value: CborValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5 },
    fc.constantFrom(null, true, false),
    fc.integer({ min: -(2 ** 31), max: 2 ** 32 - 1 }),
    fc.bigInt({ min: 2n ** 32n, max: 2n ** 64n - 1n }),
    fc.double({ noInteger: true, noNaN: true, noDefaultInfinity: true }),
    text,
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie('value'), { maxLength: 30 }),
    fc.array(fc.tuple(key, tie('value')), { maxLength: 30 }).map((entries) => new Map(entries)),
    tie('value').map((inner) => new Tag(inner, 18)),
  ),
}));

describe('deterministic CBOR', () => {
  test('property: what is written is read, and written again the same', () => {
    fc.assert(
      fc.property(value, (one) => {
        const bytes = encodeCbor(one);
        expect(toHex(encodeCbor(decodeCbor(bytes) as CborValue))).toBe(toHex(bytes));
      }),
    );
  });

  test('property: of bytes that were changed, only those are read that would be written so', () => {
    fc.assert(
      fc.property(value, fc.nat(), fc.integer({ min: 1, max: 255 }), (one, at, change) => {
        const bytes = encodeCbor(one);
        const place = at % bytes.length;
        bytes[place] = (bytes[place] ?? 0) ^ change;
        let read: unknown;
        try {
          read = decodeCbor(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(CborError);
          return;
        }
        expect(sameBytes(encodeCbor(read as CborValue), bytes)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  // RFC 8949, appendix A and section 4.2.1; the rest is what cbor-x reads and the form forbids.
  test.each([
    ['nothing', ''],
    ['a number in a longer form than it needs', '1801'],
    ['a number of eight octets that four hold', '1b00000000ffffffff'],
    ['an indefinite length of bytes', '5f4101ff'],
    ['an indefinite array', '9f01ff'],
    ['an indefinite map', 'bf0101ff'],
    ['keys out of order', 'a202010102'],
    ['a key twice', 'a201010102'],
    ['a text that is not UTF-8', '61ff'],
    ['undefined', 'f7'],
    ['a simple value', 'f0'],
    ['a float of two octets', 'f93e00'],
    ['a float that is an integer', 'fb3ff0000000000000'],
    ['a reserved form', '1c'],
    ['a key that is an array', 'a18001'],
    ['an array longer than the input', '9a7fffffff'],
    ['a byte string longer than the input', '5a7fffffff00'],
    ['a second item', '0101'],
    ['a hundred levels', `${'81'.repeat(100)}01`],
  ])('refuses %s', (_, hex) => {
    expect(() => decodeCbor(fromHex(hex))).toThrow(CborError);
  });

  test('has byte strings as views of the input, and large integers as bigints', () => {
    const bytes = fromHex('83430102031bffffffffffffffff3b0000000100000000');
    const [view, large, negative] = decodeCbor(bytes) as [Uint8Array, bigint, bigint];
    expect(view.buffer).toBe(bytes.buffer);
    expect([large, negative]).toEqual([2n ** 64n - 1n, -(2n ** 32n) - 1n]);
  });
});
