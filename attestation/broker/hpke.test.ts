import { x25519 } from '@noble/curves/ed25519.js';
import { bytesToHex, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hpkeOpen, hpkeSeal } from './hpke.ts';

/** RFC 9180, appendix A.2.1 (DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305, base), sequence number 0. */
const VECTOR = {
  ephemeral: 'f4ec9b33b792c372c1d2c2063507b684ef925b8c75a42dbcbf57d63ccd381600',
  recipient: '8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb',
  recipientPublic: '4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a',
  enc: '1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a',
  info: '4f6465206f6e2061204772656369616e2055726e',
  aad: '436f756e742d30',
  plaintext: '4265617574792069732074727574682c20747275746820626561757479',
  ciphertext: '1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28',
};
const vector = Object.fromEntries(Object.entries(VECTOR).map(([name, hex]) => [name, hexToBytes(hex)])) as Record<
  keyof typeof VECTOR,
  Uint8Array
>;

describe('HPKE base mode', () => {
  it('agrees with RFC 9180, appendix A.2.1', () => {
    const { recipientPublic, info, aad, plaintext, ephemeral } = vector;
    const sealed = hpkeSeal(recipientPublic, info, aad, plaintext, ephemeral);
    expect(bytesToHex(sealed.enc)).toBe(VECTOR.enc);
    expect(bytesToHex(sealed.ciphertext)).toBe(VECTOR.ciphertext);
    expect(bytesToHex(hpkeOpen(vector.recipient, sealed, info, aad))).toBe(VECTOR.plaintext);
  });

  it('opens to the right key, info and associated data, and to no others', () => {
    const secret = x25519.utils.randomSecretKey();
    const key = x25519.getPublicKey(secret);
    const info = utf8ToBytes('info');
    const aad = utf8ToBytes('aad');
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(), (plaintext, position) => {
        const sealed = hpkeSeal(key, info, aad, plaintext);
        expect(hpkeOpen(secret, sealed, info, aad)).toEqual(plaintext);
        const bent = Uint8Array.from(sealed.ciphertext);
        bent[position % bent.length] = (bent[position % bent.length] ?? 0) ^ 1;
        expect(() => hpkeOpen(secret, { ...sealed, ciphertext: bent }, info, aad)).toThrow();
        expect(() => hpkeOpen(secret, sealed, aad, aad)).toThrow();
        expect(() => hpkeOpen(secret, sealed, info, info)).toThrow();
        expect(() => hpkeOpen(x25519.utils.randomSecretKey(), sealed, info, aad)).toThrow();
      }),
      { numRuns: 25 },
    );
  });

  it('refuses a key of another length and a point of small order', () => {
    const none = new Uint8Array(0);
    expect(() => hpkeSeal(new Uint8Array(31).fill(9), none, none, none)).toThrow(RangeError);
    expect(() => hpkeSeal(new Uint8Array(32), none, none, none)).toThrow();
  });
});
