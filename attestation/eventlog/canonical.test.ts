/** Canonical event logs: one log in three encodings gives the same records and registers; hostile ones are refused. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { concatBytes, fromLatin1, toHex } from '../bytes.ts';
import { type CborValue, encodeCbor } from '../cbor.ts';
import { SHA1, SHA256 } from '../hash.ts';
import { parseCanonicalLog, replayCanonicalLog } from './canonical.ts';
import { EVENT, EventLogError, EventLogWriter, parseEventLog } from './format.ts';
import { replayLog } from './replay.ts';

const events = [
  { pcr: 0, type: EVENT.S_CRTM_VERSION, data: fromLatin1('one') },
  { pcr: 7, type: EVENT.SEPARATOR, data: new Uint8Array(4) },
  { pcr: 7, type: EVENT.EFI_ACTION, data: fromLatin1('three') },
];
const digestsOf = (data: Uint8Array) =>
  [SHA1, SHA256].map((hash) => ({ hash, digest: Uint8Array.from(hash.digest(data)) }));

const u32 = (value: number) => Uint8Array.of(value >>> 24, (value >> 16) & 0xff, (value >> 8) & 0xff, value & 0xff);
const tlv = (type: number, ...value: readonly Uint8Array[]) => {
  const all = concatBytes(...value);
  return concatBytes(Uint8Array.of(type), u32(all.length), all);
};
const inTlv = concatBytes(
  ...events.map(({ pcr, type, data }, number) =>
    concatBytes(
      tlv(0, u32(number)),
      tlv(1, u32(pcr)),
      tlv(3, ...digestsOf(data).map(({ hash, digest }) => tlv(hash.id, digest))),
      tlv(5, tlv(0, u32(type)), tlv(1, data)),
    ),
  ),
);
const inCbor = encodeCbor(
  events.map(
    ({ pcr, type, data }, number) =>
      new Map<number, CborValue>([
        [0, number],
        [1, pcr],
        [
          3,
          digestsOf(data).map(
            ({ hash, digest }) =>
              new Map<number, CborValue>([
                [0, hash.id],
                [1, digest],
              ]),
          ),
        ],
        [
          5,
          new Map<number, CborValue>([
            [0, type],
            [1, data],
          ]),
        ],
      ]),
  ),
);
const inJson = new TextEncoder().encode(
  JSON.stringify(
    events.map(({ pcr, type, data }, recnum) => ({
      recnum,
      pcr,
      digests: digestsOf(data).map(({ hash, digest }) => ({ hashAlg: hash.name, digest: toHex(digest) })),
      content_type: 'pcclient_std',
      content: { event_type: type, event_data: toHex(data) },
    })),
  ),
);
const firmware = new EventLogWriter([SHA1.id, SHA256.id]);
for (const { pcr, type, data } of events) firmware.appendMeasured(pcr, type, data);

describe.each([
  ['TLV', inTlv],
  ['CBOR', inCbor],
  ['JSON', inJson],
])('a log in %s', (_, bytes) => {
  test('has its records, and leads where the same events of a firmware log lead', () => {
    const records = parseCanonicalLog(bytes);
    expect(records.map(({ number, pcr, contentType }) => [number, pcr, contentType])).toEqual([
      [0, 0, 'pcclient_std'],
      [1, 7, 'pcclient_std'],
      [2, 7, 'pcclient_std'],
    ]);
    const expected = replayLog(parseEventLog(firmware.bytes()), SHA256.id);
    const pcrs = replayCanonicalLog(records, SHA256.id);
    expect([pcrs[0], pcrs[7]]).toEqual([expected[0], expected[7]].map((value) => Uint8Array.from(value ?? [])));
  });

  test('property: cut or changed, it is read or refused with an EventLogError', () => {
    const edits = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { maxLength: 4 });
    fc.assert(
      fc.property(edits, fc.nat(bytes.length), (list, cut) => {
        const copy = Uint8Array.from(bytes.subarray(0, bytes.length - (cut % 3)));
        for (const [at, value] of list) if (at < copy.length) copy[at] = value;
        try {
          replayCanonicalLog(parseCanonicalLog(copy), SHA256.id);
        } catch (error) {
          expect(error).toBeInstanceOf(EventLogError);
        }
      }),
      { numRuns: 300 },
    );
  });
});

test('records out of order, of no bank or of PCR 24 are refused by name', () => {
  const json = (...records: readonly object[]) => new TextEncoder().encode(JSON.stringify(records));
  const one = (more: object) => ({
    recnum: 0,
    pcr: 0,
    digests: [{ hashAlg: 'sha256', digest: '00'.repeat(32) }],
    content_type: 'cel',
    content: {},
    ...more,
  });
  const code = (bytes: Uint8Array) => {
    try {
      parseCanonicalLog(bytes);
    } catch (error) {
      return error instanceof EventLogError ? error.code : error;
    }
    return 'read';
  };
  expect(code(json(one({})))).toBe('read');
  expect(code(json(one({}), one({})))).toBe('log-content');
  expect(code(json(one({ pcr: 24 })))).toBe('log-register');
  expect(code(json(one({ digests: [] })))).toBe('log-banks');
  expect(code(json(one({ digests: [{ hashAlg: 'sha256', digest: '00' }] })))).toBe('log-banks');
  expect(code(json(one({ digests: [{ hashAlg: 'md5', digest: '00'.repeat(16) }] })))).toBe('log-banks');
  expect(code(new Uint8Array())).toBe('log-header');
});
