/**
 * What a policy sees of a machine: the evidence after its checks, as typed values. Declared once, as the schema that
 * policies are checked against before they run; docs/policy.md lists it. Members are made when a policy asks for them.
 */
import type { ObjectSchema } from '@marcbachmann/cel-js';
import { toHex } from '../bytes.ts';
import { GUID } from '../eventlog/efi.ts';
import { eventTypeName, type ParsedLog } from '../eventlog/format.ts';
import type { Meaning } from '../eventlog/meaning.ts';
import { secureBootOf } from '../eventlog/secure-boot.ts';
import { type TypedEvent, typedEvents } from '../eventlog/typed.ts';
import { type WindowsRecord, windowsValues } from '../eventlog/windows.ts';
import { hashById, SHA256 } from '../hash.ts';
import type { ImaFacts } from '../ima/increment.ts';
import type { Quote } from '../quote.ts';

/** One event of the boot log: its members by their types. */
export const EVENT_SCHEMA = {
  index: 'int',
  pcr: 'int',
  type: 'string',
  kind: 'string',
  binding: 'string',
  digest: 'string',
  text: 'string',
} as const;

/** Types in CEL's own words. Digests and other bytes are lower-case hexadecimal. */
export const MODEL_SCHEMA = {
  quote: {
    firmwareVersion: 'string',
    clock: 'int',
    resetCount: 'int',
    restartCount: 'int',
    safe: 'bool',
  },
  pcrs: 'map<string, map<string, string>>',
  secureBoot: {
    enabled: 'bool',
    problems: 'list<string>',
    authorities: 'list<map<string, string>>',
    permitted: 'list<string>',
    forbidden: 'list<string>',
    sbatLevel: 'string',
  },
  boot: {
    commandLine: 'string',
    commandLines: 'list<string>',
    images: 'list<map<string, string>>',
    sections: 'list<string>',
    grub: 'list<string>',
    windows: 'map<string, list<dyn>>',
  },
  events: 'list<Event>',
  ima: {
    entries: 'int',
    violations: 'int',
    keys: 'list<map<string, string>>',
    files: 'list<map<string, string>>',
  },
} as const satisfies ObjectSchema;

export interface ModelSource {
  readonly quote: Quote;
  readonly pcrs: ReadonlyMap<number, ReadonlyMap<number, Uint8Array>>;
  readonly log: ParsedLog;
  /** The bank that was quoted and replayed: what bindings are decided in. */
  readonly bank: number;
  readonly ima: ImaFacts | undefined;
}

export type Model = Readonly<Record<keyof typeof MODEL_SCHEMA, unknown>>;

/** The model of checked evidence. */
export function modelOf(source: ModelSource): Model {
  return new MeasuredModel(source);
}

/**
 * Members are computed once, on first use. This and the facts below are classes because an object literal with getters
 * costs more to make than most of what its getters save.
 */
class MeasuredModel implements Model {
  readonly #source: ModelSource;
  #quote: unknown;
  #pcrs: unknown;
  #secureBoot: unknown;
  #boot: unknown;
  #events: unknown;
  #ima: unknown;

  constructor(source: ModelSource) {
    this.#source = source;
  }

  get quote(): unknown {
    this.#quote ??= quoteFacts(this.#source.quote);
    return this.#quote;
  }

  get pcrs(): unknown {
    this.#pcrs ??= pcrFacts(this.#source.pcrs);
    return this.#pcrs;
  }

  get secureBoot(): unknown {
    this.#secureBoot ??= secureBootFacts(this.#source.log, this.#source.bank);
    return this.#secureBoot;
  }

  get boot(): unknown {
    this.#boot ??= new BootFacts(typedEvents(this.#source.log, this.#source.bank));
    return this.#boot;
  }

  get events(): unknown {
    this.#events ??= typedEvents(this.#source.log, this.#source.bank).map((typed) => new EventFacts(typed));
    return this.#events;
  }

  get ima(): unknown {
    this.#ima ??= imaFacts(this.#source.ima);
    return this.#ima;
  }
}

/** Nothing at all: what a described machine has where its description is silent. */
const EMPTY: Model = {
  quote: { firmwareVersion: '', clock: 0n, resetCount: 0n, restartCount: 0n, safe: false },
  pcrs: {},
  secureBoot: { enabled: false, problems: [], authorities: [], permitted: [], forbidden: [], sbatLevel: '' },
  boot: { commandLine: '', commandLines: [], images: [], sections: [], grub: [], windows: {} },
  events: [],
  ima: { entries: 0n, violations: 0n, keys: [], files: [] },
};

/** The model of a machine that is described, not measured: for tests of policies. Throws RangeError for a wrong name. */
export function modelOfFacts(facts: Readonly<Record<string, unknown>>): Model {
  const model: Record<string, unknown> = { ...EMPTY };
  for (const [name, value] of Object.entries(facts)) {
    const empty = Object.hasOwn(EMPTY, name) ? EMPTY[name as keyof Model] : undefined;
    if (empty === undefined) throw new RangeError(`the evidence has no "${name}"`);
    const open = name === 'pcrs' || Array.isArray(empty);
    for (const member of open ? [] : Object.keys(value as object)) {
      if (!Object.hasOwn(empty as object, member)) throw new RangeError(`the evidence has no "${name}.${member}"`);
    }
    if (name === 'events') model[name] = describedEvents(value);
    else
      model[name] = Array.isArray(empty) ? integers(value) : { ...(empty as object), ...(integers(value) as object) };
  }
  model.boot = described(BootFacts.prototype, MODEL_SCHEMA.boot, model.boot as Record<string, unknown>);
  return model as Model; // every member is EMPTY's or replaced above
}

/** CEL's integers are bigint; JSON and YAML have numbers. */
function integers(value: unknown): unknown {
  if (typeof value === 'number' && Number.isInteger(value)) return BigInt(value);
  if (Array.isArray(value)) return value.map(integers);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, integers(one)]));
}

const quoteFacts = ({ clock, firmwareVersion }: Quote) => ({
  firmwareVersion: firmwareVersion.toString(16).padStart(16, '0'),
  clock: clock.clock,
  resetCount: BigInt(clock.resetCount),
  restartCount: BigInt(clock.restartCount),
  safe: clock.safe,
});

function pcrFacts(pcrs: ModelSource['pcrs']) {
  const banks = [...pcrs].map(([bank, values]) => [
    hashById(bank)?.name ?? String(bank),
    Object.fromEntries([...values].map(([index, value]) => [String(index), toHex(value)])),
  ]);
  return Object.fromEntries(banks);
}

/** How a policy names a signature: the SHA-256 of a certificate, or the digest that it is. */
const signatureName = ({ kind, value }: { readonly kind: string; readonly value: Uint8Array }) =>
  toHex(kind === GUID.certSha256 ? value : SHA256.digest(value));

function secureBootFacts(log: ParsedLog, bank: number) {
  const secureBoot = secureBootOf(log, bank);
  return {
    enabled: secureBoot.enabled && secureBoot.problems.length === 0,
    problems: secureBoot.problems,
    authorities: secureBoot.authorities.map(({ source, digest, signature }) => ({
      source,
      digest,
      certificate: signature === undefined ? '' : signatureName(signature),
    })),
    permitted: secureBoot.permitted.map(signatureName),
    forbidden: secureBoot.forbidden.map(signatureName),
    sbatLevel: secureBoot.sbatLevel ?? '',
  };
}

/** How the machine was started. Each member asks for the bindings of its own events alone: every binding costs a hash. */
export class BootFacts {
  readonly #events: readonly TypedEvent[];
  #commandLines: string[] | undefined;
  #windows: Record<string, (bigint | string)[]> | undefined;

  constructor(events: readonly TypedEvent[]) {
    this.#events = events;
  }

  get commandLine(): string {
    return this.commandLines.at(-1) ?? '';
  }

  get commandLines(): string[] {
    this.#commandLines ??= believed(this.#events, commandLineOf);
    return this.#commandLines;
  }

  get images(): Record<string, string>[] {
    return imagesOf(this.#events);
  }

  get sections(): string[] {
    return believed(this.#events, (meaning) => (meaning.kind === 'uki-section' ? meaning.section : undefined));
  }

  get grub(): string[] {
    return believed(this.#events, grubCommandOf);
  }

  get windows(): Record<string, (bigint | string)[]> {
    this.#windows ??= windowsSettings(this.#events);
    return this.#windows;
  }

  toJSON(): Record<string, unknown> {
    return members(this, MODEL_SCHEMA.boot);
  }
}

const isBelieved = ({ binding }: TypedEvent): boolean => binding === 'bound' || binding === 'value';

/** What `of` finds in the meanings of events whose data is measured. */
function believed<T>(events: readonly TypedEvent[], of: (meaning: Meaning) => T | undefined): T[] {
  const all: T[] = [];
  for (const typed of events) {
    const found = of(typed.meaning);
    if (found !== undefined && isBelieved(typed)) all.push(found);
  }
  return all;
}

const imagesOf = (events: readonly TypedEvent[]) =>
  events.flatMap((typed) => {
    const { event, meaning } = typed;
    return meaning.kind === 'image'
      ? [{ path: meaning.path, digest: toHex(typed.digest), pcr: String(event.pcr) }]
      : [];
  });

function commandLineOf(meaning: Meaning): string | undefined {
  if (meaning.kind === 'kernel-command-line') return meaning.text;
  return meaning.kind === 'grub' && meaning.subject === 'kernel-command-line' ? meaning.text : undefined;
}

const grubCommandOf = (meaning: Meaning): string | undefined =>
  meaning.kind === 'grub' && meaning.subject === 'command' ? meaning.text : undefined;

function windowsSettings(events: readonly TypedEvent[]): Record<string, (bigint | string)[]> {
  const settings: Record<string, (bigint | string)[]> = {};
  const records = (meaning: Meaning) => (meaning.kind === 'windows' ? meaning.records : undefined);
  for (const one of believed(events, records)) addWindows(settings, one);
  return settings;
}

function addWindows(settings: Record<string, (bigint | string)[]>, records: readonly WindowsRecord[]): void {
  for (const { name, value } of records) {
    if (typeof value === 'object') addWindows(settings, value);
    else if (!Object.hasOwn(settings, name)) {
      settings[name] = windowsValues(records, name).map((one) => (typeof one === 'number' ? BigInt(one) : one));
    }
  }
}

/** An event as a policy sees it. A member is made when a policy reads it: few read more than two. */
export class EventFacts {
  readonly #typed: TypedEvent;

  constructor(typed: TypedEvent) {
    this.#typed = typed;
  }

  get index(): bigint {
    return BigInt(this.#typed.event.index);
  }

  get pcr(): bigint {
    return BigInt(this.#typed.event.pcr);
  }

  get type(): string {
    return eventTypeName(this.#typed.event.type);
  }

  get kind(): string {
    return this.#typed.meaning.kind;
  }

  get binding(): string {
    return this.#typed.binding;
  }

  get digest(): string {
    return toHex(this.#typed.digest);
  }

  get text(): string {
    return meaningText(this.#typed.meaning);
  }

  /** For explanations. */
  toJSON(): Record<string, unknown> {
    return members(this, EVENT_SCHEMA);
  }
}

/** Members by their names, for explanations: getters are not enumerated. */
function members<T extends object>(
  facts: T,
  schema: { readonly [name in keyof T]?: unknown },
): Record<string, unknown> {
  return Object.fromEntries(Object.keys(schema).map((name) => [name, facts[name as keyof T]])); // as its type says
}

/** Facts of a class that are described, not measured: what the description leaves out is absent. */
function described<T>(prototype: T, schema: object, description: Readonly<Record<string, unknown>>): T {
  const values = Object.keys(schema).map((name) => [name, { value: description[name] }] as const);
  return Object.create(prototype as object, Object.fromEntries(values));
}

/** Throws RangeError for a wrong name. */
function describedEvents(value: unknown): unknown {
  if (!Array.isArray(value)) return value;
  return value.map((event: object) => {
    for (const name of Object.keys(event)) {
      if (!Object.hasOwn(EVENT_SCHEMA, name)) throw new RangeError(`an event has no "${name}"`);
    }
    return described(EventFacts.prototype, EVENT_SCHEMA, integers(event) as Record<string, unknown>);
  });
}

/** The one text of a meaning, where it has one. */
function meaningText(meaning: Meaning): string {
  if ('text' in meaning) return meaning.text;
  if ('path' in meaning) return meaning.path;
  if ('name' in meaning) return meaning.name;
  if ('version' in meaning) return meaning.version;
  return 'section' in meaning ? meaning.section : '';
}

function imaFacts(ima: ImaFacts | undefined) {
  const files = ima?.files ?? [];
  return {
    entries: BigInt(files.length),
    violations: BigInt(ima?.violations ?? 0),
    keys: (ima?.keys ?? []).map(({ keyring, digest }) => ({ keyring, digest })),
    files: files.map(({ name, algorithm, digest, signer }) => ({
      path: name,
      algorithm,
      digest: toHex(digest),
      signer: signer ?? '',
    })),
  };
}
