/** The exchange pool of the v86 engine: frames in one SharedArrayBuffer that every partition's window reaches. */
import { PAGE_SIZE } from '../engine.ts';
import { FramePool } from '../pool.ts';

export class SharedPool extends FramePool {
  readonly memory: SharedArrayBuffer;

  constructor(frames: number) {
    const memory = new SharedArrayBuffer(frames * PAGE_SIZE);
    super(new Uint8Array(memory));
    this.memory = memory;
  }
}
