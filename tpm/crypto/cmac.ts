/** AES-CMAC (RFC 4493; SP 800-38B) over a provider's AES. */
import { concat } from './bytes.ts';
import type { CryptoProvider, HashState } from './provider.ts';

const BLOCK = 16;

/** A MAC in the making; `digest` gives 16 octets. All but the last block are folded in as they come. */
export class Cmac implements HashState {
  readonly #crypto: CryptoProvider;
  readonly #key: Uint8Array;
  #chain: Uint8Array;
  #rest: Uint8Array;

  constructor(crypto: CryptoProvider, key: Uint8Array, chain = new Uint8Array(BLOCK), rest = new Uint8Array(0)) {
    this.#crypto = crypto;
    this.#key = key;
    this.#chain = chain;
    this.#rest = rest;
  }

  update(data: Uint8Array): this {
    const all = concat(this.#rest, data);
    const fold = all.length === 0 ? 0 : Math.floor((all.length - 1) / BLOCK) * BLOCK;
    if (fold > 0) this.#chain = this.#encrypt(this.#chain, all.subarray(0, fold)).slice(-BLOCK);
    this.#rest = all.slice(fold);
    return this;
  }

  /** The last block is XORed with a subkey, by whether it is whole (section 2.4). */
  digest(): Uint8Array {
    const subkey = double(this.#crypto.aes('ecb', true, this.#key, new Uint8Array(0), new Uint8Array(BLOCK)));
    const whole = this.#rest.length === BLOCK;
    const last = whole ? subkey : double(subkey);
    for (let i = 0; i < this.#rest.length; i++) last[i]! ^= this.#rest[i]!;
    if (!whole) last[this.#rest.length]! ^= 0x80;
    return this.#encrypt(this.#chain, last);
  }

  export(): Uint8Array {
    return concat(Uint8Array.of(this.#key.length), this.#key, this.#chain, this.#rest);
  }

  /** Continue from what `export` gave. Throws `RangeError` for octets that are no state. */
  static resume(crypto: CryptoProvider, state: Uint8Array): Cmac {
    const chain = 1 + (state[0] ?? 0);
    const rest = chain + BLOCK;
    if (![16, 24, 32].includes(chain - 1) || state.length < rest || state.length > rest + BLOCK)
      throw new RangeError('these octets are not the state of a CMAC');
    return new Cmac(crypto, state.slice(1, chain), state.slice(chain, rest), state.slice(rest));
  }

  clone(): Cmac {
    return new Cmac(this.#crypto, this.#key, this.#chain.slice(), this.#rest.slice());
  }

  #encrypt(chain: Uint8Array, data: Uint8Array): Uint8Array {
    return this.#crypto.aes('cbc', true, this.#key, chain, data);
  }
}

/** Doubling in GF(2^128) (section 2.3). */
function double(block: Uint8Array): Uint8Array {
  const result = block.map((octet, i) => (octet << 1) | ((block[i + 1] ?? 0) >>> 7));
  result[BLOCK - 1]! ^= 0x87 & -(block[0]! >>> 7);
  return result;
}
