import { expect, test } from 'vitest';
import { compare } from './policy-logic.ts';

const bytes = Array.from({ length: 256 }, (_, value) => value);
const signed = (value: number): number => (value << 24) >> 24;

/** TPM_EO in the order of its numbers. Part 2, section 6.8; errata 1.4 of revision 1.59, section 2.5: two's complement. */
const OPERATORS: readonly ((a: number, b: number) => boolean)[] = [
  (a, b) => a === b,
  (a, b) => a !== b,
  (a, b) => signed(a) > signed(b),
  (a, b) => a > b,
  (a, b) => signed(a) < signed(b),
  (a, b) => a < b,
  (a, b) => signed(a) >= signed(b),
  (a, b) => a >= b,
  (a, b) => signed(a) <= signed(b),
  (a, b) => a <= b,
  (a, b) => (a & b) === b,
  (a, b) => (a & b) === 0,
];

test.each(OPERATORS.map((holds, operation) => [operation, holds] as const))(
  'operator %i on every pair of octets',
  (operation, holds) => {
    const wrong = bytes.flatMap((a) =>
      bytes.filter((b) => compare(Uint8Array.of(a), Uint8Array.of(b), operation) !== holds(a, b)).map((b) => [a, b]),
    );
    expect(wrong).toEqual([]);
  },
);

test('later octets decide where the first are equal, whatever their sign', () => {
  expect(compare(Uint8Array.of(0x80, 0x01), Uint8Array.of(0x80, 0x00), 2)).toBe(true);
  expect(compare(Uint8Array.of(0x01, 0x80), Uint8Array.of(0x01, 0x7f), 2)).toBe(true);
  expect(compare(Uint8Array.of(0x80, 0xff), Uint8Array.of(0x7f, 0x00), 2)).toBe(false);
});
