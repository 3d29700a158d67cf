/**
 * Reference values from one's own fleet: record a machine as it stands, and say what its registers will be after a change
 * to what it boots, so that an update does not become an outage.
 */
import { fromHex, sameBytes, toHex } from '../bytes.ts';
import { type LogEvent, type ParsedLog, parseEventLog } from '../eventlog/format.ts';
import { replayLog } from '../eventlog/replay.ts';
import { EVENT } from '../eventlog/types.ts';
import { hashById, hashByName } from '../hash.ts';
import { decodeQuote } from '../quote.ts';
import type { MachineEvidence } from './evidence.ts';
import type { MachineReference } from './reference.ts';

/** Registers that are the same at every boot of the same software; PCR 10 and the application's are not. */
const STEADY = new Set([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 17, 18]);

/**
 * Reference values that this evidence, which must have been appraised or come from a trusted machine, meets: its own
 * selection and register values. Throws QuoteError for a malformed quote.
 */
export function learnReference(evidence: MachineEvidence, policies: readonly string[] = []): MachineReference {
  const { selection } = decodeQuote(evidence.quoted);
  const named = selection.map(({ hash, pcrs }) => ({ bank: bankName(hash), algorithm: hash, pcrs }));
  const values = named.map(({ bank, algorithm, pcrs }) => {
    const steady = pcrs.filter((index) => STEADY.has(index));
    return [bank, Object.fromEntries(steady.map((index) => [index, [toHex(quotedValue(evidence, algorithm, index))]]))];
  });
  return {
    selection: named.map(({ bank, pcrs }) => ({ bank, pcrs: [...pcrs] })),
    pcrs: Object.fromEntries(values),
    ...(policies.length === 0 ? {} : { policies: [...policies] }),
    ...(evidence.ima === undefined ? {} : { ima: {} }),
  };
}

function bankName(algorithm: number): 'sha1' | 'sha256' | 'sha384' | 'sha512' {
  const name = hashById(algorithm)?.name;
  if (name === 'sha1' || name === 'sha256' || name === 'sha384' || name === 'sha512') return name;
  throw new RangeError(`bank 0x${algorithm.toString(16)} has no reference values`);
}

function quotedValue({ pcrs }: MachineEvidence, algorithm: number, index: number): Uint8Array {
  const value = pcrs.get(algorithm)?.get(index);
  if (value === undefined) throw new RangeError(`the evidence has no value of PCR ${index}`);
  return value;
}

/** One event that will be otherwise: its digest in the bank that is predicted. */
export interface Change {
  /** The digest that the event has now. */
  readonly from: Uint8Array;
  /** The digest that it will have: of the new boot loader, kernel or command line. Undefined when it will be gone. */
  readonly to: Uint8Array | undefined;
}

/**
 * Values of PCR 0-23 after the next boot, if every event is as in `log` but for the changes. A firmware update that
 * writes other events cannot be predicted so: learn it from one machine. Throws RangeError for a change of no event.
 */
export function predictPcrs(log: ParsedLog | Uint8Array, algorithm: number, changes: readonly Change[]): Uint8Array[] {
  const parsed = log instanceof Uint8Array ? parseEventLog(log) : log;
  const bank = parsed.algorithms.indexOf(algorithm);
  const unused = new Set(changes);
  const events = parsed.events.flatMap((event) => {
    const digest = event.digestOf(bank);
    const change = changes.find(({ from }) => digest !== undefined && sameBytes(from, digest));
    if (change === undefined || event.type === EVENT.NO_ACTION) return [event];
    unused.delete(change);
    return change.to === undefined ? [] : [withDigest(event, bank, change.to)];
  });
  for (const { from } of unused) throw new RangeError(`no event has the digest ${toHex(from)}`);
  return replayLog({ ...parsed, events }, algorithm);
}

function withDigest(event: LogEvent, bank: number, digest: Uint8Array): LogEvent {
  const { index, pcr, type, data } = event;
  if (digest.length !== event.digestOf(bank)?.length) throw new RangeError(`a digest of ${digest.length} bytes`);
  const digestOf = (at: number) => (at === bank ? digest : event.digestOf(at));
  return { index, pcr, type, data, digestOf, copyDigest: (at, target, to) => target.set(digestOf(at) ?? digest, to) };
}

/** A file that the next boot measures in place of another. */
export interface Replacement {
  /** For messages. */
  readonly name: string;
  /** What firmware and loaders may hash of it: the file, or what Authenticode covers; now and then. */
  readonly readings: readonly { readonly from: Uint8Array; readonly to: Uint8Array }[];
}

/**
 * Reference values that accept the machine as it is, and after all the replacements too. `log` must explain every register
 * that they change. Throws RangeError for a replacement of what was not measured, or a log that does not explain.
 */
export function withReplacements(
  reference: MachineReference,
  log: Uint8Array,
  replacements: readonly Replacement[],
): MachineReference {
  const parsed = parseEventLog(log);
  const banks = Object.entries(reference.pcrs ?? {}).map(([name, registers]) => {
    const hash = hashByName(name);
    if (hash === undefined || !parsed.algorithms.includes(hash.id)) throw new RangeError(`the log has no bank ${name}`);
    const bank = parsed.algorithms.indexOf(hash.id);
    const measured = new Set(parsed.events.map((event) => toHex(event.digestOf(bank) ?? new Uint8Array())));
    const changes = replacements.flatMap((replacement) => {
      const all = replacement.readings.map(({ from, to }) => ({ from: hash.digest(from), to: hash.digest(to) }));
      const found = all.filter(({ from }) => measured.has(toHex(from)));
      if (found.length === 0) throw new RangeError(`the log measures no ${replacement.name}`);
      // The same reading twice, of a file that is covered whole, is one change.
      return found.filter(({ from }, at) => found.findIndex((one) => sameBytes(one.from, from)) === at);
    });
    const [now, next] = [replayLog(parsed, hash.id), predictPcrs(parsed, hash.id, changes)];
    return [name, Object.fromEntries(Object.entries(registers).map(([index, accepted]) => accept(index, accepted)))];

    function accept(index: string, accepted: readonly string[]): [string, string[]] {
      const [before, after] = [now[Number(index)] ?? new Uint8Array(), next[Number(index)] ?? new Uint8Array()];
      if (sameBytes(before, after)) return [index, [...accepted]];
      if (!accepted.some((value) => sameBytes(fromHex(value), before))) {
        throw new RangeError(`the log does not explain ${name}:${index}`);
      }
      return [index, [...new Set([...accepted, toHex(after)])]];
    }
  });
  return { ...reference, pcrs: Object.fromEntries(banks) };
}
