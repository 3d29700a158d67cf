/**
 * What both TPM register models (FIFO and CRB) share: the window they stand in, and the little that they need of the
 * TPM behind them. A model is synchronous, as a processor's loads and stores are; the TPM answers when it can.
 */
import type { Locality, TpmDevice } from '../../tpm/device.ts';

/** Where the five localities stand, 4 KiB each. PC Client Platform TPM Profile 1.05, section 6.3. */
export const TPM_BASE = 0xfed40000;
export const TPM_LOCALITY_SIZE = 0x1000;
export const TPM_LOCALITIES = 5;

/** Identifies the register model, not the TPM: an unregistered vendor ("NX"), device 1, revision 1. */
export const TPM_VENDOR_ID = 0x4e58;
export const TPM_DEVICE_ID = 0x0001;
export const TPM_REVISION_ID = 0x01;

/** The TPM behind a register model: ours, or a proxy for one on another thread. */
export type TpmBackend = Pick<TpmDevice, 'execute' | 'cancel' | 'established' | 'resetEstablished'>;

/** A device in guest-physical memory, byte by byte. Offsets are relative to its window. */
export interface MmioDevice {
  readonly base: number;
  /** Bytes; accesses beyond answer as an empty bus does. */
  readonly size: number;
  /** 0..255. */
  read8(offset: number): number;
  write8(offset: number, value: number): void;
}

export interface TpmRegisters extends MmioDevice {
  /** A command is with the TPM: the state below cannot be saved yet. */
  readonly busy: boolean;
  /** Resolves when no command is with the TPM. */
  idle(): Promise<void>;
  /** As after a platform reset; an outstanding reply is dropped when it comes. */
  reset(): void;
  /** Registers and buffers, for a snapshot; plain data. Only when not busy. */
  save(): unknown;
  /** Take over what `save` gave. */
  load(state: unknown): void;
}

/**
 * Localities that a guest's processor may use. Locality 4 is asserted by the machine's own logic during a late launch
 * only (section 6.2), so a guest finds nothing there: reads float high, writes vanish.
 */
export function guestLocality(offset: number): Exclude<Locality, 4> | undefined {
  const locality = Math.floor(offset / TPM_LOCALITY_SIZE);
  return locality === 0 || locality === 1 || locality === 2 || locality === 3 ? locality : undefined;
}

/** What a guest reads when the way to its TPM fails: TPM_ST_NO_SESSIONS, 10 bytes, TPM_RC_FAILURE. */
export const RESPONSE_FAILURE: Uint8Array = Uint8Array.of(0x80, 0x01, 0, 0, 0, 10, 0, 0, 0x01, 0x01);

export class DeviceStateError extends Error {
  readonly code: 'DEVICE_BUSY' | 'DEVICE_STATE';
  constructor(code: 'DEVICE_BUSY' | 'DEVICE_STATE', message: string) {
    super(message);
    this.name = 'DeviceStateError';
    this.code = code;
  }
}
