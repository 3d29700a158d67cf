/** Refusals of ephemeral keys and signing. Part 3, sections 19 and 20. */
import { TPM_ALG, TPM_ECC, TPM_RH, TPM_ST } from '../../structures/index.ts';
import {
  type Bench,
  type Case,
  changed,
  cipher,
  DECRYPT,
  ECDSA,
  EMPTY,
  ecc,
  HMAC,
  keyedHash,
  NO_HASHCHECK,
  NULL,
  OFF_CURVE,
  ORIGIN,
  POINT,
  RESTRICTED,
  SIGN,
  text,
  without,
} from './bench.test-support.ts';

const SHA256 = TPM_ALG.SHA256;
const RSASSA = { scheme: TPM_ALG.RSASSA, details: { hashAlg: SHA256 } } as const;
const ECDAA = (count: number) => ({ scheme: TPM_ALG.ECDAA, details: { hashAlg: SHA256, count } }) as const;
const DIGEST: Uint8Array = new Uint8Array(32).fill(5);
const SCALAR = new Uint8Array(32).fill(3);

const hmacKey = (bench: Bench, attributes: number = SIGN) => bench.primary(keyedHash(attributes | ORIGIN, HMAC));

const sign = (
  bench: Bench,
  keyHandle: number,
  inScheme: Parameters<Bench['client']['Sign']>[0]['inScheme'] = NULL,
  digest = DIGEST,
  validation: Parameters<Bench['client']['Sign']>[0]['validation'] = NO_HASHCHECK,
) => bench.client.Sign({ keyHandle, digest, inScheme, validation });

async function verify(bench: Bench, keyHandle: number) {
  const { signature } = await sign(bench, await bench.primary(ecc(SIGN, { scheme: ECDSA })));
  if (signature.sigAlg !== TPM_ALG.ECDSA) throw new Error('another signature');
  const { signatureS } = signature.signature;
  const forged = {
    sigAlg: TPM_ALG.ECDSA,
    signature: { ...signature.signature, signatureS: changed(signatureS) },
  } as const;
  return bench.client.VerifySignature({ keyHandle, digest: DIGEST, signature: forged });
}

const commit = (bench: Bench, signHandle: number, what: { P1?: typeof POINT; s2?: Uint8Array; y2?: Uint8Array } = {}) =>
  bench.client.Commit({
    signHandle,
    P1: what.P1 ?? { x: EMPTY, y: EMPTY },
    s2: what.s2 ?? EMPTY,
    y2: what.y2 ?? EMPTY,
  });
const daaKey = (bench: Bench) => bench.primary(ecc(SIGN, { scheme: ECDAA(1) }));

export const signingCases: readonly Case[] = [
  ['Sign', 'KEY', 'h1', 'a cipher key', async (bench) => sign(bench, await bench.primary(cipher(SIGN | ORIGIN)))],
  [
    'Sign',
    'TICKET',
    'p3',
    'a restricted key, no ticket, and no digest',
    async (bench) => sign(bench, await bench.primary(ecc(SIGN | RESTRICTED, { scheme: ECDSA })), NULL, text('short')),
  ],
  [
    'Commit',
    'ECC_POINT',
    'p1',
    'a point off the curve',
    async (bench) => commit(bench, await daaKey(bench), { P1: OFF_CURVE }),
  ],
  [
    'Commit',
    'ECC_POINT',
    'p2',
    'a derived point off the curve',
    async (bench) => commit(bench, await daaKey(bench), { s2: text('base'), y2: POINT.y }),
  ],
  [
    'Commit',
    'HASH',
    'h1',
    'the key has no name algorithm',
    async (bench) => {
      const area = { ...without(ecc(SIGN, { scheme: ECDAA(1) }), ORIGIN), nameAlg: TPM_ALG.NULL };
      const inPublic = { ...area, unique: bench.client.crypto.ecPublic(TPM_ECC.NIST_P256, SCALAR) };
      const inPrivate = { sensitiveType: TPM_ALG.ECC, authValue: EMPTY, seedValue: EMPTY, sensitive: SCALAR } as const;
      const { objectHandle } = await bench.client.LoadExternal({ inPrivate, inPublic, hierarchy: TPM_RH.NULL });
      return commit(bench, objectHandle, { s2: text('base'), y2: POINT.y });
    },
  ],
  ['Commit', 'KEY', 'h1', 'no ECC key', async (bench) => commit(bench, await hmacKey(bench))],
  [
    'Commit',
    'SCHEME',
    'h1',
    'a scheme that is not anonymous',
    async (bench) => commit(bench, await bench.primary(ecc(SIGN, { scheme: ECDSA }))),
  ],
  ['Commit', 'SIZE', 'p3', 's2 without y2', async (bench) => commit(bench, await daaKey(bench), { s2: text('base') })],
  ['Commit', 'SIZE', 'p3', 'y2 without s2', async (bench) => commit(bench, await daaKey(bench), { y2: POINT.y })],

  [
    'VerifySignature',
    'ATTRIBUTES',
    'h1',
    'the key does not sign',
    async (bench) => verify(bench, await bench.primary(ecc(DECRYPT))),
  ],
  [
    'VerifySignature',
    'SIGNATURE',
    'p2',
    'a forged one',
    async (bench) => verify(bench, await bench.primary(ecc(SIGN, { scheme: ECDSA }))),
  ],
  [
    'VerifySignature',
    'SCHEME',
    'p2',
    'an ECC signature by an RSA key',
    async (bench) => verify(bench, await bench.rsaKey(SIGN)),
  ],
  [
    'VerifySignature',
    'HANDLE',
    'p2',
    'an HMAC key without its secret',
    async (bench) => {
      const keyHandle = await bench.publicOnly({ ...keyedHash(SIGN, HMAC), unique: DIGEST });
      const signature = { sigAlg: TPM_ALG.HMAC, signature: { hashAlg: SHA256, digest: DIGEST } } as const;
      return bench.client.VerifySignature({ keyHandle, digest: DIGEST, signature });
    },
  ],
  ['Sign', 'KEY', 'h1', 'the key does not sign', async (bench) => sign(bench, await bench.primary(ecc(DECRYPT)))],
  [
    'Sign',
    'SCHEME',
    'p2',
    'neither key nor caller names one',
    async (bench) => sign(bench, await bench.primary(ecc(SIGN))),
  ],
  [
    'Sign',
    'SCHEME',
    'p2',
    'another than the key’s',
    async (bench) =>
      sign(bench, await bench.primary(ecc(SIGN, { scheme: ECDSA })), {
        ...ECDSA,
        details: { hashAlg: TPM_ALG.SHA384 },
      }),
  ],
  ['Sign', 'SCHEME', 'p2', 'an RSA scheme for an HMAC key', async (bench) => sign(bench, await hmacKey(bench), RSASSA)],
  [
    'Sign',
    'SIZE',
    'p1',
    'no digest of the scheme',
    async (bench) => sign(bench, await bench.primary(ecc(SIGN, { scheme: ECDSA })), NULL, text('short')),
  ],
  [
    'Sign',
    'TICKET',
    'p3',
    'a restricted key, and no ticket',
    async (bench) => sign(bench, await bench.primary(ecc(SIGN | RESTRICTED, { scheme: ECDSA }))),
  ],
  [
    'Sign',
    'TICKET',
    'p3',
    'a ticket of another digest',
    async (bench) =>
      sign(bench, await bench.primary(ecc(SIGN | RESTRICTED, { scheme: ECDSA })), NULL, DIGEST, {
        tag: TPM_ST.HASHCHECK,
        hierarchy: TPM_RH.OWNER,
        digest: DIGEST,
      }),
  ],
  ['Sign', 'VALUE', '', 'a counter of no commit', async (bench) => sign(bench, await daaKey(bench), ECDAA(77))],
];
