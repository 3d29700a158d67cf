/**
 * Mutation of the core: every refusal deleted, every comparison flipped or weakened, every part of a condition taken
 * away, every assignment deleted or its value changed, every constant off by one; one at a time. Each mutant must make
 * a named theorem fail.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { parseSync, Visitor } from 'oxc-parser';
import { EQUIVALENT } from './equivalents.ts';
import { decide, type ProverOptions } from './prover.ts';
import type { Solver } from './solvers.ts';
import { parseCore, type SourceFile } from './source.ts';
import { type Condition, type Theorem, Theory } from './theorems.ts';
import { SIZES } from './translate.ts';

export interface Mutant {
  readonly file: string;
  readonly line: number;
  /** What was done, in words; with file and the text around it the mutant's name. */
  readonly what: string;
  /** The function that it stands in; undefined for a constant. */
  readonly within: string | undefined;
  readonly text: string;
}

/** Changing these is changing a parameter, which the proof holds for, or a name of nothing the core compares. */
const PARAMETERS = new Set<string>([...SIZES, 'ERROR_BASE']);

const FLIPS: Readonly<Record<string, readonly string[]>> = {
  '===': ['!=='],
  '!==': ['==='],
  '<': ['<=', '>='],
  '>': ['>=', '<='],
  '<=': ['<', '>'],
  '>=': ['>', '<'],
  '+': ['-'],
  '-': ['+'],
};

/** Every mutant of one file. */
export function mutantsOf(file: SourceFile): Mutant[] {
  const found: Mutant[] = [];
  const { program } = parseSync(file.name, file.text, { preserveParens: false });
  let within: string | undefined;
  const add = (node: { start: number; end: number }, replacement: string, what: string): void => {
    const text = file.text.slice(0, node.start) + replacement + file.text.slice(node.end);
    const line = file.text.slice(0, node.start).split('\n').length;
    found.push({ file: file.name, line, what: `${what} in ${within ?? 'a constant'}`, within, text });
  };
  const source = (node: { start: number; end: number }): string => file.text.slice(node.start, node.end);
  const isIndex = (node: { start: number }): boolean => file.text.slice(0, node.start).endsWith('[');
  new Visitor({
    FunctionDeclaration(node) {
      within = node.id?.name;
    },
    'FunctionDeclaration:exit'() {
      within = undefined;
    },
    VariableDeclarator(node) {
      const { id, init } = node;
      if (within !== undefined || id.type !== 'Identifier' || PARAMETERS.has(id.name)) return;
      if (init?.type !== 'Literal' || typeof init.value !== 'number') return;
      add(init, String(init.value + 1), `${id.name} plus one`);
      if (init.value > 0) add(init, String(init.value - 1), `${id.name} minus one`);
    },
    IfStatement(node) {
      add(node, '', `deleted: ${source(node)}`);
    },
    ExpressionStatement(node) {
      if (node.expression.type !== 'AssignmentExpression') return;
      add(node, '', `deleted: ${source(node)}`);
      const { right } = node.expression;
      add(right, `${source(right)} + 1`, `value plus one: ${source(node)}`);
    },
    BinaryExpression(node) {
      const { left, right, operator } = node;
      if (isIndex(node)) return;
      for (const other of FLIPS[operator] ?? []) {
        add(node, `${source(left)} ${other} ${source(right)}`, `${operator} to ${other}: ${source(node)}`);
      }
    },
    LogicalExpression(node) {
      const { left, right, operator } = node;
      add(node, source(left), `dropped: ${operator} ${source(right)}`);
      add(node, source(right), `dropped: ${source(left)} ${operator}`);
      const other = operator === '&&' ? '||' : '&&';
      add(node, `(${source(left)}) ${other} (${source(right)})`, `${operator} to ${other}: ${source(node)}`);
    },
    UnaryExpression(node) {
      add(node, source(node.argument), `dropped !: ${source(node)}`);
    },
    ReturnStatement(node) {
      const value = node.argument;
      if (value?.type === 'Literal' && typeof value.value === 'boolean')
        add(value, String(!value.value), `${source(node)} flipped`);
    },
    Literal(node) {
      if (within === undefined || typeof node.value !== 'number') return;
      add(node, String(node.value + 1), `${node.value} to ${node.value + 1}: ${around(file.text, node.start)}`);
    },
  }).visit(program);
  return found;
}

const around = (text: string, at: number): string =>
  text.slice(text.lastIndexOf('\n', at) + 1, text.indexOf('\n', at)).trim();

/** Names of mutants are stable as long as the source line is. */
export const nameOf = ({ file, what }: Mutant): string => `${file}: ${what.replace(/\s+/g, ' ')}`;

/** Theorems in the order in which they notice most, soonest. */
const ORDER: readonly Theorem[] = ['REF', 'BND', 'INV'];

export interface Fate {
  /** The condition that fails, or undefined if all hold. */
  readonly killedBy: string | undefined;
}

/**
 * The first named theorem that a mutant fails: the solver has a counterexample; that it found no proof in the time does
 * not count. A mutant that leaves the subset cannot be proved either.
 */
export async function fateOf(
  mutant: Mutant,
  files: readonly SourceFile[],
  solvers: readonly Solver[],
  options: ProverOptions,
): Promise<Fate> {
  const changed = files.map((file) => (file.name === mutant.file ? { ...file, text: mutant.text } : file));
  let theory: Theory;
  try {
    theory = new Theory(parseCore(changed));
    for (const condition of conditions(theory, mutant, files)) {
      const { outcome } = await decide(condition, solvers.slice(0, 1), options);
      if (outcome === 'sat') return { killedBy: `${condition.call} ${condition.theorem} ${condition.clause}`.trim() };
    }
  } catch (error) {
    if (error instanceof Error && error.name === 'SubsetError') return { killedBy: 'the subset' };
    throw error;
  }
  return { killedBy: undefined };
}

/** What a mutant may fail: the conditions of the calls that reach it. */
function* conditions(theory: Theory, mutant: Mutant, files: readonly SourceFile[]): Generator<Condition> {
  const core = parseCore(files);
  const reaches = (name: string, seen = new Set<string>()): boolean => {
    if (name === mutant.within) return true;
    if (seen.has(name)) return false;
    seen.add(name);
    const fn = core.functions.get(name);
    const text = fn === undefined ? '' : JSON.stringify(fn.body);
    return [...core.functions.keys()].some((other) => text.includes(`"name":"${other}"`) && reaches(other, seen));
  };
  const entry: Readonly<Record<string, string>> = {
    memoryRead: 'accessFrame',
    memoryWrite: 'accessFrame',
    memoryLoad: 'frameLoadable',
    deviceRead: 'accessDevice',
    deviceWrite: 'accessDevice',
  };
  const touched = theory.operations.filter(({ name }) => mutant.within === undefined || reaches(entry[name] ?? name));
  for (const theorem of ORDER) for (const operation of touched) yield* theory.conditions(operation, theorem);
}

/** Run all mutants, resuming from `progress`; true if each is killed or listed as equivalent. */
export async function runMutants(
  files: readonly SourceFile[],
  lanes: readonly (readonly Solver[])[],
  options: ProverOptions,
  progress: string,
): Promise<boolean> {
  const known = new Map<string, string | null>(
    existsSync(progress) ? Object.entries(JSON.parse(readFileSync(progress, 'utf8'))) : [],
  );
  const keyOf = (mutant: Mutant): string => `${mutant.line} ${nameOf(mutant)}`;
  const mutants = files.flatMap(mutantsOf);
  // What survived is tried again: the theorems may have become stronger.
  const queue = mutants.filter((mutant) => (known.get(keyOf(mutant)) ?? null) === null)[Symbol.iterator]();
  let count = known.size;
  const save = (): void => writeFileSync(progress, JSON.stringify(Object.fromEntries(known), null, 1));
  await Promise.all(
    lanes.map(async (solvers) => {
      for (const mutant of queue) {
        const { killedBy } = await fateOf(mutant, files, solvers, options);
        known.set(keyOf(mutant), killedBy ?? null);
        if (++count % 20 === 0) {
          save();
          console.log(`${count} of ${mutants.length}`);
        }
      }
    }),
  );
  save();
  const survivors = mutants.filter((mutant) => known.get(keyOf(mutant)) === null);
  const equivalent = survivors.filter((mutant) => nameOf(mutant) in EQUIVALENT);
  const missed = survivors.filter((mutant) => !(nameOf(mutant) in EQUIVALENT));
  for (const mutant of equivalent) console.log(`equivalent: ${nameOf(mutant)}: ${EQUIVALENT[nameOf(mutant)]}`);
  for (const mutant of missed) console.log(`SURVIVED ${mutant.file}:${mutant.line}: ${nameOf(mutant)}`);
  const total = mutants.length - equivalent.length;
  console.log(`${total - missed.length}/${total} mutants killed, ${equivalent.length} equivalent`);
  return missed.length === 0;
}
