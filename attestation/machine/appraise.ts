/**
 * Appraisal of any machine with a TPM 2.0. Every check has a name that appears in the result (docs/evidence.md lists
 * them); one that cannot be made has failed. A reboot is a fact, not a failure; a counter that went back is one.
 */
import { concatBytes, sameBytes, toHex } from '../bytes.ts';
import { Checks, required, type Status, worst } from '../checks.ts';
import { type ParsedLog, parseEventLog } from '../eventlog/format.ts';
import { replayLog } from '../eventlog/replay.ts';
import { contradictedEvents } from '../eventlog/typed.ts';
import { EVENT, eventTypeName } from '../eventlog/types.ts';
import { EvidenceError } from '../evidence.ts';
import { hashById, SHA1 } from '../hash.ts';
import type { ImaFacts } from '../ima/increment.ts';
import { IMA_PCR, type ImaPosition } from '../ima/replay.ts';
import { modelOf } from '../policy/model.ts';
import { decodeQuote, type Quote, signatureHash, verifyTpmSignature } from '../quote.ts';
import type { AppraisalContext, Appraised, EvidenceFormat } from '../verifier/evidence-format.ts';
import { tpmName } from '../verifier/tpm-public.ts';
import { checkCertificates } from './certificates.ts';
import { decodeMachineEvidence, MACHINE_MEDIA_TYPE, type MachineEvidence } from './evidence.ts';
import { checkIma, type ImaOutcome } from './ima.ts';
import { type Manifests, manifestsInForce } from './manifests.ts';
import { type CompiledReference, compileReference } from './reference.ts';

/** PCR of the boot log: the firmware's and boot loader's own, and those of a dynamic launch. */
const BOOT_PCRS = new Set([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 17, 18]);

/** The format as the verifier service takes it. */
export const machineEvidence: EvidenceFormat = {
  mediaType: MACHINE_MEDIA_TYPE,
  keyBinding: 'nonce',
  parseReference: (body) => compileReference(body).document,
  listPosition(clock) {
    const { resetCount, ima } = clock as Kept; // stored by us
    return ima === undefined ? undefined : { resetCount, entries: ima.entries };
  },
  open(bytes) {
    const evidence = decodeMachineEvidence(bytes);
    return { akName: akName(evidence), appraise: (context) => appraiseMachine(evidence, context) };
  },
};

function akName({ akPublic }: MachineEvidence): Uint8Array {
  try {
    return tpmName(akPublic);
  } catch (cause) {
    throw new EvidenceError('the attestation key is not a TPMT_PUBLIC', { cause });
  }
}

/** What a verifier keeps of the last good quote: JSON. */
interface Kept {
  readonly clock: string;
  readonly resetCount: number;
  readonly restartCount: number;
  readonly ima?: ImaPosition;
}

/** Appraise decoded evidence. Never throws for what the evidence holds. */
export function appraiseMachine(evidence: MachineEvidence, context: AppraisalContext): Appraised {
  const checks = new Checks();
  const reference = checks.value('reference-values', () => {
    if (context.reference === undefined) throw new Error('no reference values are stored');
    return compileReference(context.reference);
  });
  const quote = checkQuote(evidence, context, reference, checks);
  checkClock(quote, context.clock as Kept | null, checks); // stored by us, as `clock` below
  const device = checkCertificates(evidence.certificates ?? {}, reference?.certificates, context, checks);
  const log = checkLog(evidence, reference, checks);
  const ima = checkMeasurements(evidence, context, quote, reference, checks);
  const manifests = valuesInForce(reference, context, checks);
  checkReference(evidence, quote, reference, manifests, context.now, checks);
  checkEvents(log, reference, manifests, context.now, checks);
  const status = worst(checks.status, checkPolicies(evidence, quote, log, ima?.facts, reference, checks));
  const module = checks.module();
  return {
    state: status,
    checks: checks.results,
    modules: { platform: module },
    ...(device !== undefined && { device }),
    // A refused quote's clock is not believed.
    clock:
      (status !== 'affirming' && status !== 'warning') || quote === undefined ? undefined : kept(quote, ima?.position),
  };
}

function checkQuote(
  evidence: MachineEvidence,
  context: AppraisalContext,
  reference: CompiledReference | undefined,
  checks: Checks,
): Quote | undefined {
  const { akPublic, quoted, signature } = evidence;
  checks.holds('attestation-key', () => sameBytes(akPublic, context.akPublic), 'not the enrolled attestation key');
  const allowSha1 = onlySha1(reference);
  checks.holds(
    'quote-signature',
    () => verifyTpmSignature(context.akPublic, quoted, signature, { allowSha1 }),
    'does not verify',
  );
  const quote = checks.value('quote-structure', () => decodeQuote(quoted));
  checks.holds(
    'quote-nonce',
    () => sameBytes(required(quote).extraData, context.nonce),
    'qualifyingData is not the nonce of this challenge',
  );
  checks.holds(
    'quote-selection',
    () => isSelection(required(quote).selection, required(reference).selection),
    () => `the quote must select exactly ${reference?.selection.map(selectionText).join('+')}`,
  );
  checks.holds(
    'pcr-digest',
    () => sameBytes(digestOfPcrs(evidence, required(quote), signatureHash(signature)), required(quote).pcrDigest),
    'the register values are not those that were quoted',
  );
  checks.holds('bank-strength', () => !onlySha1(required(reference)), 'only the SHA-1 bank is quoted', 'warning');
  return quote;
}

type Selection = CompiledReference['selection'];

/** The same banks and registers in the same order, no more and no fewer. */
function isSelection(actual: Quote['selection'], wanted: Selection): boolean {
  if (actual.length !== wanted.length) return false;
  return wanted.every(({ bank, pcrs }, i) => {
    const one = actual[i];
    return one?.hash === bank && one.pcrs.length === pcrs.length && pcrs.every((index, at) => one.pcrs[at] === index);
  });
}

const selectionText = ({ bank, pcrs }: Selection[number]): string => `${hashById(bank)?.name}:${pcrs.join(',')}`;

/** Reference values that ask for nothing but the SHA-1 bank are those of an old TPM. */
const onlySha1 = (reference: CompiledReference | undefined): boolean =>
  reference?.selection.every(({ bank }) => bank === SHA1.id) ?? false;

/** TPM2_Quote hashes the selected registers in the order of the selection, with the hash of the signing scheme. */
function digestOfPcrs({ pcrs }: MachineEvidence, quote: Quote, algorithm: number): Uint8Array {
  const values: Uint8Array[] = [];
  for (const { hash, pcrs: indices } of quote.selection) {
    const bank = pcrs.get(hash);
    for (const index of indices) values.push(required(bank?.get(index)));
  }
  return required(hashById(algorithm)).digest(concatBytes(...values));
}

/** The counters of a TPM never fall; a higher resetCount is a reboot. Part 1, section 36. */
function checkClock(quote: Quote | undefined, before: Kept | null, checks: Checks): void {
  checks.holds(
    'clock',
    () => {
      const { clock, resetCount, restartCount } = required(quote).clock;
      if (before === null) return true;
      if (resetCount !== before.resetCount) return resetCount > before.resetCount;
      return restartCount >= before.restartCount && clock >= BigInt(before.clock);
    },
    () => 'resetCount, restartCount or clock is lower than in the last quote: an older quote, or another TPM',
  );
}

/** Replay every bank that is quoted; every event counts, also those that no policy reads. */
function checkLog(
  evidence: MachineEvidence,
  reference: CompiledReference | undefined,
  checks: Checks,
): ParsedLog | undefined {
  const selection = reference?.selection ?? [];
  // A machine without a boot log is one to quote other registers of; policies that read the log still fail.
  const needed = selection.some(({ pcrs }) => pcrs.some((index) => BOOT_PCRS.has(index)));
  if (evidence.eventLog.length === 0 && reference !== undefined && !needed) return undefined;
  const log = checks.value('event-log', () => parseEventLog(evidence.eventLog));
  for (const { bank, pcrs } of selection) {
    const covered = pcrs.filter((index) => BOOT_PCRS.has(index));
    if (covered.length === 0) continue;
    let strays: number[] = [];
    checks.holds(
      `log-replay-${hashById(bank)?.name}`,
      () => {
        const replayed = replayLog(required(log), bank);
        const quoted = evidence.pcrs.get(bank);
        strays = covered.filter((index) => !sameBytes(required(replayed[index]), required(quoted?.get(index))));
        return strays.length === 0;
      },
      () => `the event log does not lead to PCR ${strays.join(', ')}`,
    );
  }
  return log;
}

/** IMA's list leads from where the last good quote of this boot left it to what PCR 10 holds now. */
function checkMeasurements(
  evidence: MachineEvidence,
  context: AppraisalContext,
  quote: Quote | undefined,
  reference: CompiledReference | undefined,
  checks: Checks,
): ImaOutcome | undefined {
  if (reference?.ima === undefined) return undefined;
  const bank = reference.selection.find(({ pcrs }) => pcrs.includes(IMA_PCR))?.bank;
  const before = context.clock as Kept | null; // stored by us
  const sameBoot = before !== null && before.resetCount === quote?.clock.resetCount;
  return checkIma(evidence, sameBoot ? before.ima : undefined, bank, reference.ima, checks);
}

function valuesInForce(
  reference: CompiledReference | undefined,
  { provisioned }: AppraisalContext,
  checks: Checks,
): Manifests | undefined {
  if (reference === undefined) return undefined;
  const { manifests, document, selection } = reference;
  return manifestsInForce(manifests, document.endorsements, selection, provisioned, checks);
}

function checkReference(
  evidence: MachineEvidence,
  quote: Quote | undefined,
  reference: CompiledReference | undefined,
  manifests: Manifests | undefined,
  now: Date,
  checks: Checks,
): void {
  const { firmwareVersions, pcrs = {} } = reference?.document ?? {};
  if (firmwareVersions !== undefined) {
    checks.holds(
      'firmware-version',
      () => firmwareVersions.includes(required(quote).firmwareVersion.toString(16).padStart(16, '0')),
      () => `TPM firmware ${quote?.firmwareVersion.toString(16).padStart(16, '0')} is not a reference value`,
    );
  }
  for (const { bank, pcrs: indices } of reference?.selection ?? []) {
    const name = hashById(bank)?.name ?? '';
    const accepted = pcrs[name] ?? {};
    for (const index of indices) {
      const values = accepted[index];
      if (values === undefined && !manifests?.covers('registers', bank, index)) continue;
      checks.holds(
        `reference-pcr-${name}-${index}`,
        () => {
          const value = toHex(required(evidence.pcrs.get(bank)?.get(index), `${name}:${index} was not quoted`));
          return values?.includes(value) === true || required(manifests).accept('registers', bank, index, value, now);
        },
        'not a reference value',
      );
    }
  }
}

/** Where manifests list the events of a register, every event of it is one of those. */
function checkEvents(
  log: ParsedLog | undefined,
  reference: CompiledReference | undefined,
  manifests: Manifests | undefined,
  now: Date,
  checks: Checks,
): void {
  if (reference === undefined || manifests === undefined) return;
  for (const [bank, index] of manifests.registers('events')) {
    // A register that is not quoted is nobody's word.
    if (!reference.selection.some((one) => one.bank === bank && one.pcrs.includes(index))) continue;
    checks.holds(
      `reference-event-${hashById(bank)?.name}-${index}`,
      () => {
        const { algorithms, events } = required(log);
        const at = algorithms.indexOf(bank);
        for (const event of events) {
          if (event.pcr !== index || event.type === EVENT.NO_ACTION) continue;
          const digest = toHex(required(event.digestOf(at)));
          if (manifests.accept('events', bank, index, digest, now)) continue;
          throw new Error(`event ${event.index} (${eventTypeName(event.type)}): ${digest} is not a reference value`);
        }
        return true;
      },
      '',
    );
  }
}

/** One check for each policy. They see only what was checked: when something failed before, they fail. */
function checkPolicies(
  evidence: MachineEvidence,
  quote: Quote | undefined,
  log: ParsedLog | undefined,
  ima: ImaFacts | undefined,
  reference: CompiledReference | undefined,
  checks: Checks,
): Status {
  if (reference === undefined || reference.policies.length === 0) return checks.status;
  const bank = reference.selection.find((one) => log?.algorithms.includes(one.bank))?.bank;
  let odd: number[] = [];
  checks.holds(
    'event-binding',
    () => {
      odd = contradictedEvents(required(log), required(bank)).map(({ event }) => event.index);
      return odd.length === 0;
    },
    () => `events ${odd.join(', ')}: their digests are not over their data, as their types demand`,
  );
  const proved = checks.status !== 'contraindicated';
  const model =
    proved && quote !== undefined && log !== undefined && bank !== undefined
      ? modelOf({ quote, pcrs: evidence.pcrs, log, bank, ima })
      : undefined;
  for (const policy of reference.policies) {
    const failed = model === undefined ? [] : policy.evaluate(model).filter(({ passed }) => !passed);
    const severity = failed.some((outcome) => outcome.severity === 'contraindicated') || model === undefined;
    checks.holds(
      `policy-${policy.name}`,
      () => model !== undefined && failed.length === 0,
      () => failed.map(({ detail }) => detail).join('; ') || 'the evidence it judges was refused',
      severity ? 'contraindicated' : 'warning',
    );
  }
  return checks.status;
}

function kept(quote: Quote, ima: ImaPosition | undefined): Kept {
  const { clock, resetCount, restartCount } = quote.clock;
  return { clock: clock.toString(), resetCount, restartCount, ...(ima === undefined ? {} : { ima }) };
}
