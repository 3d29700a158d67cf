/**
 * Hashes and HMACs in the making, whose state leaves as octets and comes back: for saved contexts and for machines that
 * migrate. noble's hashes do the work; their chaining values are read and set by the methods with which they clone
 * themselves. agreement.test.ts holds the octets to the standards' chaining values, whatever noble's version.
 */
import type { CHash } from '@noble/hashes/utils.js';
import { concat } from './bytes.ts';
import type { HashState } from './provider.ts';

type NobleHash = ReturnType<CHash['create']>;

/** SHA-1 and SHA-2: chaining words, octets of the message so far, and those of its unfinished block. */
interface MerkleDamgard {
  readonly buffer: Uint8Array;
  length: number;
  pos: number;
  get(): number[];
  set(...words: number[]): void;
}

/** SHA-3: the sponge, and how far its block is filled. */
interface Sponge {
  readonly state: Uint8Array;
  pos: number;
}

/** A state that is none of this hash. */
const refuse = (): never => {
  throw new RangeError('these octets are not the state of this hash');
};

/** What noble keeps; its declarations hide it from all but its own subclasses. */
const internals = (hash: NobleHash): MerkleDamgard | Sponge => hash as unknown as MerkleDamgard | Sponge;

function exportState(hash: NobleHash): Uint8Array {
  const of = internals(hash);
  if ('state' in of) return concat(of.state, Uint8Array.of(of.pos));
  const words = of.get();
  const state = new Uint8Array(words.length * 4 + 8 + of.pos);
  const view = new DataView(state.buffer);
  words.forEach((word, i) => {
    view.setInt32(i * 4, word);
  });
  view.setBigUint64(words.length * 4, BigInt(of.length));
  state.set(of.buffer.subarray(0, of.pos), words.length * 4 + 8);
  return state;
}

/** The inverse of `exportState`. Throws `RangeError` for octets that cannot be a state. */
function importState(create: CHash, state: Uint8Array): NobleHash {
  const hash = create.create();
  const of = internals(hash);
  if ('state' in of) {
    const pos = state[of.state.length] ?? refuse();
    if (state.length !== of.state.length + 1 || pos >= hash.blockLen) return refuse();
    of.state.set(state.subarray(0, of.state.length));
    of.pos = pos;
    return hash;
  }
  const count = of.get().length;
  const pending = state.subarray(count * 4 + 8);
  if (state.length < count * 4 + 8) return refuse();
  const view = new DataView(state.buffer, state.byteOffset);
  const length = view.getBigUint64(count * 4);
  if (length > Number.MAX_SAFE_INTEGER || pending.length !== Number(length) % hash.blockLen) return refuse();
  of.set(...Array.from({ length: count }, (_, i) => view.getInt32(i * 4)));
  of.buffer.set(pending);
  of.length = Number(length);
  of.pos = pending.length;
  return hash;
}

export class RunningHash implements HashState {
  readonly #hash: NobleHash;

  constructor(hash: NobleHash) {
    this.#hash = hash;
  }

  static resume(hash: CHash, state: Uint8Array): RunningHash {
    return new RunningHash(importState(hash, state));
  }

  update(data: Uint8Array): this {
    this.#hash.update(data);
    return this;
  }

  digest(): Uint8Array {
    return this.#hash.digest();
  }

  clone(): RunningHash {
    return new RunningHash(this.#hash.clone());
  }

  export(): Uint8Array {
    return exportState(this.#hash);
  }
}

/** HMAC (RFC 2104): an inner and an outer hash, each begun with its padded key. */
export class RunningHmac implements HashState {
  readonly #inner: NobleHash;
  readonly #outer: NobleHash;

  constructor(inner: NobleHash, outer: NobleHash) {
    this.#inner = inner;
    this.#outer = outer;
  }

  static start(hash: CHash, key: Uint8Array): RunningHmac {
    const short = key.length > hash.blockLen ? hash(key) : key;
    const padded = (octet: number): NobleHash => {
      const block = new Uint8Array(hash.blockLen).fill(octet);
      for (let i = 0; i < short.length; i++) block[i]! ^= short[i]!; // no longer than a block
      const begun = hash.create().update(block);
      block.fill(0);
      return begun;
    };
    return new RunningHmac(padded(0x36), padded(0x5c));
  }

  static resume(hash: CHash, state: Uint8Array): RunningHmac {
    // The outer hash stands at the end of its first block, so its state is as long as that of an empty one.
    const size = exportState(hash.create()).length;
    return new RunningHmac(importState(hash, state.subarray(size)), importState(hash, state.subarray(0, size)));
  }

  update(data: Uint8Array): this {
    this.#inner.update(data);
    return this;
  }

  digest(): Uint8Array {
    return this.#outer.update(this.#inner.digest()).digest();
  }

  clone(): RunningHmac {
    return new RunningHmac(this.#inner.clone(), this.#outer.clone());
  }

  export(): Uint8Array {
    return concat(exportState(this.#outer), exportState(this.#inner));
  }
}
