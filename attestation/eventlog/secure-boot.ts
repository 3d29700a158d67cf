/**
 * What PCR 7 says of Secure Boot (PC Client Platform Firmware Profile 1.06, section 3.3.4.8): the state and the
 * databases before its separator, the authorities that let images through. Only events whose digest is over their data
 * are believed, in the order that firmware writes them; whatever else stands in PCR 7 is a problem, by name.
 */
import { toHex } from '../bytes.ts';
import { type Signature, signaturesIn } from './efi.ts';
import type { ParsedLog } from './format.ts';
import { type TypedEvent, typedEvents } from './typed.ts';
import { EVENT, eventTypeName } from './types.ts';

const PCR = 7;

export interface Authority {
  /** Of the event, in the log. */
  readonly index: number;
  /** The variable that held it: `db`, `MokList`, `Shim`, `Vendor`. */
  readonly source: string;
  /** The event's digest in the bank asked for, hexadecimal: names it even where the log cannot prove its data. */
  readonly digest: string;
  /** Undefined where the digest is not over what is logged (older shims), or it is no signature. */
  readonly signature: Signature | undefined;
}

export interface SecureBoot {
  readonly enabled: boolean;
  readonly platformKeys: readonly Signature[];
  readonly exchangeKeys: readonly Signature[];
  readonly permitted: readonly Signature[];
  readonly forbidden: readonly Signature[];
  readonly authorities: readonly Authority[];
  /** SBAT level that shim enforced; undefined when none is logged. */
  readonly sbatLevel: string | undefined;
  /** Why the log does not tell a whole story; empty for a log that does. `enabled` is then to be taken as false. */
  readonly problems: readonly string[];
}

const DATABASES = { PK: 'platformKeys', KEK: 'exchangeKeys', db: 'permitted', dbx: 'forbidden' } as const;
type Database = keyof typeof DATABASES;
const isDatabase = (name: string): name is Database => Object.hasOwn(DATABASES, name);

/** Read PCR 7 of a log, which must have been replayed, in the bank `algorithm` (TPM_ALG_ID). Never throws. */
export function secureBootOf(log: ParsedLog, algorithm: number): SecureBoot {
  const reading = new Reading();
  for (const typed of typedEvents(log, algorithm)) {
    if (typed.event.pcr === PCR && typed.event.type !== EVENT.NO_ACTION) reading.take(typed);
  }
  return reading.result();
}

class Reading {
  #enabled: boolean | undefined;
  #separators = 0;
  #sbatLevel: string | undefined;
  readonly #databases: Partial<Record<Database, readonly Signature[]>> = {};
  readonly #authorities: Authority[] = [];
  readonly #problems: string[] = [];

  take({ event, meaning, binding, digest }: TypedEvent): void {
    const bound = binding === 'bound';
    const problem = (text: string) =>
      this.#problems.push(`event ${event.index} (${eventTypeName(event.type)}): ${text}`);
    if (!bound && event.type !== EVENT.EFI_VARIABLE_AUTHORITY) {
      problem('its digest is not over its data');
      return;
    }
    switch (meaning.kind) {
      case 'separator':
        this.#separators += 1;
        if (meaning.error) problem('firmware reports an error');
        return;
      case 'secure-boot-state':
        if (this.#separators > 0) problem('a state after the separator');
        if (meaning.name !== 'SecureBoot') return;
        if (this.#enabled !== undefined) problem('the state is told twice');
        this.#enabled = meaning.enabled;
        return;
      case 'secure-boot-variable':
        if (this.#separators > 0) problem(`${meaning.name} after the separator`);
        if (!isDatabase(meaning.name)) return;
        if (this.#databases[meaning.name] !== undefined) problem(`${meaning.name} is told twice`);
        this.#databases[meaning.name] = signaturesIn(meaning.lists);
        return;
      case 'authority': {
        const signature = bound ? meaning.signature : undefined;
        this.#authorities.push({ index: event.index, source: meaning.name, digest: toHex(digest), signature });
        return;
      }
      case 'sbat-level':
        if (bound) this.#sbatLevel = meaning.level;
        return;
      case 'action':
        // "UEFI Debug Mode", or DMA protection disabled: measured here so that they change the register.
        problem(meaning.text);
        return;
      case 'variable':
        return;
      default:
        problem(meaning.kind === 'malformed' ? meaning.reason : 'not an event of Secure Boot');
    }
  }

  result(): SecureBoot {
    const problems = [...this.#problems];
    if (this.#separators !== 1) problems.push(`PCR 7 has ${this.#separators} separators`);
    if (this.#enabled === undefined) problems.push('the log does not tell the state');
    return {
      enabled: this.#enabled ?? false,
      platformKeys: this.#databases.PK ?? [],
      exchangeKeys: this.#databases.KEK ?? [],
      permitted: this.#databases.db ?? [],
      forbidden: this.#databases.dbx ?? [],
      authorities: this.#authorities,
      sbatLevel: this.#sbatLevel,
      problems,
    };
  }
}
