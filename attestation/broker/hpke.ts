/**
 * HPKE base mode (RFC 9180) for one suite, the one in docs/architecture.md: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256,
 * ChaCha20-Poly1305, one message per context. Over noble's primitives, so that it runs in the browser bundle too.
 */
import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { x25519 } from '@noble/curves/ed25519.js';
import { expand, extract } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';

/** RFC 9180, section 7: KEM 0x0020, KDF 0x0001, AEAD 0x0003. */
const KEM_SUITE = concatBytes(utf8ToBytes('KEM'), Uint8Array.of(0x00, 0x20));
const HPKE_SUITE = concatBytes(utf8ToBytes('HPKE'), Uint8Array.of(0x00, 0x20, 0x00, 0x01, 0x00, 0x03));
const VERSION = utf8ToBytes('HPKE-v1');
const MODE_BASE = Uint8Array.of(0);
const EMPTY = new Uint8Array(0);

export const X25519_KEY_BYTES = 32;

export interface HpkeMessage {
  /** The sender's ephemeral X25519 public key, 32 bytes. */
  readonly enc: Uint8Array;
  /** Ciphertext and 16-byte tag. */
  readonly ciphertext: Uint8Array;
}

function labeledExtract(suite: Uint8Array, salt: Uint8Array, label: string, ikm: Uint8Array): Uint8Array {
  return extract(sha256, concatBytes(VERSION, suite, utf8ToBytes(label), ikm), salt);
}

function labeledExpand(
  suite: Uint8Array,
  prk: Uint8Array,
  label: string,
  info: Uint8Array,
  length: number,
): Uint8Array {
  const size = Uint8Array.of(length >> 8, length & 0xff);
  return expand(sha256, prk, concatBytes(size, VERSION, suite, utf8ToBytes(label), info), length);
}

/** Sections 4.1 (ExtractAndExpand) and 5.1 (KeySchedule), base mode. */
function schedule(dh: Uint8Array, enc: Uint8Array, recipient: Uint8Array, info: Uint8Array) {
  const eae = labeledExtract(KEM_SUITE, EMPTY, 'eae_prk', dh);
  const shared = labeledExpand(KEM_SUITE, eae, 'shared_secret', concatBytes(enc, recipient), 32);
  const context = concatBytes(
    MODE_BASE,
    labeledExtract(HPKE_SUITE, EMPTY, 'psk_id_hash', EMPTY),
    labeledExtract(HPKE_SUITE, EMPTY, 'info_hash', info),
  );
  const secret = labeledExtract(HPKE_SUITE, shared, 'secret', EMPTY);
  return {
    key: labeledExpand(HPKE_SUITE, secret, 'key', context, 32),
    nonce: labeledExpand(HPKE_SUITE, secret, 'base_nonce', context, 12),
  };
}

/**
 * Encrypt one message to an X25519 public key. Throws `RangeError` for a key of another length and noble's error for a
 * point of small order. `ephemeralSecret` is for test vectors only.
 */
export function hpkeSeal(
  recipient: Uint8Array,
  info: Uint8Array,
  aad: Uint8Array,
  plaintext: Uint8Array,
  ephemeralSecret: Uint8Array = x25519.utils.randomSecretKey(),
): HpkeMessage {
  if (recipient.length !== X25519_KEY_BYTES) throw new RangeError('an X25519 public key has 32 bytes');
  const enc = x25519.getPublicKey(ephemeralSecret);
  const { key, nonce } = schedule(x25519.getSharedSecret(ephemeralSecret, recipient), enc, recipient, info);
  return { enc, ciphertext: chacha20poly1305(key, nonce, aad).encrypt(plaintext) };
}

/** Decrypt what `hpkeSeal` made. Throws when key, info, associated data or a byte differs. */
export function hpkeOpen(secretKey: Uint8Array, message: HpkeMessage, info: Uint8Array, aad: Uint8Array): Uint8Array {
  const shared = x25519.getSharedSecret(secretKey, message.enc);
  const { key, nonce } = schedule(shared, message.enc, x25519.getPublicKey(secretKey), info);
  return chacha20poly1305(key, nonce, aad).decrypt(message.ciphertext);
}
