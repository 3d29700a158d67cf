/** The exchange pool over the bytes of an engine: every access is held to its frame. */
import { type ExchangePool, PAGE_SIZE } from './engine.ts';

export class FramePool implements ExchangePool {
  readonly frames: number;
  readonly #bytes: Uint8Array;

  /** `bytes` are whole pages, zero at first. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.frames = bytes.length / PAGE_SIZE;
  }

  scrub(frame: number): void {
    this.#part(frame, 0, PAGE_SIZE).fill(0);
  }

  read(frame: number, offset: number, length: number): Uint8Array {
    return this.#part(frame, offset, length).slice();
  }

  write(frame: number, offset: number, bytes: Uint8Array): void {
    this.#part(frame, offset, bytes.length).set(bytes);
  }

  /** Throws RangeError for a frame that is not in the pool. */
  protected checkFrame(frame: number): void {
    if (Number.isInteger(frame) && frame >= 0 && frame < this.frames) return;
    throw new RangeError(`exchange pool: frame ${frame} is not in 0..${this.frames - 1}`);
  }

  #part(frame: number, offset: number, length: number): Uint8Array {
    this.checkFrame(frame);
    if (!(offset >= 0 && length >= 0 && offset + length <= PAGE_SIZE)) {
      throw new RangeError(`exchange pool: ${length} bytes at offset ${offset} leave the frame`);
    }
    const start = frame * PAGE_SIZE + offset;
    return this.#bytes.subarray(start, start + length);
  }
}
