/** Unpadding: every malformed block is refused, by a definition that is written the plain way here. RFC 8017, section 7. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { TPM_ALG } from '../structures/constants.ts';
import { NobleCrypto } from './noble.ts';
import { oaepBlock, oaepMessage, pkcs1EncryptionBlock, pkcs1Message } from './rsa-padding.ts';

const crypto = new NobleCrypto();
const SIZE = 128;
const octets = (maxLength: number) => fc.uint8Array({ maxLength });
const label = new Uint8Array(0);

it('PKCS#1: any block gives what stands after the first zero, if 0, 2 and eight octets of padding come before', () => {
  const few = fc.uint8Array({ minLength: 0, maxLength: 40, max: 3 });
  fc.assert(
    fc.property(
      fc.constantFrom([0, 2], [0, 1], [1, 2], [0x80, 2], [0, 0x82]),
      few,
      octets(20),
      (start, padding, rest) => {
        const block = Uint8Array.of(...start, ...padding, ...rest);
        const zero = block.indexOf(0, 2);
        const good = block[0] === 0 && block[1] === 2 && zero >= 10;
        expect(pkcs1Message(block)).toEqual(good ? block.slice(zero + 1) : undefined);
      },
    ),
    { numRuns: 500 },
  );
});

it('PKCS#1 and OAEP give back what was padded, the empty message too', () => {
  fc.assert(
    fc.property(octets(SIZE - 66), (message) => {
      expect(pkcs1Message(pkcs1EncryptionBlock(crypto, SIZE, message))).toEqual(message);
      const seed = new Uint8Array(32).fill(message.length);
      const block = oaepBlock(crypto, SIZE, TPM_ALG.SHA256, label, message, seed);
      expect(oaepMessage(crypto, block, TPM_ALG.SHA256, label)).toEqual(message);
    }),
    { numRuns: 50 },
  );
});

it('OAEP: a block changed in any octet, under another label, or without a separator is none', () => {
  const block = oaepBlock(crypto, SIZE, TPM_ALG.SHA256, label, Uint8Array.of(1, 2, 3), new Uint8Array(32).fill(7));
  // The last three octets are the message under its mask: only a change of the seed or the rest is noticed by padding.
  for (let at = 0; at < SIZE - 3; at++) {
    const changed = block.slice();
    changed[at] = changed[at]! ^ 0x40;
    expect(oaepMessage(crypto, changed, TPM_ALG.SHA256, label)).toBeUndefined();
  }
  expect(oaepMessage(crypto, block, TPM_ALG.SHA256, Uint8Array.of(1))).toBeUndefined();
});
