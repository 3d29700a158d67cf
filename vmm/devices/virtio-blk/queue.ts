/**
 * A split virtqueue in guest memory, from the device's side. VIRTIO 1.2, section 2.7. All that stands there is hostile:
 * it is read once, then checked, and a walk is as long as the queue at the most.
 */
import { DESC, NO_INTERRUPT, QUEUE_MAX } from './registers.ts';

/** The guest's memory, as a device reaches it. */
export interface GuestMemory {
  readonly size: number;
  read(address: number, length: number): Uint8Array;
  write(address: number, bytes: Uint8Array): void;
}

/** A piece of a request, within memory. */
export interface Segment {
  readonly address: number;
  readonly length: number;
  /** The device writes it. */
  readonly writable: boolean;
}

/** A chain of descriptors is not one, or leaves memory: the driver is broken, and the device stops (section 2.1.2). */
export class BrokenQueue extends Error {}

/** Areas of the queue; their addresses have 64 bits. */
export type Area = 'descriptors' | 'driver' | 'device';

/** What a snapshot holds. */
export interface SavedQueue {
  readonly size: number;
  readonly ready: boolean;
  readonly areas: Readonly<Record<Area, number>>;
  readonly nextAvailable: number;
  readonly nextUsed: number;
}

const NO_AREAS: Readonly<Record<Area, number>> = { descriptors: 0, driver: 0, device: 0 };
const isPowerOfTwo = (value: number) => value > 0 && (value & (value - 1)) === 0;

export class SplitQueue {
  readonly #memory: GuestMemory;
  #size = 0;
  #ready = false;
  #areas: Record<Area, number> = { ...NO_AREAS };
  #nextAvailable = 0;
  #nextUsed = 0;

  constructor(memory: GuestMemory) {
    this.#memory = memory;
  }

  get ready(): boolean {
    return this.#ready;
  }

  /** The driver's words; once the queue is ready they change nothing. */
  setSize(size: number): void {
    if (!this.#ready) this.#size = size;
  }

  /** The low or high word of an area's address. */
  setArea(area: Area, half: 'low' | 'high', value: number): void {
    if (this.#ready) return;
    const old = this.#areas[area];
    const low = old % 2 ** 32;
    // A high word makes the address one that no guest of ours has; it is refused when it is used.
    this.#areas[area] = half === 'low' ? old - low + (value >>> 0) : low + (value >>> 0) * 2 ** 32;
  }

  /** A queue of a size that none has does not become ready. */
  setReady(ready: boolean): void {
    this.#ready = ready && this.#size <= QUEUE_MAX && isPowerOfTwo(this.#size);
  }

  reset(): void {
    this.load({ size: 0, ready: false, areas: NO_AREAS, nextAvailable: 0, nextUsed: 0 });
  }

  /** Requests that the driver has handed over since the last call: head of the chain, and its segments in order. */
  *take(): Iterable<readonly [head: number, segments: readonly Segment[]]> {
    const newest = this.#u16(this.#areas.driver + 2);
    // A driver that claims more than the queue holds has lost count.
    if (((newest - this.#nextAvailable) & 0xffff) > this.#size) throw new BrokenQueue();
    while (this.#nextAvailable !== newest) {
      const head = this.#u16(this.#areas.driver + 4 + 2 * (this.#nextAvailable % this.#size));
      this.#nextAvailable = (this.#nextAvailable + 1) & 0xffff;
      yield [head, this.#chain(head)];
    }
  }

  /** Give a request back, with the number of bytes that were written to it. True when the driver wants an interrupt. */
  give(head: number, written: number): boolean {
    const entry = new DataView(new ArrayBuffer(8));
    entry.setUint32(0, head, true);
    entry.setUint32(4, written, true);
    this.#write(this.#areas.device + 4 + 8 * (this.#nextUsed % this.#size), new Uint8Array(entry.buffer));
    this.#nextUsed = (this.#nextUsed + 1) & 0xffff;
    this.#write(this.#areas.device + 2, Uint8Array.of(this.#nextUsed & 0xff, this.#nextUsed >>> 8));
    return (this.#u16(this.#areas.driver) & NO_INTERRUPT) === 0;
  }

  save(): SavedQueue {
    return {
      ...{ size: this.#size, ready: this.#ready, areas: { ...this.#areas } },
      ...{ nextAvailable: this.#nextAvailable, nextUsed: this.#nextUsed },
    };
  }

  load(saved: SavedQueue): void {
    this.#size = saved.size;
    this.#ready = saved.ready;
    this.#areas = { ...saved.areas };
    this.#nextAvailable = saved.nextAvailable;
    this.#nextUsed = saved.nextUsed;
  }

  #chain(head: number): Segment[] {
    const segments: Segment[] = [];
    for (let at = head; ; ) {
      if (at >= this.#size || segments.length === this.#size) throw new BrokenQueue();
      const bytes = this.#read(this.#areas.descriptors + DESC.SIZE * at, DESC.SIZE);
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const flags = view.getUint16(12, true);
      if ((flags & DESC.INDIRECT) !== 0 || view.getUint32(4, true) !== 0) throw new BrokenQueue();
      const [address, length] = [view.getUint32(0, true), view.getUint32(8, true)];
      if (address + length > this.#memory.size) throw new BrokenQueue();
      segments.push({ address, length, writable: (flags & DESC.WRITE) !== 0 });
      if ((flags & DESC.NEXT) === 0) return segments;
      at = view.getUint16(14, true);
    }
  }

  #u16(address: number): number {
    const [low = 0, high = 0] = this.#read(address, 2);
    return low | (high << 8);
  }

  #read(address: number, length: number): Uint8Array {
    if (address + length > this.#memory.size) throw new BrokenQueue();
    return this.#memory.read(address, length);
  }

  #write(address: number, bytes: Uint8Array): void {
    if (address + bytes.length > this.#memory.size) throw new BrokenQueue();
    this.#memory.write(address, bytes);
  }
}

/** A saved queue, checked. Calls `fault` for what is none. */
export function checkSavedQueue(value: unknown, fault: (what: string) => Error): SavedQueue {
  const saved = value as Partial<SavedQueue> | null | undefined; // every field is checked below
  const natural = (field: unknown, most: number): number => {
    if (typeof field === 'number' && Number.isInteger(field) && field >= 0 && field <= most) return field;
    throw fault('a number out of range');
  };
  const ready = saved?.ready === true;
  const size = natural(saved?.size, 0xffffffff);
  if (ready && (size > QUEUE_MAX || !isPowerOfTwo(size))) throw fault('queue size');
  const area = (name: Area) => natural(saved?.areas?.[name], Number.MAX_SAFE_INTEGER);
  return {
    ...{ ready, size, areas: { descriptors: area('descriptors'), driver: area('driver'), device: area('device') } },
    ...{ nextAvailable: natural(saved?.nextAvailable, 0xffff), nextUsed: natural(saved?.nextUsed, 0xffff) },
  };
}
