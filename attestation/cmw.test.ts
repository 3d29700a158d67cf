/** Conceptual messages wrappers: forms of others are read, ours go round in CBOR and JSON, hostile bytes are refused. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { softwareMachine } from '../test/attestation/machine.ts';
import { encodeCbor, Tag } from './cbor.ts';
import { CMW_KINDS, type Cmw, CmwError, encodeCmw, encodeCmwJson, encodeCmwTag, readCmw, readCmwJson } from './cmw.ts';
import { encodeMachineEvidence, MACHINE_MEDIA_TYPE } from './machine/evidence.ts';

const value = Uint8Array.of(0x23, 0x47, 0xda, 0x55);

describe('forms of others', () => {
  test('a collection with a record and a tag, as veraison/cmw has them (collection-and-tunnel, without its tunnel)', () => {
    const bytes = encodeCbor(
      new Map<number | string, never>([
        ['__cmwc_t', 'tag:example.com,2024:composite-attester' as never],
        [0, [30001, value, 4] as never],
        [1, new Tag(value, 1668576935) as never],
      ]),
    );
    expect(readCmw(bytes)).toEqual({
      type: 'tag:example.com,2024:composite-attester',
      members: new Map<number, unknown>([
        [0, { type: 30001, value, kinds: ['evidence'] }],
        [1, { type: 30001, value }],
      ]),
    });
  });

  test('a record in JSON', () => {
    expect(readCmwJson('["application/eat+jwt", "Li4u", 8]')).toEqual({
      type: 'application/eat+jwt',
      value: new TextEncoder().encode('...'),
      kinds: ['attestation-results'],
    });
  });

  test('our own evidence is a collection of messages', () => {
    const cmw = readCmw(encodeMachineEvidence(softwareMachine().parts()));
    expect('members' in cmw && [...cmw.members.keys()].sort()).toEqual(['pcrs', 'platform']);
    expect(MACHINE_MEDIA_TYPE).toContain('machine');
  });
});

test('property: what is written is read again, in CBOR, JSON and as a tag', () => {
  const record = fc.record(
    {
      type: fc.oneof(fc.constantFrom('application/eat+cwt', 'text/plain'), fc.nat(65_535)),
      value: fc.uint8Array({ maxLength: 40 }),
      kinds: fc.subarray([...CMW_KINDS], { minLength: 1 }),
    },
    { requiredKeys: ['type', 'value'] },
  );
  const members = fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), record, { minKeys: 1, maxKeys: 4 });
  const collection = fc.record({
    type: fc.option(fc.constant('tag:example.com,2026:x'), { nil: undefined }),
    members: members.map((object) => new Map<string, Cmw>(Object.entries(object))),
  });
  fc.assert(
    fc.property(fc.oneof(record, collection), (cmw) => {
      expect(readCmw(encodeCmw(cmw))).toEqual(cmw);
      expect(readCmwJson(encodeCmwJson(cmw))).toEqual(cmw);
    }),
    { numRuns: 200 },
  );
  fc.assert(
    fc.property(fc.nat(65_024), (type) => {
      expect(readCmw(encodeCmwTag({ type, value }))).toEqual({ type, value });
    }),
  );
});

describe('refused', () => {
  test.each<readonly [string, unknown]>([
    ['a record without a value', ['text/plain']],
    ['a record of a type that is none', ['plain', value]],
    ['a record of a content format past the last', [65_536, value]],
    ['a value that is no bytes', ['text/plain', 'text']],
    ['an indicator of nothing', ['text/plain', value, 0]],
    ['an indicator of what is not known', ['text/plain', value, 32]],
    ['a fourth member', ['text/plain', value, 4, 4]],
    ['an empty collection', new Map([['__cmwc_t', 'x']])],
    [
      'a collection whose type is a number',
      new Map<string, unknown>([
        ['__cmwc_t', 1],
        ['a', ['text/plain', value]],
      ]),
    ],
    ['a tag of no content format', new Tag(value, 18)],
    ['the tag that the formula leaves out', new Tag(value, 1_668_546_817 + 255)],
    ['a number', 1],
  ])('%s', (_, item) => {
    expect(() => readCmw(encodeCbor(item as never))).toThrow(CmwError);
  });

  test('collections in collections without end, and a media type as a tag', () => {
    let deep: unknown = ['text/plain', value];
    for (let depth = 0; depth < 10; depth++) deep = new Map([['a', deep]]);
    expect(() => readCmw(encodeCbor(deep as never))).toThrow('nested more than');
    expect(() => encodeCmwTag({ type: 'text/plain', value })).toThrow(CmwError);
  });

  test('property: hostile bytes and text give a wrapper or a CmwError', () => {
    const good = encodeCmw({ type: undefined, members: new Map([['a', { type: 'text/plain', value }]]) });
    const edited = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 3 }).map((edits) => {
      const copy = Uint8Array.from(good);
      for (const [at, byte] of edits) copy[at] = byte;
      return copy;
    });
    const refusedWell = (read: () => Cmw) => {
      try {
        expect(read()).toBeDefined();
      } catch (error) {
        expect(error).toBeInstanceOf(CmwError);
      }
    };
    fc.assert(
      fc.property(fc.oneof(edited, fc.uint8Array({ maxLength: 40 })), (bytes) => refusedWell(() => readCmw(bytes))),
    );
    fc.assert(fc.property(fc.oneof(fc.json(), fc.string()), (text) => refusedWell(() => readCmwJson(text))));
  });
});
