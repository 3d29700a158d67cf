/** The exchange pool of the v86 engine: frames in one SharedArrayBuffer that every partition's window reaches. */
import { type ExchangePool, PAGE_SIZE } from '../engine.ts';

export class SharedPool implements ExchangePool {
  readonly frames: number;
  readonly memory: SharedArrayBuffer;
  readonly #bytes: Uint8Array;

  constructor(frames: number) {
    this.frames = frames;
    this.memory = new SharedArrayBuffer(frames * PAGE_SIZE);
    this.#bytes = new Uint8Array(this.memory);
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
    return this.#bytes.subarray(start, start + length);
  }
}
