/** Event logs as bytes, registers and meanings; real logs are read in test/attestation/corpus-eventlogs.test.ts. */
import { sha256 as portableSha256 } from '@noble/hashes/sha2.js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { concatBytes, fromLatin1, toHex } from '../bytes.ts';
import { hashById, SHA1, SHA256, SHA384 } from '../hash.ts';
import { bindingOf } from './binding.ts';
import { EVENT, EventLogError, EventLogWriter, parseEventLog } from './format.ts';
import { meaningOf } from './meaning.ts';
import { replayLog, startupLocality } from './replay.ts';
import { secureBootOf } from './secure-boot.ts';

const BANKS = [SHA1.id, SHA256.id, SHA384.id];
const bytes = fc.uint8Array({ maxLength: 80 });
const types = fc.oneof(fc.constantFrom(...Object.values(EVENT)), fc.nat());
const events = fc.array(fc.record({ pcr: fc.nat(23), type: types, data: bytes }), { maxLength: 12 });

function written(list: readonly { pcr: number; type: number; data: Uint8Array }[]): Uint8Array {
  const log = new EventLogWriter(BANKS);
  for (const { pcr, type, data } of list) log.appendMeasured(pcr, type, data);
  return log.bytes();
}

describe('the byte form', () => {
  test('property: what was written is read, digests in every bank', () => {
    fc.assert(
      fc.property(events, (list) => {
        const log = parseEventLog(written(list));
        expect(log.algorithms).toEqual(BANKS);
        expect(log.events.map(({ pcr, type, data }) => ({ pcr, type, data }))).toEqual(list);
        for (const event of log.events) {
          const digests = BANKS.map((bank) => hashById(bank)?.digest(event.data));
          expect(BANKS.map((_, bank) => event.digestOf(bank))).toEqual(digests);
        }
      }),
      { numRuns: 50 },
    );
  });

  test('property: hostile bytes give a log or an EventLogError, and every event a meaning and a binding', () => {
    const hostile = fc
      .tuple(events, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 }))
      .map(([list, edits]) => {
        const log = written(list);
        for (const [at, value] of edits) log[at % log.length] = value;
        return log;
      });
    fc.assert(
      fc.property(fc.oneof(hostile, fc.uint8Array({ maxLength: 300 })), (input) => {
        try {
          const log = parseEventLog(input);
          for (const event of log.events) {
            bindingOf(log, { event, meaning: meaningOf(event) }, SHA256.id);
          }
          secureBootOf(log, SHA256.id);
        } catch (error) {
          expect(error).toBeInstanceOf(EventLogError);
        }
      }),
      { numRuns: 400 },
    );
  });

  test.each([
    ['an empty file', () => new Uint8Array(), 'log-truncated'],
    ['one bank named twice', () => new EventLogWriter([SHA256.id, SHA256.id]).bytes(), 'log-header'],
    ['PCR 24', () => written([{ pcr: 24, type: EVENT.SEPARATOR, data: new Uint8Array(4) }]), 'log-register'],
  ])('%s is refused', (_, make, code) => {
    expect(() => parseEventLog(make())).toThrow(expect.objectContaining({ code }));
  });

  test('limits hold', () => {
    const log = written([
      { pcr: 0, type: EVENT.SEPARATOR, data: new Uint8Array(4) },
      { pcr: 1, type: EVENT.SEPARATOR, data: new Uint8Array(4) },
    ]);
    expect(() => parseEventLog(log, { bytes: log.length - 1 })).toThrow(expect.objectContaining({ code: 'log-size' }));
    expect(() => parseEventLog(log, { events: 1 })).toThrow(expect.objectContaining({ code: 'log-events' }));
    expect(parseEventLog(log, { bytes: log.length, events: 2 }).events.length).toBe(2);
  });

  test('padding after the last event is told apart from events', () => {
    const log = written([{ pcr: 0, type: EVENT.SEPARATOR, data: new Uint8Array(4) }]);
    const filled = (value: number) => parseEventLog(concatBytes(log, new Uint8Array(100).fill(value)));
    expect(filled(0xff)).toMatchObject({ padding: 100, events: [{ pcr: 0 }] });
    expect(filled(0x00)).toMatchObject({ padding: 100, events: [{ pcr: 0 }] });
    expect(() => filled(0x41)).toThrow(EventLogError);
  });
});

describe('replay', () => {
  const extend = (register: Uint8Array, data: Uint8Array) =>
    portableSha256(concatBytes(register, portableSha256(data)));

  test('is the chain of hashes, by another library', () => {
    const first = fromLatin1('first');
    const second = fromLatin1('second');
    const log = parseEventLog(
      written([
        { pcr: 4, type: EVENT.ACTION, data: first },
        { pcr: 4, type: EVENT.NO_ACTION, data: fromLatin1('extends nothing') },
        { pcr: 4, type: EVENT.ACTION, data: second },
      ]),
    );
    const expected = extend(extend(new Uint8Array(32), first), second);
    expect(toHex(replayLog(log, SHA256.id)[4] ?? new Uint8Array())).toBe(toHex(expected));
  });

  test('starts PCR 0 at the locality that is logged, and at 4 after an H-CRTM event', () => {
    const locality = (value: number) => concatBytes(fromLatin1('StartupLocality\0'), Uint8Array.of(value));
    const three = parseEventLog(written([{ pcr: 0, type: EVENT.NO_ACTION, data: locality(3) }]));
    expect(startupLocality(three)).toBe(3);
    expect(replayLog(three, SHA256.id)[0]?.at(-1)).toBe(3);
    const hcrtm = parseEventLog(written([{ pcr: 0, type: EVENT.EFI_HCRTM_EVENT, data: fromLatin1('HCRTM') }]));
    expect(startupLocality(hcrtm)).toBe(4);
    // Not in PCR 0, so not a start-up locality.
    expect(startupLocality(parseEventLog(written([{ pcr: 1, type: EVENT.NO_ACTION, data: locality(3) }])))).toBe(0);
  });

  test('leaves PCR 17 to 22 at all ones until a dynamic launch', () => {
    const none = replayLog(parseEventLog(written([])), SHA256.id);
    expect([none[17]?.[0], none[22]?.[0], none[16]?.[0], none[23]?.[0]]).toEqual([0xff, 0xff, 0, 0]);
    const launched = parseEventLog(written([{ pcr: 17, type: EVENT.EVENT_TAG, data: new Uint8Array() }]));
    expect(replayLog(launched, SHA256.id)[18]).toEqual(new Uint8Array(32));
  });

  test('refuses a bank that the log lacks', () => {
    const log = parseEventLog(new EventLogWriter([SHA256.id]).bytes());
    expect(() => replayLog(log, SHA1.id)).toThrow(expect.objectContaining({ code: 'log-banks' }));
  });
});

describe('Secure Boot', () => {
  const GLOBAL = '61dfe48bca93d211aa0d00e098032b8c';
  const variable = (name: string, value: Uint8Array) => {
    const view = new DataView(new ArrayBuffer(16));
    view.setBigUint64(0, BigInt(name.length), true);
    view.setBigUint64(8, BigInt(value.length), true);
    const guid = Uint8Array.from(GLOBAL.match(/../g) ?? [], (octet) => Number.parseInt(octet, 16));
    const wide = Uint8Array.from([...name].flatMap((character) => [character.charCodeAt(0), 0]));
    return concatBytes(guid, new Uint8Array(view.buffer), wide, value);
  };
  const state = (on: boolean) => ({
    pcr: 7,
    type: EVENT.EFI_VARIABLE_DRIVER_CONFIG,
    data: variable('SecureBoot', Uint8Array.of(on ? 1 : 0)),
  });
  const separator = { pcr: 7, type: EVENT.SEPARATOR, data: new Uint8Array(4) };
  const read = (list: Parameters<typeof written>[0]) => secureBootOf(parseEventLog(written(list)), SHA256.id);

  test('is on when its variable says so before the separator', () => {
    expect(read([state(true), separator])).toMatchObject({ enabled: true, problems: [] });
    expect(read([state(false), separator])).toMatchObject({ enabled: false, problems: [] });
  });

  test('is a problem when told late, twice, without a separator, in debug mode, or not at all', () => {
    const debug = { pcr: 7, type: EVENT.EFI_ACTION, data: fromLatin1('UEFI Debug Mode') };
    for (const list of [
      [separator, state(true)],
      [state(true), state(true), separator],
      [state(true)],
      [state(true), debug, separator],
      [separator],
      [state(true), separator, separator],
    ]) {
      expect(read(list).problems).not.toEqual([]);
    }
  });

  test('is not read from data that was not measured', () => {
    const log = new EventLogWriter([SHA256.id]);
    log.appendMeasured(7, EVENT.EFI_VARIABLE_DRIVER_CONFIG, state(true).data, state(false).data);
    log.appendMeasured(7, EVENT.SEPARATOR, separator.data);
    expect(secureBootOf(parseEventLog(log.bytes()), SHA256.id)).toMatchObject({ enabled: false });
  });

  // With a digest over the value alone, the name would be the attester's: the whole of a true event, wrapped as the
  // value of another variable, would then pass as that variable.
  test('is not read from a value whose name was not measured', () => {
    const log = new EventLogWriter([SHA256.id]);
    log.appendMeasured(7, EVENT.EFI_VARIABLE_DRIVER_CONFIG, state(true).data, Uint8Array.of(1));
    log.appendMeasured(7, EVENT.SEPARATOR, separator.data);
    expect(secureBootOf(parseEventLog(log.bytes()), SHA256.id)).toMatchObject({ enabled: false });
  });
});
