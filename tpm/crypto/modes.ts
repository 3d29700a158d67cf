/** Modes of AES: what they take, and the IV with which a caller goes on (TPM2_EncryptDecrypt's ivOut). */
import type { AesMode } from './provider.ts';

export const AES_BLOCK = 16;

/** Whether a mode works on whole blocks only. */
export const takesWholeBlocks = (mode: AesMode): boolean => mode === 'cbc' || mode === 'ecb';

/**
 * The chaining value after a call: the counter for CTR, the last key stream for OFB, the last block of cipher text for
 * CBC and CFB (its missing octets zero, as in the reference), nothing for ECB. Part 3, section 15.2.
 */
export function chainedIv(mode: AesMode, iv: Uint8Array, plain: Uint8Array, cipher: Uint8Array): Uint8Array {
  if (mode === 'ecb') return new Uint8Array(0);
  if (plain.length === 0) return iv.slice();
  if (mode === 'ctr') return addToCounter(iv, Math.ceil(plain.length / AES_BLOCK));
  const from = Math.floor((plain.length - 1) / AES_BLOCK) * AES_BLOCK;
  const next = new Uint8Array(AES_BLOCK);
  const last = cipher.subarray(from);
  next.set(mode === 'ofb' ? last.map((octet, i) => octet ^ plain[from + i]!) : last);
  return next;
}

function addToCounter(counter: Uint8Array, blocks: number): Uint8Array {
  const next = counter.slice();
  let carry = blocks;
  for (let i = next.length - 1; i >= 0 && carry > 0; i--) {
    carry += next[i]!;
    next[i] = carry & 0xff;
    carry >>>= 8;
  }
  return next;
}
