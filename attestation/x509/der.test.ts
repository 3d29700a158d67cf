import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { signedStructure, withoutPadding } from './der.ts';

const tlv = (tag: number, ...content: number[][]): number[] => [tag, content.flat().length, ...content.flat()];
const algorithm = tlv(0x30, tlv(0x06, [0x2a, 0x86, 0x48]));
const signed = tlv(0x30, tlv(0x02, [1]), algorithm, tlv(0x04, [1, 2, 3]));
const signature = tlv(0x03, [0, 9, 9, 9]);
const good = Uint8Array.from(tlv(0x30, signed, algorithm, signature));
const of = (...parts: number[][]): Uint8Array => Uint8Array.from(tlv(0x30, ...parts));

describe('a signed structure', () => {
  test('is read without what pads it', () => {
    expect(signedStructure(Uint8Array.of(...good, 0, 0xff))).toEqual(good);
    expect(withoutPadding(Uint8Array.of(...good, 0, 0xff))).toEqual(good);
  });

  test.each([
    ['bits that do not fill an octet', of(signed, algorithm, tlv(0x03, [1, 9, 9, 8]))],
    ['another algorithm outside', of(signed, tlv(0x30, tlv(0x06, [0x2a, 0x86, 0x49])), signature)],
    ['a length that leaves octets', of(signed, [0x30, 3, ...algorithm.slice(2)], signature)],
    ['a fourth member', of(signed, algorithm, signature, tlv(0x05))],
    ['a length in more octets than it needs', Uint8Array.of(0x30, 0x81, good.length - 2, ...good.subarray(2))],
    ['an indefinite length', Uint8Array.of(0x30, 0x80, ...good.subarray(2), 0, 0)],
    ['its end missing', good.subarray(0, -1)],
    ['nothing', new Uint8Array()],
  ])('with %s is refused', (_what, bytes) => {
    expect(() => signedStructure(bytes)).toThrow(RangeError);
  });

  test('has no octet outside of what is signed that could be another, but those of the signature itself', () => {
    const outside = 2 + signed.length;
    const value = good.length - 3;
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        fc.pre((at < 2 || at >= outside) && at < value);
        const bad = good.slice();
        bad[at] = (bad[at] ?? 0) ^ change;
        expect(() => signedStructure(bad)).toThrow(RangeError);
      }),
    );
  });

  test('of any octets is read or refused, however deep they nest', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          signedStructure(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }),
    );
    let deep: number[] = [];
    for (let i = 0; i < 40; i++) deep = tlv(0x30, deep);
    expect(() => signedStructure(of(deep, algorithm, signature))).toThrow('nested');
  });
});
