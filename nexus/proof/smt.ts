/**
 * Terms as SMT-LIB 2. A word is an integer from 0 up to 2^32, sums and differences written out modulo 2^32: the core
 * compares words and steps them by one, which integer difference logic decides many times faster than bit vectors. A
 * table is a function of one index or of two.
 */
import { reachable, type Term } from './terms.ts';

const WORD = 'Int';
const MODULUS = '4294967296';
const OPERATORS = { eq: '=', lt: '<', not: 'not', and: 'and', or: 'or', ite: 'ite' } as const;

const sum = (a: string, b: string): string =>
  `(ite (< (+ ${a} ${b}) ${MODULUS}) (+ ${a} ${b}) (- (+ ${a} ${b}) ${MODULUS}))`;
const difference = (a: string, b: string): string => `(ite (< ${a} ${b}) (+ (- ${a} ${b}) ${MODULUS}) (- ${a} ${b}))`;

/**
 * A query that is unsatisfiable when `assertions` contradict each other. Names do not depend on earlier queries. With
 * `naming`, assertion k is named hk and the solver is asked which of them it needed.
 */
export function smtQuery(assertions: readonly Term[], naming = false): string {
  const lines = ['(set-logic QF_UFLIA)'];
  const text = new Map<number, string>();
  const tables = new Map<string, number>();
  const body: string[] = [];
  const ranges: string[] = [];
  const use = (term: Term): string => text.get(term.id) as string;
  for (const term of reachable(assertions)) {
    switch (term.op) {
      case 'table':
        break;
      case 'const':
        text.set(term.id, term.sort === 'bool' ? (term.value === 1 ? 'true' : 'false') : String(term.value));
        break;
      case 'var':
        lines.push(`(declare-const ${term.name} ${WORD})`);
        text.set(term.id, term.name);
        ranges.push(term.name);
        break;
      default: {
        let expression: string;
        if (term.op === 'read') {
          const [source, ...index] = term.args as [Term, ...Term[]];
          tables.set(source.name, index.length);
          expression = `(${source.name} ${index.map(use).join(' ')})`;
        } else if (term.op === 'add' || term.op === 'sub') {
          const [a, b] = term.args.map(use) as [string, string];
          expression = term.op === 'add' ? sum(a, b) : difference(a, b);
        } else if (term.op === 'write') {
          throw new Error('a table reached a query outside a read');
        } else {
          expression = `(${OPERATORS[term.op]} ${term.args.map(use).join(' ')})`;
        }
        const name = `d${body.length}`;
        body.push(`(define-fun ${name} () ${term.sort === 'bool' ? 'Bool' : WORD} ${expression})`);
        text.set(term.id, name);
        if (term.op === 'read') ranges.push(name);
      }
    }
  }
  for (const [name, arity] of tables)
    lines.push(`(declare-fun ${name} (${Array(arity).fill(WORD).join(' ')}) ${WORD})`);
  for (const name of ranges) body.push(`(assert (and (<= 0 ${name}) (< ${name} ${MODULUS})))`);
  const asserted = assertions.map((assertion, k) =>
    naming ? `(assert (! ${use(assertion)} :named h${k}))` : `(assert ${use(assertion)})`,
  );
  if (naming) lines.unshift('(set-option :produce-unsat-cores true)');
  lines.push(...body, ...asserted, '(check-sat)');
  if (naming) lines.push('(get-unsat-core)');
  return `${lines.join('\n')}\n`;
}
