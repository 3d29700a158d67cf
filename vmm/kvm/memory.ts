/** Memory of the KVM engine: a memfd and our mapping of it, the same pages that guests see. */
import { type ExchangePool, PAGE_SIZE } from '../engine.ts';
import type { Libc } from './libc.ts';

export class MappedMemory {
  readonly address: bigint;
  readonly length: number;
  readonly bytes: Uint8Array;
  readonly #libc: Libc;
  readonly #fd: number;

  constructor(libc: Libc, name: string, length: number) {
    this.#libc = libc;
    this.length = length;
    this.#fd = libc.memory(name, length);
    this.address = libc.map(this.#fd, length);
    this.bytes = new Uint8Array(libc.view(this.address, length));
  }

  /** Gives the pages back. Our view must not be used afterwards. */
  free(): void {
    this.#libc.unmap(this.address, this.length);
    this.#libc.close(this.#fd);
  }
}

/** The exchange pool: a frame is a page of one memfd, and becomes a memory slot of every partition that maps it. */
export class KvmPool implements ExchangePool {
  readonly frames: number;
  readonly memory: MappedMemory;

  constructor(libc: Libc, frames: number) {
    this.frames = frames;
    this.memory = new MappedMemory(libc, 'nexus-pool', frames * PAGE_SIZE);
  }

  /** Where the frame stands in this process. */
  address(frame: number): bigint {
    this.#page(frame, 0, PAGE_SIZE);
    return this.memory.address + BigInt(frame * PAGE_SIZE);
  }

  scrub(frame: number): void {
    this.#page(frame, 0, PAGE_SIZE).fill(0);
  }

  read(frame: number, offset: number, length: number): Uint8Array {
    return this.#page(frame, offset, length).slice();
  }

  write(frame: number, offset: number, bytes: Uint8Array): void {
    this.#page(frame, offset, bytes.length).set(bytes);
  }

  #page(frame: number, offset: number, length: number): Uint8Array {
    if (!Number.isInteger(frame) || frame < 0 || frame >= this.frames) {
      throw new RangeError(`exchange pool: frame ${frame} is not in 0..${this.frames - 1}`);
    }
    if (!(offset >= 0 && length >= 0 && offset + length <= PAGE_SIZE)) {
      throw new RangeError(`exchange pool: ${length} bytes at offset ${offset} leave the frame`);
    }
    const start = frame * PAGE_SIZE + offset;
    return this.memory.bytes.subarray(start, start + length);
  }
}
