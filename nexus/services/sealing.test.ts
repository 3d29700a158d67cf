import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SERVICE_ERROR } from './abi.ts';
import { NexusKeys } from './keys.ts';
import { ServiceError } from './requests.ts';
import { SEAL_DATA_MAX, sealBlob, sealToPlatform, unsealBlob, unsealFromPlatform } from './sealing.ts';

const filled = (fill: number) => new Uint8Array(32).fill(fill);
const keys = new NexusKeys(filled(1));
const vault = { identity: filled(2), signer: filled(3), svn: 5 };
const upgraded = { ...vault, identity: filled(4), svn: 6 };
const old = { ...vault, identity: filled(5), svn: 4 };
const stranger = { identity: filled(6), signer: filled(7), svn: 9 };
const data = Buffer.from('the secret');
const toIdentity = { kind: 'identity', identity: vault.identity } as const;
const toSigner = { kind: 'signer', signer: vault.signer, minimumSvn: 5 } as const;

const codeOf = (body: () => unknown): number | undefined => {
  try {
    body();
    return undefined;
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    return error.serviceCode;
  }
};

describe('sealed blobs', () => {
  const exact = sealBlob(keys, vault, toIdentity, undefined, data);
  const signed = sealBlob(keys, vault, toSigner, undefined, data);

  test('a blob sealed to an identity opens to it and says who sealed it', () => {
    expect(unsealBlob(keys, vault, 0n, exact)).toEqual({
      sealer: vault.identity,
      sealerSvn: 5,
      counter: undefined,
      data: Uint8Array.from(data),
    });
  });

  test.each([
    ['an upgraded build', upgraded],
    ['an older build', old],
    ['a stranger', stranger],
  ])('a blob sealed to an identity is closed to %s', (_, caller) => {
    expect(codeOf(() => unsealBlob(keys, caller, 0n, exact))).toBe(SERVICE_ERROR.UNSEAL_REFUSED);
  });

  test('a blob sealed to a signer opens to later versions, not to earlier ones, not to strangers', () => {
    expect(unsealBlob(keys, upgraded, 0n, signed).data).toEqual(Uint8Array.from(data));
    expect(codeOf(() => unsealBlob(keys, old, 0n, signed))).toBe(SERVICE_ERROR.SVN_TOO_LOW);
    expect(codeOf(() => unsealBlob(keys, stranger, 0n, signed))).toBe(SERVICE_ERROR.UNSEAL_REFUSED);
  });

  test('another root secret opens nothing', () => {
    const other = new NexusKeys(filled(9));
    expect(codeOf(() => unsealBlob(other, vault, 0n, exact))).toBe(SERVICE_ERROR.UNSEAL_REFUSED);
  });

  test('a bound blob opens until the counter passes it', () => {
    const bound = sealBlob(keys, vault, toIdentity, 8n, data);
    expect(unsealBlob(keys, vault, 7n, bound).counter).toBe(8n);
    expect(unsealBlob(keys, vault, 8n, bound).counter).toBe(8n);
    expect(codeOf(() => unsealBlob(keys, vault, 9n, bound))).toBe(SERVICE_ERROR.ROLLED_BACK);
  });

  test('no change of any byte opens', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(exact, signed),
        fc.nat(1000),
        fc.integer({ min: 1, max: 255 }),
        (blob, offset, change) => {
          const mutant = Uint8Array.from(blob);
          const at = offset % blob.length;
          mutant[at] = (mutant[at] ?? 0) ^ change;
          expect(codeOf(() => unsealBlob(keys, vault, 0n, mutant))).toBe(SERVICE_ERROR.UNSEAL_REFUSED);
        },
      ),
      { numRuns: 1000 },
    );
  });

  test('what the operator seals opens to the operator only, and the operator opens nothing else', () => {
    const blob = sealToPlatform(keys, data);
    expect(unsealFromPlatform(keys, blob)).toEqual(Uint8Array.from(data));
    expect(codeOf(() => unsealBlob(keys, vault, 0n, blob))).toBe(SERVICE_ERROR.UNSEAL_REFUSED);
    expect(codeOf(() => unsealFromPlatform(keys, exact))).toBe(SERVICE_ERROR.UNSEAL_REFUSED);
    expect(codeOf(() => unsealFromPlatform(new NexusKeys(filled(9)), blob))).toBe(SERVICE_ERROR.UNSEAL_REFUSED);
  });

  test('what is sealed opens again, up to the largest that is sealed', () => {
    const largest = new Uint8Array(SEAL_DATA_MAX).fill(7);
    expect(unsealFromPlatform(keys, sealToPlatform(keys, largest))).toEqual(largest);
    const larger = new Uint8Array(SEAL_DATA_MAX + 1);
    expect(codeOf(() => sealToPlatform(keys, larger))).toBe(SERVICE_ERROR.BAD_INPUT);
  });
});
