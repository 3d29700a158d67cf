/** Octets as the codec reads and writes them: big-endian numbers, and copies. */
import { TPM_RC } from './constants.ts';
import { TpmError } from './errors.ts';

/** A cursor over bytes from outside. Never reads past `end`. */
export class Reader {
  readonly buffer: Uint8Array;
  pos: number;
  end: number;
  /** Algorithms that the profile switches off; their identifiers are refused as unknown ones are. */
  disabled: ReadonlySet<number> | undefined;

  constructor(buffer: Uint8Array, disabled?: ReadonlySet<number>) {
    this.buffer = buffer;
    this.pos = 0;
    this.end = buffer.length;
    this.disabled = disabled;
  }

  get remaining(): number {
    return this.end - this.pos;
  }

  /** Move past `size` bytes; returns where they start. Throws TPM_RC_INSUFFICIENT. */
  advance(size: number): number {
    const at = this.pos;
    if (at + size > this.end) throw new TpmError(TPM_RC.INSUFFICIENT);
    this.pos = at + size;
    return at;
  }

  // By octets: a DataView makes the engine move a small array out of its heap. `advance` has checked what is read.
  u8(): number {
    return this.buffer[this.advance(1)]!;
  }

  u16(): number {
    const at = this.advance(2);
    return (this.buffer[at]! << 8) | this.buffer[at + 1]!;
  }

  u32(): number {
    const at = this.advance(4);
    const { buffer } = this;
    return ((buffer[at]! << 24) | (buffer[at + 1]! << 16) | (buffer[at + 2]! << 8) | buffer[at + 3]!) >>> 0;
  }

  u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }

  /** A copy, so that values may be kept while the input's memory is used again. */
  bytes(size: number): Uint8Array {
    const at = this.advance(size);
    return copyOf(this.buffer, at, at + size);
  }
}

/** Arrays of up to this many octets live in the engine's own heap, where making one is cheap; not so their views. */
const SMALL = 64;
/** Arrays of up to this many octets share blocks: memory of their own costs more than filling it. */
const SHARED = 2048;
const BLOCK = 8 * SHARED;
let block = new ArrayBuffer(BLOCK);
let used = 0;

/** `slice`, quicker for few octets. Its `buffer` may hold other values, too. */
export function copyOf(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const size = end - start;
  if (size > SHARED) return bytes.slice(start, end);
  if (size > SMALL) {
    if (used + size > BLOCK) {
      block = new ArrayBuffer(BLOCK);
      used = 0;
    }
    const copy = new Uint8Array(block, used, size);
    used += size;
    copy.set(bytes.subarray(start, end));
    return copy;
  }
  const copy = new Uint8Array(size);
  for (let i = 0; i < size; i++) copy[i] = bytes[start + i]!;
  return copy;
}

/** A growing output buffer. */
export class Writer {
  buffer: Uint8Array;
  view: DataView;
  pos = 0;

  constructor(capacity = 256) {
    this.buffer = new Uint8Array(capacity);
    this.view = new DataView(this.buffer.buffer);
  }

  /** Have memory for `size` more octets: until they are written, `buffer` stays the same. */
  room(size: number): void {
    const end = this.pos + size;
    if (end <= this.buffer.length) return;
    const bigger = new Uint8Array(Math.max(end, this.buffer.length * 2));
    bigger.set(this.buffer);
    this.buffer = bigger;
    this.view = new DataView(bigger.buffer);
  }

  reserve(size: number): number {
    const at = this.pos;
    this.room(size);
    this.pos = at + size;
    return at;
  }

  u8(value: number): void {
    const at = this.reserve(1);
    this.view.setUint8(at, value);
  }

  u16(value: number): void {
    const at = this.reserve(2);
    this.view.setUint16(at, value);
  }

  u32(value: number): void {
    const at = this.reserve(4);
    this.view.setUint32(at, value);
  }

  u64(value: bigint): void {
    const at = this.reserve(8);
    this.view.setBigUint64(at, value);
  }

  bytes(value: Uint8Array): void {
    const at = this.reserve(value.length);
    this.buffer.set(value, at);
  }

  /** What was written, as a copy that the writer will not touch again. */
  finish(): Uint8Array {
    return copyOf(this.buffer, 0, this.pos);
  }
}
