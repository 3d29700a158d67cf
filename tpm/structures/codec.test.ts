import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as structures from './index.ts';
import {
  decode,
  encode,
  type Infer,
  nvName,
  objectName,
  type Schema,
  TPM_ALG,
  TPM_ECC,
  TPM_RC,
  TPM_ST,
  TPM2B_DIGEST,
  TPM2B_PUBLIC,
  TPMA_NV,
  TPMA_OBJECT,
  TPML_DIGEST_OR,
  TPML_PCR_SELECTION,
  TPMS_ATTEST,
  TPMT_PUBLIC,
  TpmError,
} from './index.ts';

const refusal = (schema: Schema<unknown>, hex: string): number => {
  try {
    decode(schema, Buffer.from(hex, 'hex'));
  } catch (error) {
    if (error instanceof TpmError) return error.code;
    throw error;
  }
  return TPM_RC.SUCCESS;
};

const key: Infer<typeof TPMT_PUBLIC> = {
  type: TPM_ALG.ECC,
  nameAlg: TPM_ALG.SHA256,
  objectAttributes: TPMA_OBJECT.sign | TPMA_OBJECT.fixedTPM,
  authPolicy: new Uint8Array(32),
  parameters: {
    symmetric: { algorithm: TPM_ALG.NULL },
    scheme: { scheme: TPM_ALG.ECDSA, details: { hashAlg: TPM_ALG.SHA256 } },
    curveID: TPM_ECC.NIST_P256,
    kdf: { scheme: TPM_ALG.NULL },
  },
  unique: { x: new Uint8Array(32).fill(1), y: new Uint8Array(32).fill(2) },
};

describe('codec', () => {
  it('round-trips a public area', () => {
    expect(decode(TPM2B_PUBLIC, encode(TPM2B_PUBLIC, key))).toEqual(key);
    expect(objectName(key)).toHaveLength(34);
  });

  it('answers the response code of the type at fault', () => {
    expect(refusal(TPM2B_DIGEST, `0041${'00'.repeat(65)}`)).toBe(TPM_RC.SIZE);
    expect(refusal(TPM2B_DIGEST, '000401')).toBe(TPM_RC.INSUFFICIENT);
    expect(refusal(TPML_DIGEST_OR, '000000010000')).toBe(TPM_RC.SIZE);
    expect(refusal(TPML_PCR_SELECTION, '00000001001f03000000')).toBe(TPM_RC.HASH);
    expect(refusal(TPML_PCR_SELECTION, '00000001000b04000000')).toBe(TPM_RC.VALUE);
    expect(refusal(TPMA_OBJECT, '00000001')).toBe(TPM_RC.RESERVED_BITS);
    expect(refusal(TPM2B_PUBLIC, '0000')).toBe(TPM_RC.SIZE);
    expect(refusal(TPMT_PUBLIC, '0099')).toBe(TPM_RC.TYPE);
  });

  it('refuses a TPM2B whose content is shorter than its size', () => {
    const bytes = encode(TPM2B_PUBLIC, key);
    const longer = new Uint8Array(bytes.length + 1);
    longer.set(bytes);
    longer[1] = (longer[1] ?? 0) + 1;
    expect(() => decode(TPM2B_PUBLIC, longer)).toThrow(/TPM_RC_SIZE/);
  });

  it('never fails on hostile bytes other than with a response code', () => {
    const schemas = Object.entries<unknown>(structures).filter(
      (entry): entry is [string, Schema<unknown>] =>
        /^TPM[2ALST]/.test(entry[0]) && typeof entry[1] === 'object' && entry[1] !== null && 'read' in entry[1],
    );
    expect(schemas.length).toBeGreaterThan(80);
    fc.assert(
      fc.property(fc.constantFrom(...schemas), fc.uint8Array({ maxLength: 200 }), ([, schema], bytes) => {
        try {
          const value = decode(schema, bytes);
          expect(decode(schema, encode(schema, value))).toEqual(value);
        } catch (error) {
          if (!(error instanceof TpmError)) throw error;
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('reads a quote', () => {
    const attest: TPMS_ATTEST = {
      magic: 0xff544347,
      type: TPM_ST.ATTEST_QUOTE,
      qualifiedSigner: new Uint8Array(0),
      extraData: Uint8Array.of(1, 2),
      clockInfo: { clock: 5n, resetCount: 1, restartCount: 2, safe: true },
      firmwareVersion: 7n,
      attested: { pcrSelect: [{ hash: TPM_ALG.SHA256, pcrSelect: [0, 17, 23] }], pcrDigest: new Uint8Array(32) },
    };
    const bytes = encode(TPMS_ATTEST, attest);
    expect(decode(TPMS_ATTEST, bytes)).toEqual(attest);
    bytes[0] = 0;
    expect(() => decode(TPMS_ATTEST, bytes)).toThrow(/TPM_RC_VALUE/);
  });

  it('names an NV index by its public area', () => {
    const name = nvName({
      nvIndex: 0x01000001,
      nameAlg: TPM_ALG.SHA256,
      attributes: TPMA_NV.OWNERREAD,
      authPolicy: new Uint8Array(0),
      dataSize: 8,
    });
    expect(name.subarray(0, 2)).toEqual(Uint8Array.of(0, 0x0b));
    expect(name).toHaveLength(34);
  });
});
