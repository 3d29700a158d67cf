/**
 * The window through which a guest on v86 sees pages of the exchange pool: memory-mapped I/O at WINDOW_BASE.
 *
 * The host thread alone writes the table. An access raises IN_WINDOW, reads the table, touches the page and lowers
 * IN_WINDOW, all sequentially consistent; `remap` writes the table and then waits for IN_WINDOW to be 0. So after
 * `remap` no access that used the old entry can still be under way (the argument of Dekker's algorithm).
 *
 * An unmapped page reads as all ones and swallows writes, like an address with nothing behind it; so does a write to
 * a page mapped for reading only.
 */
import { PAGE_SIZE, PERM_READ, PERM_WRITE, WINDOW_BASE, WINDOW_PAGES } from '../engine.ts';
import type { V86Io } from './cpu.ts';
import { CONTROL } from './protocol.ts';

const PERMISSIONS = PERM_READ | PERM_WRITE;
const OFFSET = PAGE_SIZE - 1;
const PAGE_SHIFT = 12;

export function createWindowTable(): SharedArrayBuffer {
  return new SharedArrayBuffer(WINDOW_PAGES * 4);
}

/** Host thread: set an entry; permission 0 unmaps. False if the Worker did not leave the window within a second. */
export function remap(
  table: Int32Array,
  control: Int32Array,
  page: number,
  frame: number,
  permission: number,
  alive: () => boolean,
): boolean {
  Atomics.store(table, page, permission === 0 ? 0 : (frame << 2) | (permission & PERMISSIONS));
  const deadline = performance.now() + 1000;
  for (let spins = 0; alive() && Atomics.load(control, CONTROL.IN_WINDOW) === 1; spins++) {
    if (spins < 1000) continue;
    if (performance.now() > deadline) return false;
    Atomics.wait(control, CONTROL.IN_WINDOW, 1, 0.1);
  }
  return true;
}

/** Worker: put the window on the bus. */
export function registerWindow(io: V86Io, table: Int32Array, control: Int32Array, pool: SharedArrayBuffer): void {
  const pool8 = new Uint8Array(pool);
  const pool32 = new Int32Array(pool);

  /** Byte position in the pool, or -1 where this access reaches nothing. Only between enter and leave. */
  const locate = (offset: number, wanted: number): number => {
    const entry = Atomics.load(table, offset >>> PAGE_SHIFT);
    return (entry & wanted) === 0 ? -1 : (entry >> 2) * PAGE_SIZE + (offset & OFFSET);
  };
  const enter = () => Atomics.store(control, CONTROL.IN_WINDOW, 1);
  const leave = () => Atomics.store(control, CONTROL.IN_WINDOW, 0);

  const read8 = (address: number): number => {
    enter();
    const at = locate((address - WINDOW_BASE) >>> 0, PERM_READ);
    const value = at < 0 ? 0xff : (pool8[at] ?? 0xff);
    leave();
    return value;
  };
  const write8 = (address: number, value: number): void => {
    enter();
    const at = locate((address - WINDOW_BASE) >>> 0, PERM_WRITE);
    if (at >= 0) pool8[at] = value;
    leave();
  };
  const read32 = (address: number): number => {
    if ((address & 3) !== 0) {
      return read8(address) | (read8(address + 1) << 8) | (read8(address + 2) << 16) | (read8(address + 3) << 24);
    }
    enter();
    const at = locate((address - WINDOW_BASE) >>> 0, PERM_READ);
    const value = at < 0 ? -1 : (pool32[at >> 2] ?? -1);
    leave();
    return value;
  };
  const write32 = (address: number, value: number): void => {
    if ((address & 3) !== 0) {
      for (let i = 0; i < 4; i++) write8(address + i, (value >>> (8 * i)) & 0xff);
      return;
    }
    enter();
    const at = locate((address - WINDOW_BASE) >>> 0, PERM_WRITE);
    if (at >= 0) pool32[at >> 2] = value;
    leave();
  };
  io.mmap_register(WINDOW_BASE, WINDOW_PAGES * PAGE_SIZE, read8, write8, read32, write32);
}
