/** Bytes as a stream delivers them, taken as frames. */

const NONE = new Uint8Array(0);

/**
 * A queue of received bytes. A chunk that holds a whole frame is handed on without a copy, and a frame that arrives in
 * n pieces costs O(n): pieces are joined only when the frame is complete (or for its header).
 */
export class ByteQueue {
  #chunks: Uint8Array[] = [];
  #length = 0;

  /** Bytes waiting. */
  get length(): number {
    return this.#length;
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    // A plain view: the slice method of Node's Buffer means something else.
    this.#chunks.push(chunk instanceof Buffer ? new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length) : chunk);
    this.#length += chunk.length;
  }

  /** The big-endian 32-bit value at `at`, left in the queue; undefined until it is there. */
  u32(at: number): number | undefined {
    return this.#length < at + 4 ? undefined : u32At(this.#joined(at + 4), at);
  }

  /** The first `size` bytes, left in the queue; undefined until they are there. */
  peek(size: number): Uint8Array | undefined {
    if (this.#length < size) return undefined;
    return this.#joined(size).subarray(0, size);
  }

  /** The first `size` bytes, removed; undefined until they are there. */
  take(size: number): Uint8Array | undefined {
    if (this.#length < size) return undefined;
    if (size === 0) return NONE;
    const first = this.#joined(size);
    this.#length -= size;
    if (first.length === size) {
      this.#chunks.shift();
      return first;
    }
    this.#chunks[0] = first.subarray(size);
    return first.subarray(0, size);
  }

  /** Copy what waits, so that the memory it came in can be used again. */
  own(): void {
    if (this.#length > 0) this.#chunks = [this.#joined(this.#length).slice()];
  }

  /** Forget everything that waits. */
  clear(): void {
    this.#chunks = [];
    this.#length = 0;
  }

  /** The first chunk, grown to at least `size` bytes; the caller has checked that they are there. */
  #joined(size: number): Uint8Array {
    const first = this.#chunks[0] ?? NONE;
    if (first.length >= size) return first;
    let count = 0;
    let length = 0;
    while (length < size) length += this.#chunks[count++]?.length ?? 0;
    const joined = new Uint8Array(length);
    let at = 0;
    for (const chunk of this.#chunks.splice(0, count)) {
      joined.set(chunk, at);
      at += chunk.length;
    }
    this.#chunks.unshift(joined);
    return joined;
  }
}

/** Big-endian 32-bit value at `at`; 0 past the end. */
export function u32At(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)) >>> 0
  );
}

/** Big-endian 32-bit values, one after the other. */
export function u32s(...values: number[]): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => {
    view.setUint32(4 * i, value);
  });
  return bytes;
}

export function concat(...parts: Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
