/** Partial certificates are hostile bytes. Certificates and response codes: test/conformance/certify-x509.test.ts. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { TpmClient } from '../client/index.ts';
import { atParameter, TPM_ALG, TPM_ECC, TPM_RC, TPM_RH, TPM_SU, TPMA_OBJECT } from '../structures/index.ts';
import { Tpm } from '../tpm.ts';
import { DER, der, derBits, derInteger, derOid, readDer } from './der.ts';

const EMPTY = new Uint8Array(0);
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const name = der(DER.SEQUENCE, der(0x31, der(DER.SEQUENCE, derOid('2.5.4.3'), der(0x0c, text('a TPM')))));
const validity = der(DER.SEQUENCE, der(0x17, text('260101000000Z')), der(0x17, text('360101000000Z')));
const usage = (...bits: number[]) => der(DER.OCTET_STRING, der(DER.BIT_STRING, Uint8Array.from(bits)));
const extension = (...parts: Uint8Array[]) => der(DER.SEQUENCE, derOid('2.5.29.15'), ...parts);
const extensions = (...list: Uint8Array[]) => der(DER.context(3), der(DER.SEQUENCE, ...list));
const digitalSignature = extension(usage(7, 0x80));

describe('partial certificates', () => {
  let certify: (partialCertificate: Uint8Array) => Promise<number>;
  beforeAll(async () => {
    const tpm = await Tpm.create();
    tpm.powerOn();
    const client = await TpmClient.of(tpm);
    await client.Startup({ startupType: TPM_SU.CLEAR });
    const { objectHandle } = await client.CreatePrimary({
      primaryHandle: TPM_RH.OWNER,
      inSensitive: { userAuth: EMPTY, data: EMPTY },
      inPublic: {
        type: TPM_ALG.ECC,
        nameAlg: TPM_ALG.SHA256,
        objectAttributes: TPMA_OBJECT.sign | TPMA_OBJECT.sensitiveDataOrigin | TPMA_OBJECT.userWithAuth,
        authPolicy: EMPTY,
        parameters: {
          symmetric: { algorithm: TPM_ALG.NULL },
          scheme: { scheme: TPM_ALG.ECDSA, details: { hashAlg: TPM_ALG.SHA256 } },
          curveID: TPM_ECC.NIST_P256,
          kdf: { scheme: TPM_ALG.NULL },
        },
        unique: { x: EMPTY, y: EMPTY },
      },
      outsideInfo: EMPTY,
      creationPCR: [],
    });
    certify = (partialCertificate) =>
      client
        .CertifyX509({
          objectHandle,
          signHandle: objectHandle,
          reserved: EMPTY,
          inScheme: { scheme: TPM_ALG.NULL },
          partialCertificate,
        })
        .then(
          () => TPM_RC.SUCCESS,
          (error: { code: number }) => error.code,
        );
  });
  const good = der(DER.SEQUENCE, name, validity, name, extensions(digitalSignature));
  const VALUE = atParameter(TPM_RC.VALUE, 3);

  it.each<[string, Uint8Array, number]>([
    ['a good one', good, TPM_RC.SUCCESS],
    [
      'unique identifiers',
      der(DER.SEQUENCE, name, validity, name, der(0x81, Uint8Array.of(0, 1)), extensions(digitalSignature)),
      TPM_RC.SUCCESS,
    ],
    [
      'ecdsa-with-SHA256 named',
      der(
        DER.SEQUENCE,
        der(DER.SEQUENCE, derOid('1.2.840.10045.4.3.2')),
        name,
        validity,
        name,
        extensions(digitalSignature),
      ),
      TPM_RC.SUCCESS,
    ],
    [
      'a key left open, as in tpm2-tss',
      der(
        DER.SEQUENCE,
        ...[name, validity, name],
        der(DER.SEQUENCE, der(DER.SEQUENCE), der(DER.BIT_STRING, Uint8Array.of(0))),
        extensions(digitalSignature),
      ),
      TPM_RC.SUCCESS,
    ],
    [
      'another algorithm named',
      der(
        DER.SEQUENCE,
        der(DER.SEQUENCE, derOid('1.2.840.10045.4.3.3')),
        name,
        validity,
        name,
        extensions(digitalSignature),
      ),
      VALUE,
    ],
    ['nothing', EMPTY, VALUE],
    ['octets after it', Uint8Array.of(...good, 0), VALUE],
    ['a length longer than need be', Uint8Array.of(0x30, 0x82, 0, good.length - 2, ...good.subarray(2)), VALUE],
    ['an indefinite length', Uint8Array.of(0x30, 0x80, ...good.subarray(2), 0, 0), VALUE],
    ['no subject', der(DER.SEQUENCE, name, validity, extensions(digitalSignature)), VALUE],
    ['no extensions', der(DER.SEQUENCE, name, validity, name), VALUE],
    [
      'unique identifiers in the wrong order',
      der(DER.SEQUENCE, name, validity, name, der(0x82), der(0x81), extensions(digitalSignature)),
      VALUE,
    ],
    [
      'the key usage twice',
      der(DER.SEQUENCE, name, validity, name, extensions(digitalSignature, digitalSignature)),
      VALUE,
    ],
    ['no key usage', der(DER.SEQUENCE, name, validity, name, extensions()), VALUE],
    [
      'a key usage that is no bit string',
      der(DER.SEQUENCE, name, validity, name, extensions(extension(der(DER.OCTET_STRING, EMPTY)))),
      VALUE,
    ],
    [
      'criticality that is no boolean',
      der(DER.SEQUENCE, name, validity, name, extensions(extension(der(DER.NULL), usage(7, 0x80)))),
      VALUE,
    ],
    [
      'non-repudiation of a key that may leave',
      der(DER.SEQUENCE, name, validity, name, extensions(extension(usage(6, 0x40)))),
      atParameter(TPM_RC.ATTRIBUTES, 3),
    ],
  ])('%s', async (_, bytes, code) => {
    expect(await certify(bytes)).toBe(code);
  });

  it('any change of one octet is answered, and what is refused is refused for the partial certificate', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(good.length - 1), fc.nat(255), async (at, octet) => {
        const bytes = good.slice();
        bytes[at] = octet;
        expect([TPM_RC.SUCCESS, VALUE, atParameter(TPM_RC.ATTRIBUTES, 3)]).toContain(await certify(bytes));
      }),
    );
  });
});

describe('DER', () => {
  it('what is written is read, whatever its length', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 700 }), { maxLength: 4 }), (contents) => {
        const bytes = der(DER.SEQUENCE, ...contents.map((content) => der(DER.OCTET_STRING, content)));
        const [outer] = readDer(bytes) ?? [];
        expect(readDer(outer?.content ?? EMPTY)?.map(({ content }) => content)).toEqual(contents);
      }),
    );
  });

  it('any octets are read or refused; what is read fills them', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const elements = readDer(bytes);
        if (elements) expect(elements.flatMap((element) => [...element.bytes])).toEqual([...bytes]);
      }),
    );
  });

  it('integers are positive and short, identifiers as in X.690, bit strings at most 32 bits', () => {
    expect(derInteger(Uint8Array.of(0, 0, 0x80))).toEqual(Uint8Array.of(2, 2, 0, 0x80));
    expect(derInteger(EMPTY)).toEqual(Uint8Array.of(2, 1, 0));
    expect(derOid('2.999.3')).toEqual(Uint8Array.of(6, 3, 0x88, 0x37, 3)); // X.690, section 8.19.5
    expect(derOid('1.2.840.113549')).toEqual(Uint8Array.of(6, 6, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d));
    expect(derBits(Uint8Array.of(3, 2, 7, 0x80))).toBe(0x8000_0000);
    expect(derBits(Uint8Array.of(3, 2, 8, 0x80))).toBeUndefined();
    expect(derBits(Uint8Array.of(3, 6, 0, 1, 2, 3, 4, 5))).toBeUndefined();
  });
});
