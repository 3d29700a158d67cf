/**
 * Formulas as shared, simplified graphs over booleans and u32. Tables (arrays of one index, or of a pair) occur only
 * under `read`: reading through a write or a choice is resolved when the term is built, so that what reaches a solver
 * has no theory of arrays, only functions, 32-bit words and propositional logic.
 */
export type Sort = 'bool' | 'u32' | 'table';

export interface Term {
  readonly id: number;
  readonly op:
    | 'const'
    | 'var'
    | 'not'
    | 'and'
    | 'or'
    | 'eq'
    | 'lt'
    | 'add'
    | 'sub'
    | 'ite'
    | 'read'
    | 'write'
    | 'table';
  readonly sort: Sort;
  readonly args: readonly Term[];
  /** Of a constant. */
  readonly value: number;
  /** Of a variable or a table. */
  readonly name: string;
}

const interned = new Map<string, Term>();
const reads = new Map<string, Term>();

function make(op: Term['op'], sort: Sort, args: readonly Term[], value = 0, name = ''): Term {
  const key = `${op} ${sort} ${value} ${name} ${args.map((arg) => arg.id).join(' ')}`;
  let term = interned.get(key);
  if (term === undefined) {
    term = { id: interned.size, op, sort, args, value, name };
    interned.set(key, term);
  }
  return term;
}

export const TRUE = make('const', 'bool', [], 1);
export const FALSE = make('const', 'bool', [], 0);
export const bool = (value: boolean): Term => (value ? TRUE : FALSE);
export const u32 = (value: number): Term => make('const', 'u32', [], value >>> 0);
export const variable = (name: string): Term => make('var', 'u32', [], 0, name);
/** A table of unknown content, with one index or two. */
export const table = (name: string): Term => make('table', 'table', [], 0, name);

export function not(a: Term): Term {
  if (a.op === 'const') return bool(a.value === 0);
  if (a.op === 'not') return a.args[0] as Term;
  return make('not', 'bool', [a]);
}

function gather(op: 'and' | 'or', terms: readonly Term[], unit: Term, zero: Term): Term {
  const seen = new Map<number, Term>();
  for (const term of terms) {
    for (const part of term.op === op ? term.args : [term]) {
      if (part === zero) return zero;
      if (part === unit) continue;
      if (seen.has(not(part).id)) return zero;
      seen.set(part.id, part);
    }
  }
  const parts = [...seen.values()].sort((a, b) => a.id - b.id);
  if (parts.length === 0) return unit;
  return parts.length === 1 ? (parts[0] as Term) : make(op, 'bool', parts);
}
export const and = (...terms: readonly Term[]): Term => gather('and', terms, TRUE, FALSE);
export const or = (...terms: readonly Term[]): Term => gather('or', terms, FALSE, TRUE);
export const implies = (a: Term, b: Term): Term => or(not(a), b);

export function eq(a: Term, b: Term): Term {
  if (a === b) return TRUE;
  if (a.op === 'const' && b.op === 'const') return bool(a.value === b.value);
  if (a.sort === 'bool') {
    if (a.op === 'const') return a.value === 1 ? b : not(b);
    if (b.op === 'const') return b.value === 1 ? a : not(a);
  }
  return a.id < b.id ? make('eq', 'bool', [a, b]) : make('eq', 'bool', [b, a]);
}
export const ne = (a: Term, b: Term): Term => not(eq(a, b));

/** Unsigned. */
export function lt(a: Term, b: Term): Term {
  if (a === b) return FALSE;
  if (a.op === 'const' && b.op === 'const') return bool(a.value < b.value);
  if (b.op === 'const' && b.value === 0) return FALSE;
  return make('lt', 'bool', [a, b]);
}
export const le = (a: Term, b: Term): Term => not(lt(b, a));

/** Modulo 2^32; that no sum or difference of the core wraps is theorem BND. */
export function add(a: Term, b: Term): Term {
  if (a.op === 'const' && b.op === 'const') return u32(a.value + b.value);
  if (b.op === 'const' && b.value === 0) return a;
  if (a.op === 'sub' && a.args[1] === b) return a.args[0] as Term;
  return make('add', 'u32', [a, b]);
}
export function sub(a: Term, b: Term): Term {
  if (a.op === 'const' && b.op === 'const') return u32(a.value - b.value);
  if (b.op === 'const' && b.value === 0) return a;
  if (a.op === 'add' && a.args[1] === b) return a.args[0] as Term;
  return make('sub', 'u32', [a, b]);
}

export function ite(c: Term, a: Term, b: Term): Term {
  if (c === TRUE || a === b) return a;
  if (c === FALSE) return b;
  if (c.op === 'not') return ite(c.args[0] as Term, b, a);
  if (a.sort === 'bool') {
    if (a.op === 'const') return a.value === 1 ? or(c, b) : and(not(c), b);
    if (b.op === 'const') return b.value === 1 ? or(not(c), a) : and(c, a);
  }
  if (b.op === 'ite' && b.args[1] === a) return ite(or(c, b.args[0] as Term), a, b.args[2] as Term);
  if (b.op === 'ite' && b.args[2] === a) return ite(and(not(c), b.args[0] as Term), b.args[1] as Term, a);
  return make('ite', a.sort, [c, a, b]);
}

export const write = (target: Term, index: readonly Term[], value: Term): Term =>
  make('write', 'table', [target, value, ...index]);

export function read(source: Term, index: readonly Term[]): Term {
  if (source.op === 'table') return make('read', 'u32', [source, ...index]);
  const key = `${source.id} ${index.map((i) => i.id).join(' ')}`;
  let result = reads.get(key);
  if (result === undefined) {
    if (source.op === 'write') {
      const [target, value, ...written] = source.args as [Term, Term, ...Term[]];
      result = ite(and(...written.map((w, k) => eq(w, index[k] as Term))), value, read(target, index));
    } else {
      const [c, a, b] = source.args as [Term, Term, Term];
      result = ite(c, read(a, index), read(b, index));
    }
    reads.set(key, result);
  }
  return result;
}

/** Every sub-term of `roots`, each once, arguments first. */
export function reachable(roots: readonly Term[]): Term[] {
  const order: Term[] = [];
  const seen = new Set<number>();
  const stack: [Term, boolean][] = roots.map((root) => [root, false]);
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const [term, done] = top;
    if (done) {
      order.push(term);
    } else if (!seen.has(term.id)) {
      seen.add(term.id);
      stack.push([term, true]);
      for (const arg of term.args) stack.push([arg, false]);
    }
  }
  return order;
}
