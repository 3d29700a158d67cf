/** Terms as JavaScript functions over a concrete state: how the formulas themselves are run, beside V8's run of the core. */
import type { CoreSource } from './source.ts';
import { reachable, type Term } from './terms.ts';

export type Concrete = Readonly<Record<string, Uint32Array | Readonly<Record<number, number>>>>;
/** Booleans are 0 and 1. `values` are the variables in the order given at compilation. */
export type Compiled = (state: Concrete, values: readonly number[]) => number;

/**
 * Compile `term` with its variables by name in `variables`; sizes among them are read from `sizes`. Tables are arrays
 * of the state, their names without the prefix up to the first underscore. A cell out of range reads as 0: only in
 * branches that the term's own conditions discard.
 */
export function compile(core: CoreSource, term: Term, variables: readonly string[]): Compiled {
  const names = new Map<number, string>();
  const lines: string[] = [];
  const use = (arg: Term): string => names.get(arg.id) as string;
  for (const part of reachable([term])) {
    if (part.op === 'table') continue;
    if (part.op === 'const') {
      names.set(part.id, String(part.value));
      continue;
    }
    const name = `t${part.id}`;
    names.set(part.id, name);
    lines.push(`const ${name} = ${expression(core, part, variables, use)};`);
  }
  // Only text of this file and numbers enter the function.
  return new Function('state', 'values', `${lines.join('\n')}\nreturn ${use(term)};`) as Compiled;
}

function expression(core: CoreSource, term: Term, variables: readonly string[], use: (term: Term) => string): string {
  const args = term.op === 'read' ? [] : term.args.map(use);
  const [a, b, c] = args;
  switch (term.op) {
    case 'var': {
      const size = core.constants.get(term.name);
      if (size !== undefined) return String(size);
      const place = variables.indexOf(term.name);
      if (place < 0) throw new Error(`${term.name} has no value`);
      return `values[${place}]`;
    }
    case 'not':
      return `${a} ? 0 : 1`;
    case 'and':
      return `${args.join(' && ')} ? 1 : 0`;
    case 'or':
      return `${args.join(' || ')} ? 1 : 0`;
    case 'eq':
      return `${a} === ${b} ? 1 : 0`;
    case 'lt':
      return `${a} < ${b} ? 1 : 0`;
    case 'add':
      return `(${a} + ${b}) >>> 0`;
    case 'sub':
      return `(${a} - ${b}) >>> 0`;
    case 'ite':
      return `${a} ? ${b} : ${c}`;
    case 'read': {
      const [source, row, column] = term.args as [Term, Term, Term | undefined];
      const array = source.name.slice(source.name.indexOf('_') + 1);
      const width = core.arrays.get(array.slice(array.indexOf('_') + 1))?.[1];
      const cell =
        column === undefined ? use(row) : `${use(row)} * ${core.constants.get(width ?? '')} + ${use(column)}`;
      return `state.${array}[${cell}] ?? 0`;
    }
    default:
      throw new Error(`${term.op} cannot be computed by itself`);
  }
}
