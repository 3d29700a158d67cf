/** HMAC_DRBG with SHA-256 (SP800-90A, section 10.1.2): the TPM's random numbers, and keys derived from a seed. */
import { TPM_ALG } from '../structures/constants.ts';
import { concat } from './bytes.ts';
import type { CryptoProvider } from './provider.ts';

/** A source of random octets. */
export interface RandomSource {
  bytes(size: number): Uint8Array;
}

export class HmacDrbg implements RandomSource {
  readonly #crypto: CryptoProvider;
  #key = new Uint8Array(32);
  #value = new Uint8Array(32).fill(1);

  constructor(crypto: CryptoProvider, seed: Uint8Array) {
    this.#crypto = crypto;
    this.reseed(seed);
  }

  /** Mix `input` into the state. */
  reseed(input: Uint8Array): void {
    for (const round of [0, 1]) {
      if (round === 1 && input.length === 0) break;
      this.#key = this.#hmac(this.#value, Uint8Array.of(round), input);
      this.#value = this.#hmac(this.#value);
    }
  }

  bytes(size: number): Uint8Array {
    const blocks: Uint8Array[] = [];
    for (let have = 0; have < size; have += 32) {
      this.#value = this.#hmac(this.#value);
      blocks.push(this.#value);
    }
    this.reseed(new Uint8Array(0));
    return concat(...blocks).slice(0, size);
  }

  #hmac(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#crypto.hmac(TPM_ALG.SHA256, this.#key, ...parts));
  }
}

/** Octets made at a time. */
const POOL_SIZE = 1024;
const KEY_SIZE = 32;
const ZERO_IV = new Uint8Array(16);
const ZEROS = new Uint8Array(KEY_SIZE + POOL_SIZE);

/**
 * The TPM's own generator: a pool of AES-256-CTR key stream, whose first octets become the next key (fast key erasure,
 * Bernstein 2017), so that neither past output nor a past key can be found in memory. HMAC_DRBG gives the first key and
 * takes what is stirred in. An HMAC costs more than a small command; a pool costs one AES call for some 30 nonces.
 */
export class PooledRandom implements RandomSource {
  readonly #crypto: CryptoProvider;
  readonly #drbg: HmacDrbg;
  #key: Uint8Array;
  #pool: Uint8Array = new Uint8Array(0);
  #used = 0;

  constructor(crypto: CryptoProvider, seed: Uint8Array) {
    this.#crypto = crypto;
    this.#drbg = new HmacDrbg(crypto, seed);
    this.#key = this.#drbg.bytes(KEY_SIZE);
  }

  /** Mix `input` into the state; what was made before is thrown away. */
  reseed(input: Uint8Array): void {
    this.#drbg.reseed(concat(input, this.#key));
    this.#key = this.#drbg.bytes(KEY_SIZE);
    this.#pool.fill(0);
    this.#used = this.#pool.length;
  }

  bytes(size: number): Uint8Array {
    const output = new Uint8Array(size);
    for (let at = 0; at < size; ) {
      if (this.#used === this.#pool.length) this.#fill();
      const part = this.#pool.subarray(this.#used, this.#used + size - at);
      output.set(part, at);
      part.fill(0);
      at += part.length;
      this.#used += part.length;
    }
    return output;
  }

  #fill(): void {
    const stream = this.#crypto.aes('ctr', true, this.#key, ZERO_IV, ZEROS);
    this.#key.fill(0);
    this.#key = stream.slice(0, KEY_SIZE);
    this.#pool = stream.subarray(KEY_SIZE);
    this.#used = 0;
  }
}
