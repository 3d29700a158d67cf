/**
 * Test files of policies: machines described by the values a policy sees, and the verdict each must get. Run by
 * `nexus policy test`, and before a policy is put in force. docs/policy.md has an example.
 */
import { type Static, Type } from 'typebox';
import { Check, Errors } from 'typebox/value';
import { type Model, modelOfFacts } from './model.ts';
import { compilePolicy, firstMistake, PolicyError, PolicySchema } from './policy.ts';

const Verdict = Type.Union([Type.Literal('affirming'), Type.Literal('warning'), Type.Literal('contraindicated')]);

export const PolicyTestFile = Type.Object(
  {
    policy: Type.Union([Type.String(), PolicySchema], { description: 'a document, or a name of the library' }),
    tests: Type.Array(
      Type.Object(
        {
          name: Type.String(),
          /** Members of the model; what is not given is empty, zero or false. */
          given: Type.Record(Type.String(), Type.Unknown()),
          expect: Verdict,
          /** Text that the explanation of the failed clauses must contain. */
          because: Type.Optional(Type.String()),
        },
        { additionalProperties: false },
      ),
      { minItems: 1 },
    ),
  },
  { additionalProperties: false },
);
export type PolicyTestFile = Static<typeof PolicyTestFile>;

export interface PolicyTestOutcome {
  readonly name: string;
  readonly passed: boolean;
  /** What was wrong, or undefined. */
  readonly detail?: string;
}

/** Run a test file (parsed JSON or YAML). Throws PolicyError for a malformed file or policy. */
export function runPolicyTests(file: unknown): PolicyTestOutcome[] {
  if (!Check(PolicyTestFile, file)) {
    throw new PolicyError(`test file: ${firstMistake(Errors(PolicyTestFile, file))}`);
  }
  const policy = compilePolicy(file.policy);
  return file.tests.map(({ name, given, expect, because }) => {
    const failed = policy.evaluate(modelFor(given)).filter(({ passed }) => !passed);
    const contraindicated = failed.some(({ severity }) => severity === 'contraindicated');
    const verdict = failed.length === 0 ? 'affirming' : contraindicated ? 'contraindicated' : 'warning';
    const explanation = failed.map(({ detail }) => detail).join('; ');
    if (verdict !== expect) {
      return { name, passed: false, detail: `gives ${verdict}, not ${expect}${explanation && `: ${explanation}`}` };
    }
    if (because !== undefined && !explanation.includes(because)) {
      return { name, passed: false, detail: `"${because}" is not in the explanation: ${explanation}` };
    }
    return { name, passed: true };
  });
}

function modelFor(given: Readonly<Record<string, unknown>>): Model {
  try {
    return modelOfFacts(given);
  } catch (cause) {
    throw new PolicyError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}
