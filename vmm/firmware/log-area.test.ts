import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EVENT, EventLogWriter } from '../../attestation/eventlog/format.ts';
import { findLog } from './log-area.ts';

const BANKS = [0x0004, 0x000b];
const AREA = { address: 0x8000, size: 0x1000 };

function log(events: number): Uint8Array {
  const writer = new EventLogWriter(BANKS);
  const digests = new Map([
    [0x0004, new Uint8Array(20).fill(1)],
    [0x000b, new Uint8Array(32).fill(2)],
  ]);
  for (let i = 0; i < events; i++) writer.append(i % 8, EVENT.SEPARATOR, digests, new Uint8Array(4));
  return writer.bytes();
}

/** Memory with a TPM2 table at 0x100 that points at a log. */
function memory(events: number, area = AREA): Buffer {
  const bytes = Buffer.alloc(0x10000);
  bytes.write('TPM2', 0x100);
  bytes.writeUInt32LE(76, 0x104);
  bytes.writeUInt32LE(area.size, 0x100 + 64);
  bytes.writeUInt32LE(area.address, 0x100 + 68);
  bytes.set(log(events), AREA.address);
  return bytes;
}

describe('event log of firmware in guest memory', () => {
  it('is found through the TPM2 table, with its banks and where the next event belongs', () => {
    for (const events of [0, 1, 20]) {
      expect(findLog(memory(events))).toEqual({ ...AREA, banks: BANKS, used: log(events).length });
    }
  });

  it('is not found where the table points nowhere, or at something else', () => {
    const refused = expect.objectContaining({ code: 'FIRMWARE_TPM' });
    expect(() => findLog(Buffer.alloc(0x1000))).toThrow(refused);
    expect(() => findLog(memory(1, { address: 0, size: 0x1000 }))).toThrow(refused);
    expect(() => findLog(memory(1, { address: 0xffffff00, size: 0x1000 }))).toThrow(refused);
    expect(() => findLog(memory(1, { address: 0x9000, size: 0x1000 }))).toThrow(refused);
  });

  it('whatever a guest writes there, is bounded by its area or refused with a typed error', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 12 }), (damage) => {
        const bytes = memory(3);
        for (const [at, value] of damage) bytes[AREA.address + at] = value;
        try {
          expect(findLog(bytes).used).toBeLessThanOrEqual(AREA.size);
        } catch (error) {
          expect(error).toMatchObject({ code: 'FIRMWARE_TPM' });
        }
      }),
    );
  });
});
