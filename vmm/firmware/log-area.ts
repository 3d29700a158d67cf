/**
 * The event log that firmware keeps in guest memory: found as an operating system finds it, and continued. TCG PC
 * Client Platform Firmware Profile 1.06, sections 10.2 (crypto-agile events) and 10.4.5.1 (its first event).
 */
import { TPM2_LOG_ADDRESS_AT } from '../acpi/tables.ts';
import { FirmwareError } from './tpm-startup.ts';

/** Where the log stands in guest memory, and what of it is written. */
export interface LogArea {
  readonly address: number;
  readonly size: number;
  readonly used: number;
  /** TPM_ALG_IDs of the banks, in the order in which each event has them. */
  readonly banks: readonly number[];
}

const TPM2_SIZE = 76;
const SIGNATURE = 'Spec ID Event03';
/** A first event: PCR, type, SHA-1, size of its data. */
const FIRST_HEADER = 32;
/** Offset of numberOfAlgorithms in the data of the first event. */
const ALGORITHMS_AT = 24;
const BANKS_MAX = 8;

/** Find the log through the TPM2 table; `memory` is all of the guest's. Throws FirmwareError. */
export function findLog(memory: Uint8Array): LogArea {
  const bytes = Buffer.from(memory.buffer, memory.byteOffset, memory.length);
  for (let at = bytes.indexOf('TPM2'); at >= 0; at = bytes.indexOf('TPM2', at + 1)) {
    if (at + TPM2_SIZE > bytes.length || bytes.readUInt32LE(at + 4) !== TPM2_SIZE) continue;
    const size = bytes.readUInt32LE(at + TPM2_LOG_ADDRESS_AT - 4);
    const address = bytes.readUInt32LE(at + TPM2_LOG_ADDRESS_AT);
    if (address === 0 || address + size > bytes.length) continue; // the table before firmware has moved it
    const area = bytes.subarray(address, address + size);
    if (area.toString('latin1', FIRST_HEADER, FIRST_HEADER + SIGNATURE.length) !== SIGNATURE) continue;
    return { address, size, ...measureLog(area) };
  }
  throw new FirmwareError('the firmware left no event log in the memory of the guest');
}

/** Walk a log to where the next event belongs. Throws FirmwareError. */
function measureLog(area: Buffer): Pick<LogArea, 'used' | 'banks'> {
  try {
    const count = area.readUInt32LE(FIRST_HEADER + ALGORITHMS_AT);
    if (count > BANKS_MAX) throw new RangeError('banks');
    const sizes = new Map<number, number>();
    for (let i = 0; i < count; i++) {
      const at = FIRST_HEADER + ALGORITHMS_AT + 4 + 4 * i;
      sizes.set(area.readUInt16LE(at), area.readUInt16LE(at + 2));
    }
    let used = FIRST_HEADER + area.readUInt32LE(FIRST_HEADER - 4);
    if (used > area.length) throw new RangeError('a first event beyond the area');
    // An event without digests is none.
    while (used + 12 <= area.length && area.readUInt32LE(used + 8) !== 0) used = eventEnd(area, used, sizes);
    return { used, banks: [...sizes.keys()] };
  } catch (cause) {
    if (cause instanceof FirmwareError) throw cause;
    throw new FirmwareError('the event log of the firmware is malformed', { cause });
  }
}

function eventEnd(area: Buffer, start: number, sizes: ReadonlyMap<number, number>): number {
  let at = start + 12;
  for (let digests = area.readUInt32LE(start + 8); digests > 0; digests--) {
    const size = sizes.get(area.readUInt16LE(at));
    if (size === undefined) throw new RangeError('a digest of a bank that is not declared');
    at += 2 + size;
  }
  const end = at + 4 + area.readUInt32LE(at);
  if (end > area.length) throw new RangeError('an event beyond the area');
  return end;
}
