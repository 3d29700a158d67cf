/**
 * The meaning of the subset (docs/subset.md): symbolic execution of one call, from a state to its result and the state
 * after it. What JavaScript would answer differently from the formulas is an obligation, never an assumption: an index
 * out of range (undefined), a sum or difference that leaves u32.
 */
import type { Directive, Expression, Node, Statement } from 'oxc-parser';
import { type CoreFunction, type CoreSource, SubsetError } from './source.ts';
import {
  add,
  and,
  eq,
  FALSE,
  implies,
  ite,
  lt,
  not,
  or,
  read,
  sub,
  type Term,
  TRUE,
  u32,
  variable,
  write,
} from './terms.ts';

/** Array name -> table. */
export type State = Readonly<Record<string, Term>>;

export interface Execution {
  readonly result: Term;
  readonly state: State;
  /** What must hold for the formulas to mean what V8 does. */
  readonly obligations: readonly Term[];
}

/** Sizes are unknowns of the proof; see BOUNDS in state.ts. */
export const SIZES = ['PARTITIONS', 'FRAMES', 'GPA_PAGES', 'GRANTS', 'CHANNELS', 'COUNTERS', 'DEVICES'] as const;
export type SizeName = (typeof SIZES)[number];
const isSize = (name: string): name is SizeName => (SIZES as readonly string[]).includes(name);
export const sizeTerm = (name: string): Term => (name === '1' ? u32(1) : variable(name));

interface Outcome {
  readonly result: Term;
  readonly state: State;
}

export function execute(core: CoreSource, name: string, args: readonly Term[], state: State): Execution {
  const fn = core.functions.get(name);
  if (fn === undefined) throw new Error(`the core has no function ${name}`);
  const run = new Run(core);
  const { result, state: after } = run.call(fn, args, state, TRUE, []);
  return { result, state: after, obligations: run.obligations };
}

class Run {
  readonly obligations: Term[] = [];
  private readonly core: CoreSource;

  constructor(core: CoreSource) {
    this.core = core;
  }

  call(fn: CoreFunction, args: readonly Term[], state: State, path: Term, stack: readonly string[]): Outcome {
    const env = new Map(fn.params.map((param, k) => [param, args[k] as Term]));
    return new Frame(this, this.core, fn, [...stack, fn.name]).run(fn.body, env, state, path);
  }
}

type Env = Map<string, Term>;
type Body = readonly (Statement | Directive)[];

class Frame {
  private readonly owner: Run;
  private readonly core: CoreSource;
  private readonly fn: CoreFunction;
  private readonly stack: readonly string[];

  constructor(owner: Run, core: CoreSource, fn: CoreFunction, stack: readonly string[]) {
    this.owner = owner;
    this.core = core;
    this.fn = fn;
    this.stack = stack;
  }

  private refuse(node: Node, reason: string): never {
    throw new SubsetError(this.fn.file.name, this.fn.file.text, node, reason);
  }

  run(body: Body, env: Env, state: State, path: Term): Outcome {
    for (const [k, statement] of body.entries()) {
      switch (statement.type) {
        case 'BlockStatement':
          return this.run([...statement.body, ...body.slice(k + 1)], new Map(env), state, path);
        case 'ReturnStatement': {
          const value = statement.argument ?? this.refuse(statement, 'return without a value');
          if (value.type === 'CallExpression') return this.invoke(value, env, state, path);
          const result = this.value(value, env, state, path);
          if (result.sort !== this.fn.returns) this.refuse(value, `a ${result.sort} returned as ${this.fn.returns}`);
          return { result, state };
        }
        case 'VariableDeclaration':
          if (statement.kind !== 'const') this.refuse(statement, `${statement.kind}: only const is in the subset`);
          for (const { id, init } of statement.declarations) {
            if (id.type !== 'Identifier' || init === null)
              return this.refuse(statement, 'a const is a name and a value');
            if (env.has(id.name) || this.core.constants.has(id.name)) this.refuse(id, `${id.name} hides another name`);
            env.set(id.name, this.word(init, env, state, path));
          }
          break;
        case 'ExpressionStatement': {
          const assignment = statement.expression;
          if (assignment.type !== 'AssignmentExpression' || assignment.operator !== '=') {
            return this.refuse(assignment, `${assignment.type} as a statement: only an assignment to an array's cell`);
          }
          if (assignment.left.type !== 'MemberExpression') {
            return this.refuse(assignment.left, 'an assignment to something that is no cell of an array');
          }
          const { name, index } = this.cell(assignment.left, env, state, path);
          const value = this.word(assignment.right, env, state, path);
          state = { ...state, [name]: write(state[name] as Term, index, value) };
          break;
        }
        case 'IfStatement': {
          const condition = this.truth(statement.test, env, state, path);
          const rest = body.slice(k + 1);
          const otherwise = statement.alternate === null ? rest : [statement.alternate, ...rest];
          const yes = this.run([statement.consequent, ...rest], new Map(env), state, and(path, condition));
          const no = this.run(otherwise, new Map(env), state, and(path, not(condition)));
          return {
            result: ite(condition, yes.result, no.result),
            state: Object.fromEntries(
              Object.keys(state).map((name) => [name, ite(condition, yes.state[name] as Term, no.state[name] as Term)]),
            ),
          };
        }
        default:
          this.refuse(statement, `${statement.type} is not in the subset`);
      }
    }
    throw new SubsetError(this.fn.file.name, this.fn.file.text, { start: 0 }, `${this.fn.name} may end without return`);
  }

  private invoke(node: Expression & { type: 'CallExpression' }, env: Env, state: State, path: Term): Outcome {
    if (node.callee.type !== 'Identifier') return this.refuse(node, 'a call of something that has no plain name');
    const fn = this.core.functions.get(node.callee.name);
    if (fn === undefined) return this.refuse(node, `${node.callee.name} is no function of the core`);
    if (this.stack.includes(fn.name)) this.refuse(node, `${fn.name} calls itself`);
    if (node.arguments.length !== fn.params.length) this.refuse(node, `${fn.name} takes ${fn.params.length} arguments`);
    const args = node.arguments.map((arg) => {
      if (arg.type === 'SpreadElement') return this.refuse(arg, 'spread arguments');
      return this.word(arg, env, state, path);
    });
    return this.owner.call(fn, args, state, path, this.stack);
  }

  private word(node: Expression, env: Env, state: State, path: Term): Term {
    const term = this.value(node, env, state, path);
    return term.sort === 'u32' ? term : this.refuse(node, 'a boolean where a number is needed');
  }

  private truth(node: Expression, env: Env, state: State, path: Term): Term {
    const term = this.value(node, env, state, path);
    return term.sort === 'bool' ? term : this.refuse(node, 'a number where a boolean is needed');
  }

  private value(node: Expression, env: Env, state: State, path: Term): Term {
    switch (node.type) {
      case 'Literal':
        if (typeof node.value === 'boolean') return node.value ? TRUE : FALSE;
        if (typeof node.value !== 'number') return this.refuse(node, 'a literal that is no number or boolean');
        if (!Number.isInteger(node.value) || node.value < 0 || node.value > 0xffffffff) {
          this.refuse(node, `${node.value} is not a u32`);
        }
        return u32(node.value);
      case 'Identifier': {
        if (isSize(node.name)) return sizeTerm(node.name);
        const constant = this.core.constants.get(node.name);
        if (constant !== undefined) return u32(constant);
        return env.get(node.name) ?? this.refuse(node, `${node.name} is no constant, parameter or const`);
      }
      case 'TSNonNullExpression':
        if (node.expression.type !== 'MemberExpression') this.refuse(node, '! on something else than an array read');
        return this.value(node.expression, env, state, path);
      case 'MemberExpression': {
        if (!node.computed) return this.namespaced(node, env);
        const { name, index } = this.cell(node, env, state, path);
        return read(state[name] as Term, index);
      }
      case 'UnaryExpression':
        if (node.operator !== '!') this.refuse(node, `unary ${node.operator}`);
        return not(this.truth(node.argument, env, state, path));
      case 'LogicalExpression': {
        if (node.operator === '??') return this.refuse(node, '??');
        const left = this.truth(node.left, env, state, path);
        const further = and(path, node.operator === '&&' ? left : not(left));
        const right = this.truth(node.right, env, state, further);
        return node.operator === '&&' ? and(left, right) : or(left, right);
      }
      case 'BinaryExpression':
        if (node.left.type === ('PrivateInExpression' as string)) return this.refuse(node, 'a private name');
        return this.binary(node, env, state, path);
      case 'CallExpression': {
        const { result, state: after } = this.invoke(node, env, state, path);
        if (Object.keys(state).some((name) => after[name] !== state[name])) {
          this.refuse(node, 'a call that changes the state, inside an expression');
        }
        return result;
      }
      default:
        return this.refuse(node, `${node.type} is not in the subset`);
    }
  }

  private binary(node: Expression & { type: 'BinaryExpression' }, env: Env, state: State, path: Term): Term {
    const a = this.word(node.left as Expression, env, state, path);
    const b = this.word(node.right, env, state, path);
    switch (node.operator) {
      case '===':
        return eq(a, b);
      case '!==':
        return not(eq(a, b));
      case '<':
        return lt(a, b);
      case '>':
        return lt(b, a);
      case '<=':
        return not(lt(b, a));
      case '>=':
        return not(lt(a, b));
      case '+':
        this.owner.obligations.push(implies(path, not(lt(add(a, b), a))));
        return add(a, b);
      case '-':
        this.owner.obligations.push(implies(path, not(lt(a, b))));
        return sub(a, b);
      default:
        return this.refuse(node, `operator ${node.operator}`);
    }
  }

  /** `E.NAME`: a constant of a file that is imported as a whole. */
  private namespaced(node: Expression & { type: 'MemberExpression' }, env: Env): Term {
    const { object, property } = node;
    if (object.type !== 'Identifier' || property.type !== 'Identifier' || node.optional || env.has(object.name)) {
      return this.refuse(node, 'a member that is no array[index] and no constant of a file');
    }
    const value = this.fn.namespaces.get(object.name)?.get(property.name);
    return value === undefined ? this.refuse(node, `${object.name}.${property.name} is no constant`) : u32(value);
  }

  /**
   * The cell that `array[index]` names. For an array of rows * columns the index is written `row * COLUMNS + column`;
   * with both in range (an obligation) the pair names the cell uniquely.
   */
  private cell(
    node: Expression & { type: 'MemberExpression' },
    env: Env,
    state: State,
    path: Term,
  ): { name: string; index: Term[] } {
    if (!node.computed || node.object.type !== 'Identifier' || node.optional) {
      return this.refuse(node, 'a member that is no array[index]');
    }
    const name = node.object.name;
    const sizes = this.core.arrays.get(name) ?? this.refuse(node, `${name} is no array of the core`);
    let parts: Expression[] = [node.property as Expression];
    if (sizes.length === 2) {
      const sum = node.property;
      const product = sum.type === 'BinaryExpression' && sum.operator === '+' ? sum.left : undefined;
      const shaped =
        sum.type === 'BinaryExpression' &&
        product?.type === 'BinaryExpression' &&
        product.operator === '*' &&
        product.right.type === 'Identifier' &&
        product.right.name === sizes[1];
      if (!shaped) return this.refuse(node, `${name} is indexed by row * ${sizes[1]} + column`);
      parts = [product.left as Expression, sum.right];
    }
    const index = parts.map((part) => this.word(part, env, state, path));
    for (const [k, term] of index.entries()) {
      this.owner.obligations.push(implies(path, lt(term, sizeTerm(sizes[k] as string))));
    }
    return { name, index };
  }
}
