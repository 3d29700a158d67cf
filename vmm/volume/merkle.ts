/** A binary SHA-256 tree over the blocks of a volume, in memory; one leaf changes in logarithmic time. */
import { createHash } from 'node:crypto';

const HASH_SIZE = 32;
/** Domains, so that a leaf is never taken for a node (RFC 9162, section 2.1.1). */
const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

const hash = (...parts: readonly Uint8Array[]): Buffer => {
  const sha = createHash('sha256');
  for (const part of parts) sha.update(part);
  return sha.digest();
};

export class MerkleTree {
  /** Heap order: node 1 is the root, node i has children 2i and 2i+1. */
  readonly #nodes: Buffer;
  readonly #width: number;

  /** `leaves` gives the content of leaf i; absent leaves are empty. */
  constructor(count: number, leaf: (index: number) => Uint8Array) {
    this.#width = 2 ** Math.ceil(Math.log2(Math.max(count, 2)));
    this.#nodes = Buffer.alloc(2 * this.#width * HASH_SIZE);
    const empty = hash(LEAF);
    for (let i = 0; i < this.#width; i++) this.#set(this.#width + i, i < count ? hash(LEAF, leaf(i)) : empty);
    for (let i = this.#width - 1; i >= 1; i--) this.#join(i);
  }

  get root(): Buffer {
    return Buffer.from(this.#get(1));
  }

  update(index: number, content: Uint8Array): void {
    let i = this.#width + index;
    this.#set(i, hash(LEAF, content));
    for (i >>= 1; i >= 1; i >>= 1) this.#join(i);
  }

  #join(i: number): void {
    this.#set(i, hash(NODE, this.#get(2 * i), this.#get(2 * i + 1)));
  }

  #get(i: number): Buffer {
    return this.#nodes.subarray(i * HASH_SIZE, (i + 1) * HASH_SIZE);
  }

  #set(i: number, value: Buffer): void {
    value.copy(this.#nodes, i * HASH_SIZE);
  }
}
