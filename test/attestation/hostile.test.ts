/** Hostile evidence is refused by the check that is there for it, and nothing that differs from good evidence passes. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseEventLog } from '../../attestation/eventlog/format.ts';
import { EvidenceError } from '../../attestation/evidence.ts';
import { SHA256 } from '../../attestation/hash.ts';
import { decodeMachineEvidence } from '../../attestation/machine/evidence.ts';
import { modelOf } from '../../attestation/policy/model.ts';
import { decodeQuote } from '../../attestation/quote.ts';
import { HOSTILE_MACHINES as ALL, GOOD, type Hostile } from './hostile-machines.ts';

/** As the service sees it: what does not open is refused under `evidence-format`. */
function verdict(hostile: Hostile): { state: string; failed: readonly string[] } {
  try {
    return hostile.run();
  } catch (error) {
    if (error instanceof EvidenceError) return { state: 'contraindicated', failed: ['evidence-format'] };
    throw error;
  }
}

describe(`hostile evidence (${ALL.length})`, () => {
  test('is a hundred at the least, each its own', () => {
    expect(ALL.length).toBeGreaterThanOrEqual(100);
    expect(new Set(ALL.map(({ name }) => name)).size).toBe(ALL.length);
  });

  test.each(ALL)('$check refuses $name', (hostile) => {
    const { state, failed } = verdict(hostile);
    expect(failed).toContain(hostile.check);
    expect(state).toBe(hostile.state ?? 'contraindicated');
  });
});

describe('evidence of a machine', () => {
  const { machine, appraised, ima, imaReference, IMA_SELECTION } = GOOD;
  const library = ['secure-boot', 'no-debug-boot', 'linux-command-line', 'trusted-clock'];
  const reference = { ...machine.reference, policies: library };

  test('is affirmed when it is good, with every policy', () => {
    expect(appraised(machine.evidence(), { reference })).toEqual({ state: 'affirming', failed: [] });
  });

  test('is affirmed with a list of IMA, and with new entries only when the rest was attested', () => {
    const variation = { selection: IMA_SELECTION, registers: { 10: ima.pcr }, ima: ima.bytes };
    expect(appraised(machine.evidence(variation), imaReference)).toEqual({ state: 'affirming', failed: [] });
  });

  test('is affirmed after a reboot', () => {
    const rebooted = { clock: { clock: 1n, resetCount: 4, restartCount: 0, safe: true } };
    const clock = { clock: '1000', resetCount: 3, restartCount: 5 };
    expect(appraised(machine.evidence(rebooted), { clock }).state).toBe('affirming');
  });

  /** Everything that policies believe; not what events merely describe, of which no digest is kept. */
  const believed = (bytes: Uint8Array) => {
    const { quoted, pcrs, eventLog } = decodeMachineEvidence(bytes);
    const log = parseEventLog(eventLog);
    const model = modelOf({ quote: decodeQuote(quoted), pcrs, log, bank: SHA256.id, ima: undefined });
    return { quote: model.quote, pcrs: model.pcrs, secureBoot: model.secureBoot, boot: model.boot };
  };

  test('property: no change of any byte is affirmed, unless nobody measured the byte and policies believe the same', () => {
    const good = machine.evidence();
    const goodFacts = believed(good);
    let unmeasured = 0;
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const mutant = Uint8Array.from(good);
        mutant[at] = (mutant[at] ?? 0) ^ flip;
        const run = () => appraised(mutant, { reference });
        if (verdict({ name: 'mutant', check: '', run }).state !== 'affirming') return;
        unmeasured += 1;
        expect(believed(mutant)).toEqual(goodFacts);
      }),
      { numRuns: 1500 },
    );
    // SHA-1 digests beside the quoted bank, and types of events: a quarter of this log.
    expect(unmeasured).toBeLessThan(600);
  });

  test('property: no splice, cut or repetition is affirmed', () => {
    const good = machine.evidence();
    const span = fc.tuple(fc.nat(good.length - 1), fc.nat(good.length - 1));
    fc.assert(
      fc.property(span, fc.nat(good.length), ([from, to], into) => {
        const piece = good.subarray(Math.min(from, to), Math.max(from, to) + 1);
        const mutant = Uint8Array.from([...good.subarray(0, into), ...piece, ...good.subarray(into)]);
        const run = () => appraised(mutant, { reference });
        expect(verdict({ name: 'mutant', check: '', run }).state).not.toBe('affirming');
      }),
      { numRuns: 300 },
    );
  });
});
