/**
 * TPM2_MakeCredential without a TPM: wrap a secret so that only the TPM that holds the endorsement key, and in it the
 * object of the given name, gives it back. Part 1, section 24 and annexes B.10.4 and C.6.4 (secret sharing).
 */
import {
  constants,
  createCipheriv,
  createECDH,
  createHash,
  createHmac,
  createPublicKey,
  publicEncrypt,
  randomBytes,
} from 'node:crypto';
import type { CertifiedCurve, CertifiedKey } from './ek-certificates.ts';
import type { NameHash, TpmPublic } from './tpm-public.ts';

export interface Credential {
  /** TPMS_ID_OBJECT: contents of TPM2B_ID_OBJECT. */
  readonly credentialBlob: Uint8Array;
  /** Contents of TPM2B_ENCRYPTED_SECRET. */
  readonly encryptedSecret: Uint8Array;
}

const DIGEST_BYTES: Readonly<Record<NameHash, number>> = { sha1: 20, sha256: 32, sha384: 48, sha512: 64 };
const ECDH_CURVES: Readonly<Record<CertifiedCurve, readonly [name: string, bytes: number]>> = {
  'P-256': ['prime256v1', 32],
  'P-384': ['secp384r1', 48],
  'P-521': ['secp521r1', 66],
};
const EMPTY = new Uint8Array(0);

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function sized(bytes: Uint8Array): Buffer {
  return Buffer.concat([u16(bytes.length), bytes]);
}

/** Left-padded with zeros to the field's length. */
function padded(bytes: Uint8Array, length: number): Buffer {
  return Buffer.concat([Buffer.alloc(length - bytes.length), bytes]);
}

/** KDFa (SP 800-108 counter mode), Part 1, section 11.4.10.2; at most one digest of output. */
function kdfa(hash: NameHash, key: Uint8Array, label: string, context: Uint8Array, bits: number): Buffer {
  const input = Buffer.concat([u32(1), Buffer.from(`${label}\0`), context, u32(bits)]);
  return createHmac(hash, key)
    .update(input)
    .digest()
    .subarray(0, bits / 8);
}

/** KDFe (SP 800-56A concatenation), Part 1, section 11.4.10.3; one digest of output. */
function kdfe(hash: NameHash, z: Uint8Array, label: string, partyU: Uint8Array, partyV: Uint8Array): Buffer {
  return createHash(hash)
    .update(Buffer.concat([u32(1), z, Buffer.from(`${label}\0`), partyU, partyV]))
    .digest();
}

/** A seed that only the EK's TPM can recover, and what it recovers it from. */
function shareSeed(key: CertifiedKey, hash: NameHash): readonly [seed: Buffer, encrypted: Buffer] {
  if (key.type === 'rsa') {
    const seed = randomBytes(DIGEST_BYTES[hash]);
    const exponent = trimZeros(u32(key.exponent));
    const jwk = {
      kty: 'RSA',
      n: Buffer.from(key.modulus).toString('base64url'),
      e: Buffer.from(exponent).toString('base64url'),
    };
    const encrypted = publicEncrypt(
      {
        key: createPublicKey({ key: jwk, format: 'jwk' }),
        padding: constants.RSA_PKCS1_OAEP_PADDING,
        oaepHash: hash,
        oaepLabel: Buffer.from('IDENTITY\0'),
      },
      seed,
    );
    return [seed, encrypted];
  }
  const [curve, length] = ECDH_CURVES[key.curve];
  const x = padded(key.x, length);
  const ephemeral = createECDH(curve);
  const point = ephemeral.generateKeys();
  // Throws for a point that is not on the curve.
  const z = ephemeral.computeSecret(Buffer.concat([Buffer.of(4), x, padded(key.y, length)]));
  const ephemeralX = point.subarray(1, 1 + length);
  const seed = kdfe(hash, padded(z, length), 'IDENTITY', ephemeralX, x);
  z.fill(0);
  return [seed, Buffer.concat([sized(ephemeralX), sized(point.subarray(1 + length))])];
}

function trimZeros(bytes: Uint8Array): Uint8Array {
  const start = bytes.findIndex((byte) => byte !== 0);
  return bytes.subarray(start < 0 ? bytes.length - 1 : start);
}

/**
 * `secret` is at most one digest of the EK's name algorithm long; `objectName` is the name of the attestation key.
 * Throws `RangeError` when the EK has no AES parameters or the secret is too long.
 */
export function makeCredential(ek: TpmPublic, objectName: Uint8Array, secret: Uint8Array): Credential {
  if (ek.symmetricBits === undefined) throw new RangeError('the key is not a storage key');
  if (secret.length > DIGEST_BYTES[ek.nameAlg]) throw new RangeError('the secret is longer than a digest');
  const [seed, encryptedSecret] = shareSeed(ek.key, ek.nameAlg);
  const symmetricKey = kdfa(ek.nameAlg, seed, 'STORAGE', objectName, ek.symmetricBits);
  const cipher = createCipheriv(`aes-${ek.symmetricBits}-cfb`, symmetricKey, Buffer.alloc(16));
  const identity = Buffer.concat([cipher.update(sized(secret)), cipher.final()]);
  const hmacKey = kdfa(ek.nameAlg, seed, 'INTEGRITY', EMPTY, DIGEST_BYTES[ek.nameAlg] * 8);
  const integrity = createHmac(ek.nameAlg, hmacKey).update(identity).update(objectName).digest();
  seed.fill(0);
  symmetricKey.fill(0);
  return { credentialBlob: Buffer.concat([sized(integrity), identity]), encryptedSecret };
}
