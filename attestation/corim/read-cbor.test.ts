import { Tag } from 'cbor-x';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readCbor } from './read-cbor.ts';

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

test('any well-formed encoding is read: no counts, long forms, small bignums (RFC 8949, appendix A)', () => {
  expect(readCbor(hex('9f 01 82 02 03 9f 04 05 ff ff'))).toEqual([1, [2, 3], [4, 5]]);
  expect(readCbor(hex('bf 61 61 01 61 62 9f 02 03 ff ff'))).toEqual(
    new Map<string, unknown>([
      ['a', 1],
      ['b', [2, 3]],
    ]),
  );
  expect(readCbor(hex('1a 00 00 00 05'))).toBe(5);
  expect(readCbor(hex('c2 49 010000000000000000'))).toBe(18446744073709551616n);
  expect(readCbor(hex('d9 01f5 01'))).toEqual(new Tag(1, 501));
});

test('what would cost more than it weighs is refused before it is computed', () => {
  const million = new Uint8Array(2 ** 20).fill(0xff);
  // A bignum of a mebibyte, in one piece and in chunks.
  expect(() => readCbor(Buffer.concat([hex('c2 5a 00100000'), million]))).toThrow(RangeError);
  expect(() => readCbor(Buffer.concat([hex('c2 5f 5a 00100000'), million, hex('ff')]))).toThrow(RangeError);
  // Shared values inside of one another, each of which would be read twice.
  const shared = Buffer.concat([...Array.from({ length: 30 }, () => hex('d8 1c 82')), hex('d8 1d 00 00')]);
  expect(() => readCbor(shared)).toThrow('a tag that has no place here');
  for (const tag of ['c4 82 01 02', 'd8 1b 81 01', 'd9 0102 81 01'])
    expect(() => readCbor(hex(tag))).toThrow(RangeError);
});

test.each([
  ['nothing', ''],
  ['a count that nothing follows', '9b ff ff ff ff ff ff ff ff'],
  ['a string longer than the input', '5b 7f ff ff ff ff ff ff ff'],
  ['a break by itself', 'ff'],
  ['a string in chunks', '5f 42 0102 43 030405 ff'],
  ['no end', '9f 01'],
  ['a reserved form', '1c'],
  ['more than one item', '01 01'],
])('%s is refused', (_name, bytes) => {
  expect(() => readCbor(hex(bytes))).toThrow(RangeError);
});

test('property: any bytes are read or refused with a RangeError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        readCbor(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
      }
    }),
    { numRuns: 2_000 },
  );
});
