/** Memory of the KVM engine: a memfd and our mapping of it, the same pages that guests see. */
import { PAGE_SIZE } from '../engine.ts';
import { FramePool } from '../pool.ts';
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
export class KvmPool extends FramePool {
  readonly memory: MappedMemory;

  constructor(libc: Libc, frames: number) {
    const memory = new MappedMemory(libc, 'nexus-pool', frames * PAGE_SIZE);
    super(memory.bytes);
    this.memory = memory;
  }

  /** Where the frame stands in this process. */
  address(frame: number): bigint {
    this.checkFrame(frame);
    return this.memory.address + BigInt(frame * PAGE_SIZE);
  }
}
