/** NV indices. Part 1, section 37. */
import { nvKind, nvName, TPM_NT, TPMA_NV, type TPMS_NV_PUBLIC } from '../structures/index.ts';

export interface NvIndex {
  readonly handle: number;
  publicArea: TPMS_NV_PUBLIC;
  authValue: Uint8Array;
  /** Contents; counters and bits are 8 octets, PIN indices 8 (count, limit), extend indices one digest. */
  data: Uint8Array;
  name: Uint8Array;
}

export const nvHas = (index: NvIndex, bit: number): boolean => (index.publicArea.attributes & bit) !== 0;
export const kindOf = (index: NvIndex): number => nvKind(index.publicArea.attributes);
export const isPin = (index: NvIndex): boolean =>
  kindOf(index) === TPM_NT.PIN_FAIL || kindOf(index) === TPM_NT.PIN_PASS;

/** Change attributes, and with them the name. */
export function setNvAttributes(index: NvIndex, set: number, clear = 0): void {
  const attributes = ((index.publicArea.attributes & ~clear) | set) >>> 0;
  if (attributes === index.publicArea.attributes >>> 0) return;
  index.publicArea = { ...index.publicArea, attributes };
  index.name = nvName(index.publicArea);
}

export function pinOf(index: NvIndex): { pinCount: number; pinLimit: number } {
  const view = new DataView(index.data.buffer, index.data.byteOffset);
  return { pinCount: view.getUint32(0), pinLimit: view.getUint32(4) };
}

export function setPinCount(index: NvIndex, count: number): void {
  index.data = index.data.slice();
  new DataView(index.data.buffer).setUint32(0, count);
}

/** Increments of an orderly counter between two that are durable, less one (TPM_PT_ORDERLY_COUNT). */
export const MAX_ORDERLY_COUNT = 0xff;

/** Whether contents may stay in memory until an orderly shutdown. Part 1, section 37.7. */
export function isVolatileWrite(index: NvIndex): boolean {
  if (!nvHas(index, TPMA_NV.ORDERLY)) return false;
  return kindOf(index) !== TPM_NT.COUNTER || ((index.data.at(-1) ?? 0) & MAX_ORDERLY_COUNT) !== 0;
}

/**
 * What start-up does to one index: unlocks; after a disorderly stop, an orderly counter goes to the highest value that
 * it can have had, and other orderly contents are lost. True when it has changed. Part 1, section 37.7.
 */
export function nvStartup(index: NvIndex, type: 'reset' | 'restart' | 'resume', orderly: boolean): boolean {
  const before = index.publicArea.attributes;
  const lost = !orderly && nvHas(index, TPMA_NV.ORDERLY) && nvHas(index, TPMA_NV.WRITTEN);
  const jumps = lost && kindOf(index) === TPM_NT.COUNTER;
  if (jumps) {
    index.data = index.data.slice();
    index.data[index.data.length - 1] = MAX_ORDERLY_COUNT;
  }
  let clear = lost && !jumps ? TPMA_NV.WRITTEN : 0;
  if (type !== 'resume') {
    clear |= TPMA_NV.READLOCKED;
    if (!nvHas(index, TPMA_NV.WRITEDEFINE) || !nvHas(index, TPMA_NV.WRITTEN)) clear |= TPMA_NV.WRITELOCKED;
    if (nvHas(index, TPMA_NV.CLEAR_STCLEAR)) clear |= TPMA_NV.WRITTEN;
  }
  setNvAttributes(index, 0, clear);
  return jumps || before !== index.publicArea.attributes;
}
