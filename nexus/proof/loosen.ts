/**
 * Looser formulas and specifications: a part of a condition taken away, a refusal dropped or made in fewer cases, an
 * effect dropped, one at a time. A core that leaks could satisfy them, so each must be told from the true one.
 */
import { errorName } from '../core/calls.ts';
import { ERROR_BASE } from '../core/constants.ts';
import { EQUIVALENT_SPECIFICATIONS } from './equivalents.ts';
import type { Operation } from './operations.ts';
import { decide, type ProverOptions } from './prover.ts';
import type { Solver } from './solvers.ts';
import { type CoreSource, parseCore, type SourceFile } from './source.ts';
import { demanded, specification } from './spec.ts';
import type { Spec } from './spec-terms.ts';
import { symbolicState } from './state.ts';
import { and, FALSE, ite, not, or, type Term, TRUE, variable } from './terms.ts';
import { Theory } from './theorems.ts';

export interface Variant {
  readonly term: Term;
  /** The part that was taken away. */
  readonly without: Term;
}

/** Formulas that hold more often: a part of a conjunction taken away, wherever it stands. */
export const weaker = (term: Term): Variant[] => variants(term, true);
/** Formulas that hold less often: a part of a disjunction taken away, wherever it stands. */
const stronger = (term: Term): Variant[] => variants(term, false);

function variants(term: Term, weaken: boolean): Variant[] {
  if (term.op === 'not') {
    return variants(term.args[0] as Term, !weaken).map(({ term, without }) => ({ term: not(term), without }));
  }
  if (term.op !== 'and' && term.op !== 'or') return [{ term: weaken ? TRUE : FALSE, without: term }];
  const join = term.op === 'and' ? and : or;
  const mayDrop = (term.op === 'and') === weaken;
  return term.args.flatMap((arg, k) => {
    const others = term.args.filter((_, n) => n !== k);
    // A part that is no conjunction or disjunction itself becomes constant: the same as dropped, or too much.
    const changed = variants(arg, weaken).filter((variant) => variant.term.op !== 'const');
    return [
      ...(mayDrop ? [{ term: join(...others), without: arg }] : []),
      ...changed.map((variant) => ({ term: join(...others, variant.term), without: variant.without })),
    ];
  });
}

/** A result with a refusal less, or a refusal in fewer cases. */
function looserResults(result: Term): Variant[] {
  if (result.op !== 'ite') return [];
  const refused = (term: Term): boolean => term.op === 'const' && term.value > ERROR_BASE;
  const [c, a, b] = result.args as [Term, Term, Term];
  const [when, refusal, otherwise] = refused(a) ? [c, a, b] : [not(c), b, a];
  if (!refused(refusal)) return [];
  return [
    ...stronger(when).map(({ term, without }) => ({ term: ite(term, refusal, otherwise), without })),
    ...looserResults(otherwise).map(({ term, without }) => ({ term: ite(when, refusal, term), without })),
  ];
}

interface Looser {
  readonly what: string;
  readonly spec: Spec;
}

function looserSpecs(spec: Spec): Looser[] {
  const { refusals, cells = [] } = spec;
  return [
    ...refusals.flatMap(([when, code], k) => [
      { what: `no ${errorName(code)}, the ${k + 1}. refusal`, spec: { ...spec, refusals: refusals.toSpliced(k, 1) } },
      ...stronger(when)
        .filter(({ term }) => term !== FALSE)
        .map(({ term, without }) => ({
          what: `${errorName(code)} without ${text(without)}`,
          spec: { ...spec, refusals: refusals.toSpliced(k, 1, [term, code]) },
        })),
    ]),
    ...cells.map(([array], k) => ({
      what: `no effect on ${array}, the ${k + 1}. cell`,
      spec: { ...spec, cells: cells.toSpliced(k, 1) },
    })),
    ...(refusals.length > 0 ? [] : looserResults(spec.result ?? TRUE)).map(({ term, without }) => ({
      what: `a refusal without ${text(without)}`,
      spec: { ...spec, result: term },
    })),
  ];
}

/** A formula for people. */
export function text({ op, args, name, value }: Term): string {
  const [a, b, c] = args.map((arg) => (arg.op === 'table' ? arg.name.slice(arg.name.indexOf('_') + 1) : text(arg)));
  switch (op) {
    case 'const':
      return String(value);
    case 'var':
      return name.replace(/^a_/, '');
    case 'not':
      return `!(${a})`;
    case 'and':
      return `(${args.map(text).join(' && ')})`;
    case 'or':
      return `(${args.map(text).join(' || ')})`;
    case 'ite':
      return `(${a} ? ${b} : ${c})`;
    case 'read':
      return `${a}[${[b, c].filter((index) => index !== undefined).join(', ')}]`;
    default:
      return `${a} ${{ eq: '=', lt: '<', add: '+', sub: '-' }[op as 'eq' | 'lt' | 'add' | 'sub']} ${b}`;
  }
}

/** Accesses whose specification is that of `accessFrame` and something before it. */
const DERIVED = new Set(['memoryRead', 'memoryWrite', 'deviceRead', 'deviceWrite']);

/** Each looser specification of an operation, and the theory whose REF says that the core satisfies it. */
function looserTheories(core: CoreSource, { name, params }: Operation): { what: string; theory: Theory }[] {
  if (DERIVED.has(name)) return [];
  const s = symbolicState('s', core.arrays.keys());
  const args = params.map((param) => variable(`a_${param}`));
  return looserSpecs(specification(name, s, args)).map(({ what, spec }) => ({
    what: `${name}: ${what}`,
    theory: new Theory(core, () => demanded(spec, s)),
  }));
}

/** That the core satisfies no looser specification than its own, by theorem REF; true if so, or listed as equivalent. */
export async function runLooser(
  files: readonly SourceFile[],
  lanes: readonly (readonly Solver[])[],
  options: ProverOptions,
): Promise<boolean> {
  const core = parseCore(files);
  const looser = new Theory(core).operations.flatMap((operation) =>
    looserTheories(core, operation).map((one) => ({ ...one, operation })),
  );
  const queue = looser[Symbol.iterator]();
  const unnoticed: string[] = [];
  await Promise.all(
    lanes.map(async (solvers) => {
      for (const { what, theory, operation } of queue) {
        let noticed = false;
        for (const condition of theory.conditions(operation, 'REF')) {
          noticed = (await decide(condition, solvers.slice(0, 1), options)).outcome === 'sat';
          if (noticed) break;
        }
        if (!noticed) unnoticed.push(what);
      }
    }),
  );
  const missed = unnoticed.filter((what) => !(what in EQUIVALENT_SPECIFICATIONS));
  for (const what of unnoticed)
    console.log(`${what in EQUIVALENT_SPECIFICATIONS ? 'equivalent' : 'UNNOTICED'}: ${what}`);
  const equivalent = unnoticed.length - missed.length;
  const total = looser.length - equivalent;
  console.log(`${total - missed.length}/${total} looser specifications refuted, ${equivalent} equivalent`);
  return missed.length === 0;
}
