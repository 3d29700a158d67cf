/** The events of a log with their meanings and bindings, made once for all who ask. */
import { type Binding, bindingOf, demandsBinding } from './binding.ts';
import type { LogEvent, ParsedLog } from './format.ts';
import { type Meaning, meaningOf } from './meaning.ts';

export interface TypedEvent {
  readonly event: LogEvent;
  readonly meaning: Meaning;
  /** Decided when first asked for: it costs a hash of the event's data, or several. */
  readonly binding: Binding;
  /** In the bank asked for. */
  readonly digest: Uint8Array;
}

class EventWithMeaning implements TypedEvent {
  readonly event: LogEvent;
  readonly meaning: Meaning;
  readonly #log: ParsedLog;
  readonly #algorithm: number;
  #binding: Binding | undefined;

  constructor(log: ParsedLog, event: LogEvent, algorithm: number) {
    this.event = event;
    this.meaning = meaningOf(event);
    this.#log = log;
    this.#algorithm = algorithm;
  }

  get binding(): Binding {
    this.#binding ??= bindingOf(this.#log, this.event, this.#algorithm);
    return this.#binding;
  }

  get digest(): Uint8Array {
    return this.event.digests[this.#log.algorithms.indexOf(this.#algorithm)] ?? NONE;
  }
}

const known = new WeakMap<ParsedLog, Map<number, readonly TypedEvent[]>>();
const NONE = new Uint8Array();

/** Every event, with its binding in the bank `algorithm` (TPM_ALG_ID). Never throws. */
export function typedEvents(log: ParsedLog, algorithm: number): readonly TypedEvent[] {
  const banks = known.get(log) ?? new Map<number, readonly TypedEvent[]>();
  known.set(log, banks);
  const before = banks.get(algorithm);
  if (before !== undefined) return before;
  const typed = log.events.map((event) => new EventWithMeaning(log, event, algorithm));
  banks.set(algorithm, typed);
  return typed;
}

/** Events whose type demands that their digest be over their data, and whose digest is not. */
export function contradictedEvents(log: ParsedLog, algorithm: number): readonly TypedEvent[] {
  return typedEvents(log, algorithm).filter(
    (typed) => demandsBinding(typed.event.type) && typed.binding === 'contradicted',
  );
}
