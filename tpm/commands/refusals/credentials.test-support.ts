/** Refusals of credentials, sealed data and changed authorisation values. Part 3, sections 12.5 to 12.8. */
import { encode, TPM_ALG, TPMS_ECC_POINT, type TPMT_PUBLIC } from '../../structures/index.ts';
import { makeCredential } from '../credential.ts';
import {
  AES_CFB,
  type Bench,
  type Case,
  changed,
  DECRYPT,
  EMPTY,
  ecc,
  FIXED,
  HMAC,
  keyedHash,
  OFF_CURVE,
  ORIGIN,
  RESTRICTED,
  rsa,
  SIGN,
  storage,
  text,
} from './bench.test-support.ts';

const FIVE = text('short');
const LONG_AUTH = new Uint8Array(33).fill(7);

/** A credential for a key, changed on its way. */
async function activate(
  bench: Bench,
  area: TPMT_PUBLIC,
  change: (made: { credentialBlob: Uint8Array; secret: Uint8Array }) => object = () => ({}),
) {
  const { objectHandle, outPublic, name } = await bench.createPrimary(area);
  const target = area.type === TPM_ALG.KEYEDHASH ? storage(FIXED) : area;
  const of = target === area ? outPublic : (await bench.createPrimary(target)).outPublic;
  const made = makeCredential(bench.client, of, text('credential'), name);
  return bench.client.ActivateCredential({
    activateHandle: objectHandle,
    keyHandle: objectHandle,
    ...made,
    ...change(made),
  });
}

export const credentialCases: readonly Case[] = [
  [
    'ActivateCredential',
    'TYPE',
    'h2',
    'the key does not decrypt',
    async (bench) => {
      const { objectHandle } = await bench.createPrimary(ecc(SIGN));
      const secret = encode(TPMS_ECC_POINT, OFF_CURVE);
      return bench.client.ActivateCredential({
        activateHandle: objectHandle,
        keyHandle: objectHandle,
        credentialBlob: FIVE,
        secret,
      });
    },
  ],
  [
    'ActivateCredential',
    'ECC_POINT',
    'p2',
    'a point off the curve',
    (bench) => activate(bench, storage(FIXED), () => ({ secret: encode(TPMS_ECC_POINT, OFF_CURVE) })),
  ],
  [
    'ActivateCredential',
    'INSUFFICIENT',
    'p2',
    'half a point',
    (bench) => activate(bench, storage(FIXED), ({ secret }) => ({ secret: secret.subarray(0, 20) })),
  ],
  [
    'ActivateCredential',
    'INTEGRITY',
    'p1',
    'the blob was changed',
    (bench) => activate(bench, storage(FIXED), ({ credentialBlob }) => ({ credentialBlob: changed(credentialBlob) })),
  ],
  [
    'ActivateCredential',
    'SIZE',
    'p2',
    'an RSA secret of another size',
    (bench) =>
      activate(bench, rsa(RESTRICTED | DECRYPT | FIXED, { scheme: TPM_ALG.NULL }, AES_CFB), ({ secret }) => ({
        secret: secret.subarray(1),
      })),
  ],
  [
    'ActivateCredential',
    'TYPE',
    'h2',
    'the key is not asymmetric',
    (bench) => activate(bench, keyedHash(SIGN | ORIGIN, HMAC)),
  ],
  [
    'ActivateCredential',
    'VALUE',
    'p2',
    'an RSA secret with other padding',
    (bench) =>
      activate(bench, rsa(RESTRICTED | DECRYPT | FIXED, { scheme: TPM_ALG.NULL }, AES_CFB), ({ secret }) => ({
        secret: changed(secret),
      })),
  ],

  [
    'MakeCredential',
    'SIZE',
    'p1',
    'longer than the key’s digest',
    async (bench) => {
      const handle = await bench.primary(storage(FIXED));
      return bench.client.MakeCredential({ handle, credential: LONG_AUTH, objectName: EMPTY });
    },
  ],
  [
    'MakeCredential',
    'TYPE',
    'h1',
    'no restricted decryption key',
    async (bench) =>
      bench.client.MakeCredential({ handle: await bench.primary(ecc(SIGN)), credential: FIVE, objectName: EMPTY }),
  ],

  [
    'Unseal',
    'ATTRIBUTES',
    'h1',
    'a key, not data',
    async (bench) => bench.client.Unseal({ itemHandle: await bench.primary(keyedHash(SIGN | ORIGIN, HMAC)) }),
  ],
  [
    'Unseal',
    'TYPE',
    'h1',
    'an asymmetric key',
    async (bench) => bench.client.Unseal({ itemHandle: await bench.primary(ecc(SIGN)) }),
  ],

  [
    'ObjectChangeAuth',
    'SIZE',
    'p1',
    'longer than the name algorithm’s digest',
    async (bench) => {
      const parentHandle = await bench.primary(storage(FIXED));
      const objectHandle = await bench.child(parentHandle, ecc(SIGN));
      return bench.client.ObjectChangeAuth({ objectHandle, parentHandle, newAuth: LONG_AUTH });
    },
  ],
  [
    'ObjectChangeAuth',
    'TYPE',
    'h2',
    'another parent',
    async (bench) => {
      const parentHandle = await bench.primary(storage(FIXED));
      const objectHandle = await bench.child(parentHandle, ecc(SIGN));
      const other = await bench.primary(storage(FIXED, { nameAlg: TPM_ALG.SHA384 }));
      return bench.client.ObjectChangeAuth({ objectHandle, parentHandle: other, newAuth: FIVE });
    },
  ],
];
