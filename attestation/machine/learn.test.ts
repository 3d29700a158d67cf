/** Learned reference values are met by the machine they were learned from; predictions come true. */
import { describe, expect, test } from 'vitest';
import { bootLog, NONCE, SELECTION, softwareMachine } from '../../test/attestation/machine.ts';
import { EVENT, parseEventLog } from '../eventlog/format.ts';
import { replayLog } from '../eventlog/replay.ts';
import { SHA256 } from '../hash.ts';
import { appraiseMachine } from './appraise.ts';
import { learnReference, predictPcrs, withReplacements } from './learn.ts';

const kernel = (version: string) =>
  bootLog((log) => {
    log.appendMeasured(4, EVENT.EFI_BOOT_SERVICES_APPLICATION, new Uint8Array(32), Buffer.from(`kernel ${version}`));
  });
const digest = (version: string) => SHA256.digest(Buffer.from(`kernel ${version}`));

describe('learned reference values', () => {
  const machine = softwareMachine('ecdsa', kernel('1'));
  const reference = learnReference(machine.parts(), ['secure-boot']);
  const context = { nonce: NONCE, akPublic: machine.key.publicArea, reference, clock: null, now: new Date(0) };

  test('are met by the machine, and name every boot register', () => {
    expect(appraiseMachine(machine.parts(), context).state).toBe('affirming');
    expect(Object.keys(reference.pcrs?.sha256 ?? {}).map(Number)).toEqual(SELECTION);
  });

  test('are not met by another kernel, until its registers were predicted', () => {
    const updated = softwareMachine('ecdsa', kernel('2'));
    const its = { ...context, akPublic: updated.key.publicArea };
    const before = appraiseMachine(updated.parts(), its);
    expect(before.checks.filter(({ passed }) => !passed).map(({ name }) => name)).toContain('reference-pcr-sha256-4');
    const changes = [{ from: digest('1'), to: digest('2') }];
    const predicted = predictPcrs(kernel('1'), SHA256.id, changes);
    const four = Buffer.from(predicted[4] ?? []).toString('hex');
    const both = { ...reference.pcrs?.sha256, 4: [...(reference.pcrs?.sha256?.[4] ?? []), four] };
    const after = appraiseMachine(updated.parts(), { ...its, reference: { ...reference, pcrs: { sha256: both } } });
    expect(after.state).toBe('affirming');
  });
});

describe('a prediction', () => {
  test('is what the changed log replays to', () => {
    const predicted = predictPcrs(kernel('1'), SHA256.id, [{ from: digest('1'), to: digest('2') }]);
    expect(predicted).toEqual(replayLog(parseEventLog(kernel('2')), SHA256.id));
    const gone = predictPcrs(kernel('1'), SHA256.id, [{ from: digest('1'), to: undefined }]);
    expect(gone).toEqual(replayLog(parseEventLog(bootLog()), SHA256.id));
  });

  test('of a change that touches nothing is refused', () => {
    expect(() => predictPcrs(kernel('1'), SHA256.id, [{ from: digest('3'), to: digest('2') }])).toThrow(/no event/);
  });
});

describe('reference values with replacements', () => {
  const content = (version: string) => Buffer.from(`kernel ${version}`);
  const now = learnReference(softwareMachine('ecdsa', kernel('1')).parts());
  const upgrade = { name: 'kernel', readings: [{ from: content('1'), to: content('2') }] };
  const state = (version: string, reference: object) => {
    const machine = softwareMachine('ecdsa', kernel(version));
    const context = { nonce: NONCE, akPublic: machine.key.publicArea, reference, clock: null, now: new Date(0) };
    return appraiseMachine(machine.parts(), context).state;
  };

  test('accept the machine before and after, and no third', () => {
    const both = withReplacements(now, kernel('1'), [upgrade]);
    expect(['1', '2', '3'].map((version) => state(version, both))).toEqual([
      'affirming',
      'affirming',
      'contraindicated',
    ]);
  });

  test('count a file once that is read in two ways alike, and ignore a reading that was not measured', () => {
    const other = { from: Buffer.from('other'), to: Buffer.from('another') };
    const twice = { ...upgrade, readings: [...upgrade.readings, ...upgrade.readings, other] };
    expect(withReplacements(now, kernel('1'), [twice])).toEqual(withReplacements(now, kernel('1'), [upgrade]));
  });

  test('are refused for what was not measured, and for a log of another boot', () => {
    expect(() => withReplacements(now, kernel('2'), [upgrade])).toThrow(/measures no kernel/);
    const elsewhere = learnReference(softwareMachine('ecdsa', kernel('3')).parts());
    expect(() => withReplacements(elsewhere, kernel('1'), [upgrade])).toThrow(/does not explain sha256:4/);
  });
});
