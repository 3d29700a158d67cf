/** The events of a log with their meanings and bindings, made once for all who ask. */
import { type Binding, bindingOf } from './binding.ts';
import type { LogEvent, ParsedLog } from './format.ts';
import { type Meaning, meaningOf } from './meaning.ts';

export interface TypedEvent {
  readonly event: LogEvent;
  readonly meaning: Meaning;
  readonly binding: Binding;
  /** In the bank asked for. */
  readonly digest: Uint8Array;
}

const known = new WeakMap<ParsedLog, Map<number, readonly TypedEvent[]>>();
const NONE = new Uint8Array();

/** Every event, with its binding in the bank `algorithm` (TPM_ALG_ID). Never throws. */
export function typedEvents(log: ParsedLog, algorithm: number): readonly TypedEvent[] {
  const banks = known.get(log) ?? new Map<number, readonly TypedEvent[]>();
  known.set(log, banks);
  const before = banks.get(algorithm);
  if (before !== undefined) return before;
  const bank = log.algorithms.indexOf(algorithm);
  const typed = log.events.map((event) => ({
    event,
    meaning: meaningOf(event),
    binding: bindingOf(log, event, algorithm),
    digest: event.digests[bank] ?? NONE,
  }));
  banks.set(algorithm, typed);
  return typed;
}
