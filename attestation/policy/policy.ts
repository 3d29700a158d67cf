/**
 * Appraisal policies: clauses in CEL over the model of a machine. A policy is compiled and type-checked once; a clause
 * that does not give true, or gives an error, has failed. `explain` says which clause, on what values, at which element.
 */
import { type ASTNode, Environment, type ParseResult } from '@marcbachmann/cel-js';
import { type Static, Type } from 'typebox';
import { Check, Errors } from 'typebox/value';
import type { Severity } from '../checks.ts';
import { POLICY_LIBRARY } from './library.ts';
import { BootFacts, EVENT_SCHEMA, EventFacts, MODEL_SCHEMA, type Model } from './model.ts';

const MAX_CLAUSES = 64;
const MAX_EXPRESSION = 16_384;
/** How much is quoted of a name that may be a whole wrong file. */
const NAME_SHOWN = 60;

export const PolicySchema = Type.Object(
  {
    name: Type.String({ pattern: '^[a-z][a-z0-9-]{0,62}$' }),
    description: Type.Optional(Type.String()),
    /** Values that the clauses use by name: lists of digests, a command line. */
    values: Type.Optional(
      Type.Record(
        Type.String({ pattern: '^[a-z][A-Za-z0-9]{0,62}$' }),
        Type.Union([Type.String(), Type.Array(Type.String())]),
      ),
    ),
    clauses: Type.Array(
      Type.Object(
        {
          expect: Type.String({ maxLength: MAX_EXPRESSION }),
          because: Type.Optional(Type.String()),
          severity: Type.Optional(Type.Union([Type.Literal('warning'), Type.Literal('contraindicated')])),
        },
        { additionalProperties: false },
      ),
      { minItems: 1, maxItems: MAX_CLAUSES },
    ),
  },
  { additionalProperties: false },
);
/** A policy as it is written: JSON or YAML. */
export type PolicyDocument = Static<typeof PolicySchema>;

/** A policy that cannot be used: its document, or an expression in it. */
export class PolicyError extends Error {
  override readonly name = 'PolicyError';
  readonly code = 'policy-malformed';
  readonly remedy = 'docs/policy.md describes policies and the values that they see.';
}

export interface ClauseOutcome {
  readonly expect: string;
  readonly passed: boolean;
  readonly severity: Severity;
  /** Why it failed: the values that it saw, the element that it failed on, or the error. */
  readonly detail?: string;
}

export interface CompiledPolicy {
  readonly name: string;
  /** One outcome for each clause, in order. Never throws. */
  evaluate(model: Model): ClauseOutcome[];
}

interface Mistake {
  readonly keyword: string;
  readonly instancePath: string;
  readonly message: string;
  readonly params: object;
}

/** Where a document is wrong first, and how; where one of several values is expected, all of them. */
export function firstMistake(mistakes: readonly Mistake[]): string {
  const [first] = mistakes;
  if (first?.keyword !== 'const') return `${first?.instancePath ?? ''} ${first?.message ?? 'malformed'}`;
  const choices = mistakes.flatMap(({ instancePath, params }) =>
    instancePath === first.instancePath && 'allowedValue' in params ? [JSON.stringify(params.allowedValue)] : [],
  );
  return `${first.instancePath} must be ${choices.join(' or ')}`;
}

/** Compile a document, or a policy of the library by its name. Throws PolicyError. */
export function compilePolicy(source: unknown): CompiledPolicy {
  const document = typeof source === 'string' ? POLICY_LIBRARY[source] : source;
  if (document === undefined)
    throw new PolicyError(`there is no policy ${JSON.stringify(String(source).slice(0, NAME_SHOWN))} in the library`);
  if (!Check(PolicySchema, document)) throw new PolicyError(`policy: ${firstMistake(Errors(PolicySchema, document))}`);
  const { name, values = {}, clauses } = document;
  const environment = environmentWith(values);
  const compiled = clauses.map(({ expect, because, severity = 'contraindicated' }) => ({
    expect,
    because,
    severity,
    program: compileClause(environment, name, expect),
  }));
  return {
    name,
    evaluate: (model) =>
      compiled.map(({ expect, because, severity, program }) => {
        const failure = failureOf(environment, program, model);
        if (failure === undefined) return { expect, passed: true, severity };
        return { expect, passed: false, severity, detail: because === undefined ? failure : `${because}: ${failure}` };
      }),
  };
}

function environmentWith(values: Readonly<Record<string, string | readonly string[]>>): Environment {
  const environment = new Environment({ limits: { maxDepth: 64 } });
  environment.registerType('Event', { ctor: EventFacts, fields: EVENT_SCHEMA });
  environment.registerType('Boot', { ctor: BootFacts, fields: MODEL_SCHEMA.boot });
  for (const [name, type] of Object.entries(MODEL_SCHEMA)) {
    if (typeof type === 'string') environment.registerVariable(name, type);
    else if (type === MODEL_SCHEMA.boot) environment.registerVariable(name, 'Boot');
    else environment.registerVariable({ name, schema: type });
  }
  for (const [name, value] of Object.entries(values)) {
    if (Object.hasOwn(MODEL_SCHEMA, name)) throw new PolicyError(`"${name}" names evidence, not a value`);
    if (typeof value === 'string') environment.registerConstant(name, 'string', value);
    else environment.registerConstant(name, 'list<string>', [...value]);
  }
  return environment;
}

function compileClause(environment: Environment, policy: string, expect: string): ParseResult {
  const checked = environment.check(expect);
  if (!checked.valid) throw new PolicyError(`policy ${policy}, "${expect}": ${checked.error?.message}`);
  if (checked.type !== 'bool') throw new PolicyError(`policy ${policy}, "${expect}": gives ${checked.type}, not bool`);
  return environment.parse(expect);
}

/** Why a clause does not hold; undefined when it does. */
function failureOf(environment: Environment, program: ParseResult, model: Model): string | undefined {
  try {
    if (program(model) === true) return undefined;
  } catch (error) {
    return error instanceof Error ? error.message.split('\n')[0] : String(error);
  }
  const failing = failingPart(environment, program.ast, model);
  const found = [...pathsIn(failing)].map((path) => `${path} is ${shown(evaluate(environment, path, model))}`);
  const element = failingElement(environment, failing, model);
  return [`${source(failing)} is false`, ...(element === undefined ? found : [element])].join('; ');
}

/** The first operand of a conjunction that is not true, as deep as conjunctions go. */
function failingPart(environment: Environment, node: ASTNode, model: Model): ASTNode {
  if (node.op !== '&&') return node;
  const [left, right] = node.args;
  const part = evaluate(environment, source(left), model) === true ? right : left;
  return failingPart(environment, part, model);
}

/** `list.all(x, test)`: the first element for which the test fails. */
function failingElement(environment: Environment, node: ASTNode, model: Model): string | undefined {
  if (node.op !== 'rcall' || node.args[0] !== 'all') return undefined;
  const [, receiver, [variable, test]] = node.args;
  if (variable?.op !== 'id' || test === undefined) return undefined;
  const counterexamples = evaluate(
    environment,
    `${source(receiver)}.filter(${variable.args}, !(${source(test)}))`,
    model,
  );
  return Array.isArray(counterexamples) ? `for ${shown(counterexamples[0])}` : undefined;
}

/** Chains such as `secureBoot.enabled` that start at the model. */
function* pathsIn(node: ASTNode): Generator<string> {
  if (node.op === '.' && isPath(node)) yield source(node);
  else if (node.op === 'id' && Object.hasOwn(MODEL_SCHEMA, node.args)) yield node.args;
  else for (const child of childrenOf(node)) yield* pathsIn(child);
}

const isPath = (node: ASTNode): boolean =>
  node.op === 'id' ? Object.hasOwn(MODEL_SCHEMA, node.args) : node.op === '.' && isPath(node.args[0]);

function childrenOf(node: ASTNode): ASTNode[] {
  const isNode = (value: unknown): value is ASTNode => typeof value === 'object' && value !== null && 'op' in value;
  const collect = (value: unknown): ASTNode[] =>
    isNode(value) ? [value] : Array.isArray(value) ? value.flatMap(collect) : [];
  return collect(node.args);
}

const source = (node: ASTNode): string => node.input.slice(node.range.start, node.range.end);

function evaluate(environment: Environment, expression: string, model: Model): unknown {
  try {
    return environment.evaluate(expression, model);
  } catch {
    return undefined;
  }
}

const MAX_SHOWN = 300;

/** A value as a person reads it, cut to a line. */
function shown(value: unknown): string {
  const plain = (_: string, one: unknown): unknown =>
    typeof one === 'bigint' ? Number(one) : one instanceof Map ? Object.fromEntries(one) : one;
  const text = JSON.stringify(value, plain) ?? 'absent';
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}
