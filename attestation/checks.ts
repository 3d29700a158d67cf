/**
 * Named checks of an appraisal. A check that cannot be made has failed: whatever throws inside one is its failure, so
 * nothing is accepted because something threw.
 */
import type { AppraisedModule, CheckResult } from './verifier/evidence-format.ts';

/** How a failed check weighs. */
export type Severity = 'warning' | 'contraindicated';

/** AR4SI tiers: affirming, warning, contraindicated. draft-ietf-rats-ar4si, section 2.3.1. */
const TIER = { affirming: 2, warning: 32, contraindicated: 96 } as const;
export type Status = keyof typeof TIER;

/** The checks of one module of the evidence; those of the modules before it are kept in front. */
export class Checks {
  readonly results: CheckResult[];
  readonly #from: number;
  #status: Status = 'affirming';

  constructor(before: readonly CheckResult[] = []) {
    this.results = [...before];
    this.#from = before.length;
  }

  get status(): Status {
    return this.results.length === this.#from ? 'contraindicated' : this.#status;
  }

  /** Record whether `test` holds; `otherwise` says what is wrong when it does not. */
  holds(name: string, test: () => boolean, otherwise: string | (() => string), severity?: Severity): boolean {
    let detail: string;
    try {
      if (test()) {
        this.results.push({ name, passed: true });
        return true;
      }
      detail = typeof otherwise === 'string' ? otherwise : otherwise();
    } catch (error) {
      detail = error instanceof Error ? error.message : String(error);
    }
    this.results.push({ name, passed: false, detail });
    if (severity !== 'warning') this.#status = 'contraindicated';
    else if (this.#status === 'affirming') this.#status = 'warning';
    return false;
  }

  /** A check that passes when `make` returns, which is then the value; undefined when it throws. */
  value<T>(name: string, make: () => T): T | undefined {
    let value: T | undefined;
    this.holds(
      name,
      () => {
        value = make();
        return true;
      },
      '',
    );
    return value;
  }

  /** The module as a result has it. A module without any check is not affirmed. */
  module(): AppraisedModule {
    const tier = TIER[this.status];
    return {
      status: this.status,
      vector: { 'instance-identity': tier, configuration: tier, executables: tier },
    };
  }
}

/** The worst of several states. */
export function worst(...statuses: readonly Status[]): Status {
  if (statuses.length === 0 || statuses.includes('contraindicated')) return 'contraindicated';
  return statuses.includes('warning') ? 'warning' : 'affirming';
}

/** What an earlier check should have made. Throws when it did not. */
export function required<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('what this check needs did not parse');
  return value;
}
