/**
 * Named checks of an appraisal. A check that cannot be made has failed: whatever throws inside one is its failure, so
 * nothing is accepted because something threw.
 */
import type { AppraisedModule, CheckResult, TrustVector } from './verifier/evidence-format.ts';

/** How a failed clause of a policy weighs. */
export type Severity = 'warning' | 'contraindicated';

/**
 * What checks come to, from best to worst. `expired`: what spoke for the attester was good and is out of date, which is
 * nobody's attack. `revoked`: who vouched for it has taken that back.
 */
const STATUSES = ['affirming', 'warning', 'expired', 'revoked', 'contraindicated'] as const;
export type Status = (typeof STATUSES)[number];
/** How a failed check weighs. */
export type Fault = Exclude<Status, 'affirming'>;

/** AR4SI tiers (draft-ietf-rats-ar4si, section 2.3.1). It has none for what is out of date: no claim is made of that. */
const RESULT = {
  affirming: { status: 'affirming', tier: 2 },
  warning: { status: 'warning', tier: 32 },
  expired: { status: 'none', tier: undefined },
  revoked: { status: 'contraindicated', tier: 96 },
  contraindicated: { status: 'contraindicated', tier: 96 },
} as const satisfies Record<Status, { readonly status: string; readonly tier: number | undefined }>;

/** A check's failure that is not `contraindicated`: thrown inside one, it says how it weighs. */
export class Failing extends Error {
  override readonly name = 'Failing';
  readonly fault: Fault;
  constructor(fault: Fault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.fault = fault;
  }
}

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

  /**
   * Record whether `test` holds; `otherwise` says what is wrong when it does not. A failure weighs as `fault` says, or
   * as a `Failing` that was thrown does.
   */
  holds(
    name: string,
    test: () => boolean,
    otherwise: string | (() => string),
    fault: Fault = 'contraindicated',
  ): boolean {
    let detail: string;
    let weight = fault;
    try {
      if (test()) {
        this.results.push({ name, passed: true });
        return true;
      }
      detail = typeof otherwise === 'string' ? otherwise : otherwise();
    } catch (error) {
      detail = error instanceof Error ? error.message : String(error);
      if (error instanceof Failing) weight = error.fault;
    }
    this.results.push({ name, passed: false, detail });
    this.#status = worst(this.#status, weight);
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
    const { status, tier } = RESULT[this.status];
    const vector: TrustVector =
      tier === undefined ? {} : { 'instance-identity': tier, configuration: tier, executables: tier };
    return { status, vector };
  }
}

/** The worst of several states. */
export function worst(...statuses: readonly Status[]): Status {
  if (statuses.length === 0) return 'contraindicated';
  return statuses.reduce((a, b) => (STATUSES.indexOf(a) > STATUSES.indexOf(b) ? a : b));
}

/** What an earlier check should have made, or the machine have sent. Throws when it did not. */
export function required<T>(value: T | undefined, absent = 'what this check needs did not parse'): T {
  if (value === undefined) throw new Error(absent);
  return value;
}
