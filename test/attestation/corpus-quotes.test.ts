/**
 * The quote of the corpus by a real TPM of Windows' host: RSASSA with SHA-1 over the SHA-1 bank, made over an empty nonce.
 * The other quote there is of TPM 1.2, which is another structure, and no TPM 2.0 quote.
 */
import { describe, expect, test } from 'vitest';
import { fromHex } from '../../attestation/bytes.ts';
import { parseEventLog } from '../../attestation/eventlog/format.ts';
import { typedEvents } from '../../attestation/eventlog/typed.ts';
import { windowsValues } from '../../attestation/eventlog/windows.ts';
import { SHA1 } from '../../attestation/hash.ts';
import { machineEvidence } from '../../attestation/machine/appraise.ts';
import { encodeMachineEvidence } from '../../attestation/machine/evidence.ts';
import { decodeQuote } from '../../attestation/quote.ts';
import { corpusBytes, corpusFiles, corpusIsThere, corpusText, WHY_SKIPPED } from './corpus.ts';

const part = (machine: string, name: string) =>
  corpusFiles('quote-msg', 'quote-sig', 'quote-ak', 'eventlog', 'pcrs').find(
    ({ path }) => path.includes(machine) && path.endsWith(name),
  )?.path ?? '';

describe.skipIf(!corpusIsThere)(`quotes of the corpus (${corpusIsThere ? 'TPM 2.0 and 1.2' : WHY_SKIPPED})`, () => {
  const windows = (name: string) => part('windows_gcp', name);
  const pcrs = () => {
    const recorded = JSON.parse(corpusText(windows('pcrs.json'))) as Record<string, Record<string, string>>;
    const values = Object.entries(recorded[SHA1.id] ?? {}).map(([index, value]): [number, Uint8Array] => [
      Number(index),
      fromHex(value),
    ]);
    return new Map([[SHA1.id, new Map(values)]]);
  };
  const selected = Array.from({ length: 24 }, (_, index) => index);
  const reference = (policies: unknown[] = []) => ({ selection: [{ bank: 'sha1', pcrs: selected }], policies });
  const appraise = (policies?: unknown[]) =>
    machineEvidence
      .open(
        encodeMachineEvidence({
          quoted: corpusBytes(windows('quote.msg')),
          signature: corpusBytes(windows('quote.sig')),
          akPublic: corpusBytes(windows('ak.pub')),
          eventLog: corpusBytes(windows('eventlog.bin')),
          pcrs: pcrs(),
        }),
      )
      .appraise({
        nonce: new Uint8Array(),
        akPublic: corpusBytes(windows('ak.pub')),
        reference: reference(policies),
        clock: null,
        now: new Date(0),
      });

  test('a Windows machine passes every check, with a warning for its bank', () => {
    const { state, checks } = appraise(['secure-boot', 'known-authorities', 'no-debug-boot', 'trusted-clock']);
    expect(checks.filter(({ passed }) => !passed).map(({ name }) => name)).toEqual(['bank-strength']);
    expect(state).toBe('warning');
  });

  test('a policy of another authority refuses it, and says which', () => {
    const clauses = [{ expect: 'secureBoot.authorities.all(a, a.certificate == "none")' }];
    const { state, checks } = appraise([{ name: 'other', clauses }]);
    expect(state).toBe('contraindicated');
    expect(checks.find(({ name }) => name === 'policy-other')?.detail).toMatch(
      /"source":"db".*"certificate":"[0-9a-f]{64}"/,
    );
  });

  test('its boot configuration is typed', () => {
    const log = parseEventLog(corpusBytes(windows('eventlog.bin')));
    const records = typedEvents(log, SHA1.id).flatMap(({ meaning }) =>
      meaning.kind === 'windows' ? meaning.records : [],
    );
    expect(windowsValues(records, 'SystemRoot')).toContain('\\Windows');
    expect(new Set(windowsValues(records, 'TestSigning'))).toEqual(new Set([0]));
  });

  test('a quote of TPM 1.2 is refused', () => {
    expect(() => decodeQuote(corpusBytes(part('linux_tpm12', 'quote.msg')))).toThrow(/not a TPMS_ATTEST/);
  });
});
