/** The events of a log with their meanings and bindings, made once for all who ask. */
import { type Binding, bindingOf, demandsBinding } from './binding.ts';
import type { LogEvent, ParsedLog } from './format.ts';
import { type Meaning, meaningOf } from './meaning.ts';

/** Meaning and binding are made when first asked for: what no policy reads costs nothing. */
export interface TypedEvent {
  readonly event: LogEvent;
  readonly meaning: Meaning;
  readonly binding: Binding;
  /** In the bank asked for. */
  readonly digest: Uint8Array;
}

class EventWithMeaning implements TypedEvent {
  readonly event: LogEvent;
  readonly #log: ParsedLog;
  readonly #algorithm: number;
  #meaning: Meaning | undefined;
  #binding: Binding | undefined;

  constructor(log: ParsedLog, event: LogEvent, algorithm: number) {
    this.event = event;
    this.#log = log;
    this.#algorithm = algorithm;
  }

  get meaning(): Meaning {
    this.#meaning ??= meaningOf(this.event);
    return this.#meaning;
  }

  get binding(): Binding {
    this.#binding ??= bindingOf(this.#log, this, this.#algorithm);
    return this.#binding;
  }

  get digest(): Uint8Array {
    return this.event.digestOf(this.#log.algorithms.indexOf(this.#algorithm)) ?? NONE;
  }
}

/**
 * One appraisal asks several times for the events of one log. Only the last is kept: a WeakMap of thousands of logs a second
 * would move each of them to the old generation of the heap.
 */
let last: { readonly log: ParsedLog; readonly algorithm: number; readonly events: readonly TypedEvent[] } | undefined;
const NONE = new Uint8Array();

/** Every event, with its binding in the bank `algorithm` (TPM_ALG_ID). Never throws. */
export function typedEvents(log: ParsedLog, algorithm: number): readonly TypedEvent[] {
  if (last?.log === log && last.algorithm === algorithm) return last.events;
  const events = log.events.map((event) => new EventWithMeaning(log, event, algorithm));
  last = { log, algorithm, events };
  return events;
}

/** Events whose type demands that their digest be over their data, and whose digest is not. */
export function contradictedEvents(log: ParsedLog, algorithm: number): readonly TypedEvent[] {
  return typedEvents(log, algorithm).filter(
    (typed) => demandsBinding(typed.event.type) && typed.binding === 'contradicted',
  );
}
