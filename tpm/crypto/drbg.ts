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
