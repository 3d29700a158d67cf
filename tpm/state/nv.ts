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

/** What start-up does to one index: unlocks, clears ORDERLY data after a disorderly stop. Part 1, section 37.7. */
export function nvStartup(index: NvIndex, type: 'reset' | 'restart' | 'resume'): boolean {
  const before = index.publicArea.attributes;
  if (type !== 'resume') {
    let clear = TPMA_NV.READLOCKED;
    if (!nvHas(index, TPMA_NV.WRITEDEFINE) || !nvHas(index, TPMA_NV.WRITTEN)) clear |= TPMA_NV.WRITELOCKED;
    if (nvHas(index, TPMA_NV.CLEAR_STCLEAR)) clear |= TPMA_NV.WRITTEN;
    setNvAttributes(index, 0, clear);
  }
  return before !== index.publicArea.attributes;
}
