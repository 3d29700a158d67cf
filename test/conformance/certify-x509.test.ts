/**
 * TPM2_CertifyX509: certificates that OpenSSL verifies, and swtpm's response codes. The partial certificates are cut out
 * of whole ones made by @peculiar/x509, so that no code of ours is on both sides.
 */
import 'reflect-metadata'; // Before @peculiar/x509, which needs it at import.
import { createHash, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { BitString, fromBER, Sequence } from 'asn1js';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openTransport, Tpm, TpmClient } from '../../tpm/index.ts';
import * as tcg from '../../tpm/structures/index.ts';
import { hasSwtpm, type Swtpm, startSwtpm } from '../support/swtpm.ts';

const { TPM_ALG, TPM_ECC, TPM_RC, TPM_RH, TPM_SU, TPMA_OBJECT, atParameter, baseCode } = tcg;
const { digitalSignature, keyEncipherment, keyAgreement, nonRepudiation } = x509.KeyUsageFlags;
const EMPTY = new Uint8Array(0);
const NULL_SCHEME = { scheme: TPM_ALG.NULL } as const;

/** Issuer, validity, subject and extensions of a whole certificate, as a SEQUENCE; with the algorithm if asked. */
async function partial(usage: number | undefined, more: x509.Extension[] = [], algorithm = false): Promise<Uint8Array> {
  const keys = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign', 'verify']);
  const { rawData } = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=certified by a TPM',
    keys,
    notBefore: new Date(Date.UTC(2026, 0, 1)),
    notAfter: new Date(Date.UTC(2036, 0, 1)),
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    extensions: [...(usage === undefined ? [] : [new x509.KeyUsagesExtension(usage, true)]), ...more],
  });
  const [, , signature, issuer, validity, subject, , ...rest] = parts(sequence(rawData)[0] as Sequence);
  const kept = [...(algorithm ? [signature] : []), issuer, validity, subject, ...rest] as Sequence[];
  return new Uint8Array(new Sequence({ value: kept }).toBER());
}

const parts = (of: Sequence): unknown[] => of.valueBlock.value;
const sequence = (bytes: ArrayBuffer | Uint8Array): unknown[] => parts(fromBER(bytes).result as Sequence);

/** The extension that tells a TPM object's attributes (2.23.133.10.1.1.1). */
const attributesExtension = (attributes: number): x509.Extension => {
  const octets = Uint8Array.of(attributes >>> 24, attributes >>> 16, attributes >>> 8, attributes);
  return new x509.Extension('2.23.133.10.1.1.1', false, new BitString({ valueHex: octets.slice().buffer }).toBER());
};

interface Reply {
  readonly addedToCertificate: Uint8Array;
  readonly tbsDigest: Uint8Array;
  readonly signature: tcg.TPMT_SIGNATURE;
}

/** Put the certificate together; the digest of its TBSCertificate is to be the one that was signed. */
function assemble(part: Uint8Array, reply: Reply): X509Certificate {
  const added = sequence(reply.addedToCertificate) as Sequence[];
  const given = sequence(part) as Sequence[];
  const tbs = new Sequence({
    // version, serial, algorithm, issuer, validity, subject, key, extensions
    value: [...added.slice(0, 3), ...given.slice(0, 3), added[3] as Sequence, ...given.slice(3)],
  });
  const hash = reply.tbsDigest.length === 48 ? 'sha384' : 'sha256';
  expect(createHash(hash).update(new Uint8Array(tbs.toBER())).digest()).toEqual(Buffer.from(reply.tbsDigest));
  const { signature } = reply;
  if (signature.sigAlg === TPM_ALG.NULL || signature.sigAlg === TPM_ALG.HMAC) throw new Error('not signed');
  const raw =
    'sig' in signature.signature
      ? signature.signature.sig
      : ecdsaDer(signature.signature.signatureR, signature.signature.signatureS);
  const whole = new Sequence({
    value: [tbs, added[2] as Sequence, new BitString({ valueHex: Uint8Array.from(raw).buffer })],
  });
  return new X509Certificate(Buffer.from(whole.toBER()));
}

function ecdsaDer(r: Uint8Array, s: Uint8Array): Uint8Array {
  const integer = (value: Uint8Array) => {
    const trimmed = Buffer.from(value.subarray(value.findIndex((octet) => octet !== 0)));
    const padded = (trimmed[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), trimmed]) : trimmed;
    return Buffer.concat([Buffer.of(2, padded.length), padded]);
  };
  const content = Buffer.concat([integer(r), integer(s)]);
  return Buffer.concat([Buffer.of(0x30, content.length), content]);
}

/** A public area as OpenSSL has it. */
function nodeKey(area: tcg.TPMT_PUBLIC): KeyObject {
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url');
  if (area.type === TPM_ALG.RSA)
    return createPublicKey({ format: 'jwk', key: { kty: 'RSA', n: text(area.unique), e: 'AQAB' } });
  if (area.type !== TPM_ALG.ECC) throw new Error('not a key of OpenSSL');
  const { x, y } = area.unique;
  return createPublicKey({ format: 'jwk', key: { kty: 'EC', crv: 'P-256', x: text(x), y: text(y) } });
}

const ATTRIBUTES =
  TPMA_OBJECT.sign | TPMA_OBJECT.fixedTPM | TPMA_OBJECT.fixedParent | TPMA_OBJECT.sensitiveDataOrigin | TPMA_OBJECT.userWithAuth; // biome-ignore format: one set

function ecc(scheme: object, objectAttributes: number = ATTRIBUTES) {
  return {
    type: TPM_ALG.ECC,
    nameAlg: TPM_ALG.SHA256,
    objectAttributes,
    authPolicy: EMPTY,
    parameters: {
      symmetric: { algorithm: TPM_ALG.NULL },
      scheme,
      curveID: TPM_ECC.NIST_P256,
      kdf: { scheme: TPM_ALG.NULL },
    },
    unique: { x: EMPTY, y: EMPTY },
  };
}
const rsa = {
  type: TPM_ALG.RSA,
  nameAlg: TPM_ALG.SHA256,
  objectAttributes: ATTRIBUTES,
  authPolicy: EMPTY,
  parameters: { symmetric: { algorithm: TPM_ALG.NULL }, scheme: NULL_SCHEME, keyBits: 2048, exponent: 0 },
  unique: EMPTY,
};
const hmacKey = {
  type: TPM_ALG.KEYEDHASH,
  nameAlg: TPM_ALG.SHA256,
  objectAttributes: ATTRIBUTES,
  authPolicy: EMPTY,
  parameters: { scheme: { scheme: TPM_ALG.HMAC, details: { hashAlg: TPM_ALG.SHA256 } } },
  unique: EMPTY,
};
const scheme = (alg: number, hashAlg: number = TPM_ALG.SHA256) => ({ scheme: alg, details: { hashAlg } });

/** `usage`: the code for a key usage that the key's attributes do not bear out. */
function suite(connect: () => Promise<TpmClient>, usage: number) {
  let client: TpmClient;
  beforeAll(async () => {
    client = await connect();
    await client.Startup({ startupType: TPM_SU.CLEAR });
  });

  async function primary(inPublic: object): Promise<number> {
    const inSensitive = { userAuth: EMPTY, data: EMPTY };
    const { objectHandle } = await client.CreatePrimary({
      primaryHandle: TPM_RH.OWNER,
      inSensitive,
      inPublic: inPublic as tcg.TPMT_PUBLIC,
      outsideInfo: EMPTY,
      creationPCR: [],
    });
    loaded.push(objectHandle);
    return objectHandle;
  }
  const loaded: number[] = [];
  afterEach(async () => {
    for (const flushHandle of loaded.splice(0)) await client.FlushContext({ flushHandle });
  });

  /** swtpm answers TPM_RC_RETRY to the first use of an algorithm. */
  const certify = (objectHandle: number, signHandle: number, scheme: object, partialCertificate: Uint8Array) => {
    const inScheme = scheme as tcg.TPMT_SIG_SCHEME;
    const send = () => client.CertifyX509({ objectHandle, signHandle, reserved: EMPTY, inScheme, partialCertificate });
    return send().catch((error) => (error.code === TPM_RC.RETRY ? send() : Promise.reject(error)));
  };

  async function codeOf(call: Promise<unknown>): Promise<number> {
    return call.then(
      () => TPM_RC.SUCCESS,
      (error: { code: number }) => error.code,
    );
  }

  test.each([
    ['an ECC key by itself, ECDSA', ecc(NULL_SCHEME), undefined, scheme(TPM_ALG.ECDSA)],
    ['an RSA key by an ECC key, ECDSA with SHA-384', rsa, ecc(NULL_SCHEME), scheme(TPM_ALG.ECDSA, TPM_ALG.SHA384)],
    ['an ECC key by an RSA key, RSASSA', ecc(NULL_SCHEME), rsa, scheme(TPM_ALG.RSASSA)],
    ['an ECC key by an RSA key, RSAPSS', ecc(NULL_SCHEME), rsa, scheme(TPM_ALG.RSAPSS)],
  ])('%s: OpenSSL verifies the certificate', async (_, subject, signer, inScheme) => {
    const object = await primary(subject);
    const key = signer === undefined ? object : await primary(signer);
    const part = await partial(digitalSignature | nonRepudiation, [attributesExtension(ATTRIBUTES)]);
    const certificate = assemble(part, await certify(object, key, inScheme, part));
    const { outPublic } = await client.ReadPublic({ objectHandle: key });
    expect(certificate.verify(nodeKey(outPublic as tcg.TPMT_PUBLIC))).toBe(true);
    const certified = (await client.ReadPublic({ objectHandle: object })).outPublic as tcg.TPMT_PUBLIC;
    expect(certificate.publicKey.export({ format: 'jwk' })).toEqual(nodeKey(certified).export({ format: 'jwk' }));
    expect(certificate.subject).toBe('CN=certified by a TPM');
  });

  test('refusals, each with its handle or parameter', async () => {
    const key = await primary(ecc(NULL_SCHEME));
    const mac = await primary(hmacKey);
    const good = await partial(digitalSignature);
    const ecdsa = scheme(TPM_ALG.ECDSA);
    const code = async (part: Uint8Array | Promise<Uint8Array>) => codeOf(certify(key, key, ecdsa, await part));
    expect(await codeOf(certify(key, key, NULL_SCHEME, good))).toBe(atParameter(TPM_RC.SCHEME, 2));
    // swtpm numbers the handles of Part 3's earlier revisions, where the signing key was first.
    expect(baseCode(await codeOf(certify(mac, key, ecdsa, good)))).toBe(TPM_RC.ASYMMETRIC);
    const reserved = { objectHandle: key, signHandle: key, reserved: Uint8Array.of(1), partialCertificate: good };
    expect(await codeOf(client.CertifyX509({ ...reserved, inScheme: ecdsa as tcg.TPMT_SIG_SCHEME }))).toBe(
      atParameter(TPM_RC.SIZE, 1),
    );
    const value = atParameter(TPM_RC.VALUE, 3);
    expect(await code(partial(undefined))).toBe(value);
    expect(await code(partial(keyEncipherment))).toBe(atParameter(usage, 3));
    expect(await code(partial(keyAgreement))).toBe(atParameter(usage, 3));
    const others = [attributesExtension(ATTRIBUTES | TPMA_OBJECT.noDA)];
    expect(baseCode(await code(partial(digitalSignature, others)))).toBe(TPM_RC.ATTRIBUTES);
  });
}

describe('TPM2_CertifyX509', () => {
  suite(async () => {
    const tpm = await Tpm.create();
    tpm.powerOn();
    return TpmClient.of(tpm);
  }, TPM_RC.ATTRIBUTES);
});

describe.skipIf(!hasSwtpm)('TPM2_CertifyX509 of swtpm (needs it installed)', () => {
  let peer: Swtpm;
  afterAll(() => peer?.stop());
  suite(async () => {
    peer = await startSwtpm();
    return TpmClient.over(await openTransport(`swtpm:host=127.0.0.1,port=${peer.port}`));
  }, TPM_RC.VALUE); // Part 3 lists TPM_RC_ATTRIBUTES for it
});
