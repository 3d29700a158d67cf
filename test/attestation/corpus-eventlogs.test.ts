/**
 * Every event log of the corpus is read to its last byte and replays to what is known of it: recorded PCRs where they
 * exist, else tpm2_eventlog's reading. Where we differ from the tool, this file says why.
 */
import { describe, expect, test } from 'vitest';
import { toHex } from '../../attestation/bytes.ts';
import { EventLogError, eventTypeName, type ParsedLog, parseEventLog } from '../../attestation/eventlog/format.ts';
import { meaningOf } from '../../attestation/eventlog/meaning.ts';
import { replayLog, startupLocality } from '../../attestation/eventlog/replay.ts';
import { secureBootOf } from '../../attestation/eventlog/secure-boot.ts';
import { typedEvents } from '../../attestation/eventlog/typed.ts';
import { hashById, hashByName } from '../../attestation/hash.ts';
import { corpusBytes, corpusFiles, corpusHas, corpusIsThere, corpusText, WHY_SKIPPED } from './corpus.ts';

/** Logs that tpm2_eventlog reads and we refuse, by name. All three were cut or composed by hand for that tool's tests. */
const REFUSED: Readonly<Record<string, string>> = {
  // The header declares 4 bytes of vendor information that lie outside of the header event.
  'fixtures/specid-vendordata.bin': 'log-header',
  // The header names four banks; the only event has digests for two. Firmware Profile 1.06, section 10.2.2: "one digest
  // for each bank". A log that may leave a bank out can say different things to different readers.
  'fixtures/event-uefiaction.bin': 'log-banks',
  'fixtures/event-uefivar.bin': 'log-banks',
};

interface ToolReading {
  readonly types: readonly string[];
  /** Bank name to PCR to value without leading zeros. */
  readonly pcrs: ReadonlyMap<string, ReadonlyMap<number, string>>;
}

/** What tpm2_eventlog 5.8 printed: the types of the events and its replay. */
function toolReading(path: string): ToolReading | undefined {
  const file = `${path}.tpm2_eventlog-5.8.yaml`;
  if (!corpusHas(file)) return undefined;
  const [events = '', values = ''] = corpusText(file).split(/^pcrs:$/m);
  const pcrs = new Map<string, Map<number, string>>();
  let bank = new Map<number, string>();
  for (const line of values.split('\n')) {
    const value = /^ {4}(\d+) *: 0x([0-9a-f]+)/.exec(line);
    const name = /^ {2}(\w+):/.exec(line)?.[1];
    if (value) bank.set(Number(value[1]), (value[2] ?? '').replace(/^0+/, ''));
    else if (name) {
      bank = new Map();
      pcrs.set(name, bank);
    }
  }
  if (pcrs.size === 0) return undefined;
  return { types: [...events.matchAll(/^ {2}EventType: (\S+)/gm)].map((match) => match[1] ?? ''), pcrs };
}

/** What the dump recorded: bank to PCR to value. */
type Recorded = Readonly<Record<string, Readonly<Record<string, string>>>>;
const recordedPcrs = (path: string): Recorded | undefined => {
  const file = path.replace(/[^/]*$/, 'pcrs.json');
  return corpusHas(file) ? (JSON.parse(corpusText(file)) as Recorded) : undefined;
};

const logs = corpusFiles('eventlog', 'ccel');

describe.skipIf(!corpusIsThere)(`event logs of the corpus (${corpusIsThere ? logs.length : WHY_SKIPPED})`, () => {
  test.each(logs.filter(({ name }) => name in REFUSED))('$name is refused by name', ({ path, name }) => {
    expect(codeOf(() => parseEventLog(corpusBytes(path)))).toBe(REFUSED[name]);
  });

  describe.each(logs.filter(({ name }) => !(name in REFUSED)))('$name', ({ path, name, kind }) => {
    const bytes = corpusBytes(path);
    const log = parseEventLog(bytes);

    test('replays to what is known of it', () => {
      const recorded = recordedPcrs(path);
      const tool = toolReading(path);
      const known = recorded === undefined ? compareWithTool(log, tool) : compareWithRecorded(log, recorded);
      // tpm2_eventlog reads no CCEL log, and stops at Windows' option ROM log and at a log of 49 bytes without an event.
      const unknown = kind === 'ccel' || /option_rom|short_no_action/.test(name);
      expect(known).toBeGreaterThanOrEqual(unknown ? 0 : 1);
    });

    test('has the events that the tool sees', () => {
      const tool = toolReading(path);
      if (tool === undefined) return;
      const header = log.format === 'sha1' ? [] : ['EV_NO_ACTION'];
      expect([...header, ...log.events.map(({ type }) => eventTypeName(type))]).toEqual(tool.types);
    });

    test('has a meaning for every event, and data that its digests are over where the type demands it', () => {
      const algorithm = log.algorithms.find((id) => id === 0x0b) ?? log.algorithms[0] ?? 0;
      expect(log.events.filter((event) => meaningOf(event).kind === 'malformed')).toEqual([]);
      expect(typedEvents(log, algorithm).filter(({ binding }) => binding === 'contradicted')).toEqual([]);
    });

    test('is refused when its last byte is missing or one is added', () => {
      if (log.padding > 0) return;
      expect(codeOf(() => parseEventLog(bytes.subarray(0, -1)))).toBe('log-truncated');
      const longer = new Uint8Array(bytes.length + 1);
      longer.set(bytes);
      longer[bytes.length] = 7;
      expect(codeOf(() => parseEventLog(longer))).toBe('log-truncated');
    });
  });

  const named = (part: string): ParsedLog => {
    const file = logs.find(({ path }) => path.includes(part));
    return parseEventLog(corpusBytes(file?.path ?? ''));
  };

  test('start-up locality 3 is found where it is logged', () => {
    expect(startupLocality(named('glinux-alex'))).toBe(3);
    expect(startupLocality(named('arch-linux-workstation'))).toBe(0);
  });

  // go-attestation's own tests say this of the same logs.
  test('Secure Boot is told as it was', () => {
    const sha1 = hashByName('sha1')?.id ?? 0;
    const windows = secureBootOf(named('windows_gcp'), sha1);
    expect([windows.enabled, windows.problems, windows.authorities.length]).toEqual([true, [], 1]);
    expect(windows.platformKeys.length + windows.exchangeKeys.length).toBeGreaterThan(1);
    expect(secureBootOf(named('coreos_36'), sha1).enabled).toBe(false);
    expect(secureBootOf(named('ubuntu_2104_shielded'), sha1)).toMatchObject({ enabled: false, problems: [] });
    expect(secureBootOf(named('sb_cert_eventlog'), sha1)).toMatchObject({ enabled: true, problems: [] });
  });

  test('kernel command lines, UKI sections and Windows settings are typed', () => {
    const kinds = (part: string) => new Set(named(part).events.map((event) => meaningOf(event).kind));
    expect(kinds('rhel8-uefi')).toContain('grub');
    expect(kinds('event-moklisttrusted')).toContain('mok');
    expect(kinds('windows_gcp')).toContain('windows');
    expect(kinds('arch-linux-workstation')).toContain('boot-option');
  });
});

/** Number of values compared. */
function compareWithTool(log: ParsedLog, tool: ToolReading | undefined): number {
  let compared = 0;
  for (const [bank, values] of tool?.pcrs ?? []) {
    const hash = hashByName(bank);
    if (hash === undefined) continue;
    const ours = replayLog(log, hash.id);
    for (const [pcr, value] of values) {
      expect(toHex(ours[pcr] ?? new Uint8Array()).replace(/^0+/, ''), `${bank}:${pcr}`).toBe(value);
      compared += 1;
    }
  }
  return compared;
}

/** Registers that no event extends are not for the log to know: the operating system may have extended them later. */
function compareWithRecorded(log: ParsedLog, recorded: Recorded): number {
  let compared = 0;
  for (const [bank, values] of Object.entries(recorded)) {
    const hash = hashById(Number(bank)) ?? hashByName(bank);
    if (hash === undefined || !log.algorithms.includes(hash.id)) continue;
    const ours = replayLog(log, hash.id);
    for (const pcr of new Set(log.events.map((event) => event.pcr))) {
      expect(toHex(ours[pcr] ?? new Uint8Array()), `${bank}:${pcr}`).toBe(values[pcr]);
      compared += 1;
    }
  }
  return compared;
}

function codeOf(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    if (error instanceof EventLogError) return error.code;
    throw error;
  }
  return 'read';
}
