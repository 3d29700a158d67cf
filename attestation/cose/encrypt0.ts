/** COSE_Encrypt0 with A256GCM: sealed blobs. */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { encodeCbor, Tag } from '../cbor.ts';
import { CoseError, HEADER, type Headers, isBytes, parts, protect, protectedHeaders, TAG_ENCRYPT0 } from './object.ts';

/** RFC 9053, section 4.1. */
const A256GCM = 3;
const IV_SIZE = 12;
const GCM_TAG_SIZE = 16;

/** Encrypt with A256GCM under a 32-byte key and a random IV. The headers are authenticated and readable. */
export function encryptEncrypt0(plaintext: Uint8Array, key: Uint8Array, headers: Headers): Uint8Array {
  const iv = randomBytes(IV_SIZE);
  const protectedHeader = protect(A256GCM, headers);
  const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(encryptionInput(protectedHeader));
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
  const unprotected = new Map([[HEADER.iv, Uint8Array.from(iv)]]);
  return encodeCbor(new Tag([protectedHeader, unprotected, Uint8Array.from(ciphertext)], TAG_ENCRYPT0));
}

/** The protected headers of a COSE_Encrypt0, before the key is known. Not yet authenticated. Throws CoseError. */
export function encrypt0Headers(bytes: Uint8Array): Headers {
  return openEncrypt0(bytes).headers;
}

/** Decrypt. Throws CoseError when the key is another or anything was changed. */
export function decryptEncrypt0(bytes: Uint8Array, key: Uint8Array): { headers: Headers; plaintext: Uint8Array } {
  const { headers, protectedHeader, iv, ciphertext } = openEncrypt0(bytes);
  const end = ciphertext.length - GCM_TAG_SIZE;
  const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: GCM_TAG_SIZE })
    .setAAD(encryptionInput(protectedHeader))
    .setAuthTag(ciphertext.subarray(end));
  try {
    return {
      headers,
      plaintext: Uint8Array.from(Buffer.concat([decipher.update(ciphertext.subarray(0, end)), decipher.final()])),
    };
  } catch {
    throw new CoseError('the object does not open with this key');
  }
}

function openEncrypt0(bytes: Uint8Array) {
  const [protectedHeader, unprotected, ciphertext] = parts(bytes, TAG_ENCRYPT0, 3, true);
  const headers = protectedHeaders(protectedHeader, true);
  if (headers.get(HEADER.algorithm) !== A256GCM) throw new CoseError('another algorithm than the one used here');
  const iv = unprotected instanceof Map && unprotected.size === 1 ? unprotected.get(HEADER.iv) : undefined;
  if (!isBytes(iv, IV_SIZE)) throw new CoseError('no initialisation vector');
  if (!(ciphertext instanceof Uint8Array) || ciphertext.length < GCM_TAG_SIZE) throw new CoseError('no ciphertext');
  return { headers, protectedHeader: protectedHeader as Uint8Array, iv, ciphertext };
}

const encryptionInput = (protectedHeader: Uint8Array) => encodeCbor(['Encrypt0', protectedHeader, new Uint8Array()]);
