/**
 * Just enough of a TPM, in software, to enrol: an endorsement key with its certificate, an attestation key, and
 * TPM2_ActivateCredential (Part 1, section 24; annexes B.10.4 and C.6.4). The conformance tests use real TPMs.
 */
import {
  constants,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  privateDecrypt,
  timingSafeEqual,
  webcrypto,
} from 'node:crypto';
import type { EnrollingTpm } from '../../attestation/client.ts';
import { ATTRIBUTE, tpmName } from '../../attestation/verifier/tpm-public.ts';
import { type Authority, der, issue, type KeyPair, newKeys } from './certificate-authority.ts';

const { fixedTPM, fixedParent, sensitiveDataOrigin, restricted, decrypt, sign } = ATTRIBUTE;
export const EK_ATTRIBUTES = fixedTPM | fixedParent | sensitiveDataOrigin | restricted | decrypt;
export const AK_ATTRIBUTES = fixedTPM | fixedParent | sensitiveDataOrigin | restricted | sign;

const u16 = (value: number) => Buffer.of(value >> 8, value & 0xff);
const u32 = (value: number) => Buffer.of(value >>> 24, (value >> 16) & 0xff, (value >> 8) & 0xff, value & 0xff);
const sized = (bytes: Uint8Array) => Buffer.concat([u16(bytes.length), bytes]);
const AES_128_CFB = Buffer.concat([u16(0x0006), u16(128), u16(0x0043)]);
const NULL = u16(0x0010);
const ECDSA_SHA256 = Buffer.concat([u16(0x0018), u16(0x000b)]);

/** TPMT_PUBLIC of a key, with a storage key's or a P-256 signing key's parameters. */
export async function publicArea(keys: KeyPair, attributes: number): Promise<Uint8Array> {
  const jwk = await webcrypto.subtle.exportKey('jwk', keys.publicKey);
  const bytes = (value: string | undefined) => Buffer.from(value ?? '', 'base64url');
  const storage = (attributes & decrypt) !== 0;
  const head = [u16(jwk.kty === 'RSA' ? 0x0001 : 0x0023), u16(0x000b), u32(attributes), sized(Buffer.alloc(0))];
  const parameters = storage ? [AES_128_CFB, NULL] : [NULL, ECDSA_SHA256];
  if (jwk.kty === 'RSA') return Buffer.concat([...head, ...parameters, u16(2048), u32(0), sized(bytes(jwk.n))]);
  return Buffer.concat([...head, ...parameters, u16(3), NULL, sized(bytes(jwk.x)), sized(bytes(jwk.y))]);
}

function kdfa(key: Uint8Array, label: string, context: Uint8Array, bits: number): Buffer {
  const input = Buffer.concat([u32(1), Buffer.from(`${label}\0`), context, u32(bits)]);
  return createHmac('sha256', key)
    .update(input)
    .digest()
    .subarray(0, bits / 8);
}

export interface SoftwareTpm extends EnrollingTpm {
  readonly ek: KeyPair;
  readonly ak: KeyPair;
  readonly akName: Uint8Array;
}

async function recoverSeed(ek: KeyPair, ekPublic: Uint8Array, encrypted: Uint8Array): Promise<Buffer> {
  const key = createPrivateKey({
    key: Buffer.from(await webcrypto.subtle.exportKey('pkcs8', ek.privateKey)),
    format: 'der',
    type: 'pkcs8',
  });
  if (key.asymmetricKeyType === 'rsa') {
    const options = {
      key,
      padding: constants.RSA_PKCS1_OAEP_PADDING,
      oaepHash: 'sha256',
      oaepLabel: Buffer.from('IDENTITY\0'),
    };
    return privateDecrypt(options, encrypted);
  }
  const x = encrypted.subarray(2, 34);
  const y = encrypted.subarray(36, 68);
  const jwk = {
    kty: 'EC',
    crv: 'P-256',
    x: Buffer.from(x).toString('base64url'),
    y: Buffer.from(y).toString('base64url'),
  };
  const z = diffieHellman({ privateKey: key, publicKey: createPublicKey({ key: jwk, format: 'jwk' }) });
  const own = ekPublic.subarray(ekPublic.length - 66, ekPublic.length - 34);
  return createHash('sha256')
    .update(Buffer.concat([u32(1), z, Buffer.from('IDENTITY\0'), x, own]))
    .digest();
}

/** A TPM made by `manufacturer`. */
export async function softwareTpm(manufacturer: Authority, type: 'ec' | 'rsa' = 'ec'): Promise<SoftwareTpm> {
  const ek = await newKeys(type);
  const ak = await newKeys();
  const ekPublic = await publicArea(ek, EK_ATTRIBUTES);
  const akPublic = await publicArea(ak, AK_ATTRIBUTES);
  const akName = tpmName(akPublic);
  return {
    ek,
    ak,
    akName,
    ekPublic,
    akPublic,
    ekCertificates: [der(await issue(manufacturer, ek.publicKey))],
    async activate(credentialBlob, encryptedSecret) {
      const seed = await recoverSeed(ek, ekPublic, encryptedSecret);
      const integrity = credentialBlob.subarray(2, 34);
      const identity = credentialBlob.subarray(34);
      const hmac = createHmac('sha256', kdfa(seed, 'INTEGRITY', Buffer.alloc(0), 256))
        .update(identity)
        .update(akName);
      if (!timingSafeEqual(hmac.digest(), integrity)) throw new Error('TPM_RC_INTEGRITY');
      const decipher = createDecipheriv('aes-128-cfb', kdfa(seed, 'STORAGE', akName, 128), Buffer.alloc(16));
      return Buffer.concat([decipher.update(identity), decipher.final()]).subarray(2);
    },
  };
}
