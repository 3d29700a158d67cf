/** Policies: what is refused before it runs, what fails, what the explanation names; and the examples of docs/policy.md. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { POLICY_LIBRARY } from './library.ts';
import { MODEL_SCHEMA, modelOfFacts } from './model.ts';
import { compilePolicy, PolicyError } from './policy.ts';
import { runPolicyTests } from './test-file.ts';

const one = (expect: string, more: object = {}) => ({ name: 'one', clauses: [{ expect }], ...more });
const explain = (expect: string, facts: Record<string, unknown>, more: object = {}) =>
  compilePolicy(one(expect, more)).evaluate(modelOfFacts(facts))[0]?.detail;

describe('a policy', () => {
  test('of the library compiles, and refuses a machine of which nothing is known unless it forbids only', () => {
    for (const name of Object.keys(POLICY_LIBRARY)) {
      const failed = compilePolicy(name)
        .evaluate(modelOfFacts({}))
        .filter(({ passed }) => !passed);
      const forbidsOnly = name === 'no-debug-boot' || name === 'known-authorities';
      expect(failed.length > 0, name).toBe(!forbidsOnly);
    }
  });

  test.each([
    ['a syntax error', one('secureBoot.enabled &&')],
    ['evidence that does not exist', one('tpm.enabled')],
    ['a member that does not exist', one('secureBoot.enable')],
    ['a comparison of unlike types', one('quote.resetCount == "3"')],
    ['a value that is not a truth', one('quote.resetCount')],
    ['no clause', { name: 'none', clauses: [] }],
    ['a value that hides evidence', one('true', { values: { quote: 'x' } })],
    ['a member that policies do not have', { ...one('true'), clause: [] }],
    ['a name of no policy in the library', 'no-such-policy'],
    ['an expression nested a thousand deep', one(`${'('.repeat(1000)}true${')'.repeat(1000)}`)],
  ])('with %s is refused before it runs', (_, document) => {
    expect(() => compilePolicy(document)).toThrow(PolicyError);
  });

  test('that fails names the clause and the value', () => {
    expect(explain('quote.resetCount < 5', { quote: { resetCount: 7 } })).toBe(
      'quote.resetCount < 5 is false; quote.resetCount is 7',
    );
  });

  test('that fails in a conjunction names the part', () => {
    const detail = explain('quote.safe && secureBoot.enabled', { quote: { safe: true } });
    expect(detail).toBe('secureBoot.enabled is false; secureBoot.enabled is false');
  });

  test('that fails for one of many names the one', () => {
    const files = [
      { path: '/bin/sh', digest: 'aa', algorithm: 'sha256', signer: '' },
      { path: '/bin/evil', digest: 'bb', algorithm: 'sha256', signer: '' },
    ];
    const detail = explain(
      'ima.files.all(f, f.digest in digests)',
      { ima: { files } },
      { values: { digests: ['aa'] } },
    );
    expect(detail).toContain('/bin/evil');
    expect(detail).not.toContain('/bin/sh');
  });

  test('fails when it meets an error as it runs', () => {
    expect(explain('pcrs["sha256"]["0"] == ""', {})).toMatch(/sha256/);
    expect(explain('1 / quote.resetCount > 0', {})).toMatch(/zero/i);
  });
});

test('a mistake in a policy names the choices, and quotes no more than a name', () => {
  const clauses = [{ expect: 'true', severity: 'fatal' }];
  expect(() => compilePolicy({ name: 'p', clauses })).toThrow(
    '/clauses/0/severity must be "warning" or "contraindicated"',
  );
  expect(() => compilePolicy('\u001b'.repeat(2000))).toThrow(/^there is no policy "(\\u001b){60}" in the library$/);
});

describe('a test file', () => {
  const file = (test: object) => ({
    policy: 'secure-boot',
    tests: [{ name: 'a', given: {}, expect: 'affirming', ...test }],
  });

  test('passes and fails as its verdicts say', () => {
    const on = { secureBoot: { enabled: true } };
    expect(runPolicyTests(file({ given: on }))).toEqual([{ name: 'a', passed: true }]);
    expect(runPolicyTests(file({}))[0]).toMatchObject({ passed: false, detail: expect.stringContaining('is off') });
    expect(runPolicyTests(file({ expect: 'contraindicated', because: 'is off' }))[0]).toMatchObject({ passed: true });
    expect(runPolicyTests(file({ expect: 'contraindicated', because: 'no log' }))[0]).toMatchObject({ passed: false });
  });

  test('that describes what evidence does not have is refused', () => {
    expect(() => runPolicyTests(file({ given: { secureBoot: { on: true } } }))).toThrow(/secureBoot.on/);
    expect(() => runPolicyTests(file({ given: { tpm: {} } }))).toThrow(PolicyError);
    expect(() => runPolicyTests({ policy: 'secure-boot', tests: [] })).toThrow(PolicyError);
  });
});

describe('docs/policy.md', () => {
  const page = readFileSync(new URL('../../docs/policy.md', import.meta.url), 'utf8');
  const examples = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map((match) => parse(match[1] ?? '') as object);

  test('has examples that compile and pass', () => {
    expect(examples.length).toBeGreaterThanOrEqual(2);
    for (const example of examples) {
      if ('tests' in example)
        for (const outcome of runPolicyTests(example)) expect(outcome).toMatchObject({ passed: true });
      else compilePolicy(example);
    }
  });

  test('lists every value that policies see and every policy of the library', () => {
    for (const [name, type] of Object.entries(MODEL_SCHEMA)) {
      const members = typeof type === 'string' ? [name] : Object.keys(type).map((member) => `${name}.${member}`);
      for (const member of members) expect(page).toContain(`\`${member}\``);
    }
    for (const name of Object.keys(POLICY_LIBRARY)) expect(page).toContain(`\`${name}\``);
  });
});
