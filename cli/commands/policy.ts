/** `nexus policy`: try appraisal policies on described machines before they judge real ones (docs/policy.md). */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { parse, stringify, YAMLParseError } from 'yaml';
import { compilePolicy, POLICY_LIBRARY, PolicyError, runPolicyTests } from '../../attestation/index.ts';
import { EXIT, UsageError } from '../errors.ts';
import { conclude, examples, table, withJson } from '../output.ts';
import { explainCommand } from './policy-explain.ts';

export function policyCommand(): Command {
  const test = withJson(new Command('test').description('run the tests of a policy'))
    .argument('<file>', 'policy and tests (YAML or JSON)')
    .addHelpText('after', examples(['nexus policy test policy-tests.yaml', 'exit 0 only when every test passes']))
    .action((file: string, options: { json?: boolean }) => conclude(options.json ?? false, async () => runTests(file)));
  const check = withJson(new Command('check').description('compile and type-check a policy'))
    .argument('<file>', 'a policy (YAML or JSON)')
    .addHelpText('after', examples(['nexus policy check mine.yaml', 'a mistake names its clause']))
    .action((file: string, options: { json?: boolean }) => conclude(options.json ?? false, async () => checkOne(file)));
  const list = withJson(new Command('list').description('list the ready policies'))
    .addHelpText('after', examples(['nexus policy list', 'what each demands; show prints one']))
    .action((options: { json?: boolean }) => conclude(options.json ?? false, async () => listAll()));
  const show = withJson(new Command('show').description('print a ready policy, to copy and change'))
    .argument('<name>', 'its name, from `nexus policy list`')
    .addHelpText('after', examples(['nexus policy show secure-boot > mine.yaml', 'then: nexus policy check mine.yaml']))
    .action((name: string, options: { json?: boolean }) => conclude(options.json ?? false, async () => showOne(name)));
  return new Command('policy')
    .description('appraisal policies: list, show, check, test, explain')
    .addHelpText(
      'after',
      examples(
        ['nexus policy list', 'the ready policies'],
        ['nexus policy test policy-tests.yaml', 'before a policy judges real machines'],
      ),
    )
    .addCommand(show)
    .addCommand(test)
    .addCommand(check)
    .addCommand(list)
    .addCommand(explainCommand(load));
}

function runTests(file: string) {
  const outcomes = asUsage(file, () => runPolicyTests(read(file)));
  const rows = outcomes.map(({ passed, name, detail }) => [passed ? 'ok' : 'FAILED', name, detail ?? '']);
  return {
    json: outcomes,
    text: table(['', 'TEST', 'DETAIL'], rows),
    exitCode: outcomes.every(({ passed }) => passed) ? EXIT.OK : EXIT.REFUSED,
  };
}

function checkOne(file: string) {
  const { name } = asUsage(file, () => compilePolicy(read(file)));
  return { json: { name, valid: true }, text: `${name}: valid`, exitCode: EXIT.OK };
}

function listAll() {
  const all = Object.values(POLICY_LIBRARY);
  const rows = all.map(({ name, description }) => [name, description ?? '']);
  return { json: all, text: table(['POLICY', 'DEMANDS'], rows), exitCode: EXIT.OK };
}

/** A policy of the library by its name, or the one in a file. */
const load = (policy: string) =>
  asUsage(policy, () => compilePolicy(Object.hasOwn(POLICY_LIBRARY, policy) ? policy : read(policy)));

function showOne(name: string) {
  const policy = Object.hasOwn(POLICY_LIBRARY, name) ? POLICY_LIBRARY[name] : undefined;
  if (policy === undefined) {
    const names = Object.keys(POLICY_LIBRARY).join(', ');
    throw new UsageError('E_POLICY', `There is no ready policy ${name}.`, `The ready policies: ${names}.`);
  }
  return { json: policy, text: stringify(policy).trimEnd() };
}

function read(file: string): unknown {
  try {
    const document: unknown = parse(readFileSync(file, 'utf8'));
    if (typeof document === 'string') throw new PolicyError('it holds words, not a policy.');
    return document;
  } catch (cause) {
    if (!(cause instanceof YAMLParseError)) throw cause;
    const [reason = 'it is not YAML'] = cause.message.split('\n');
    throw new PolicyError(reason.replace(/:$/, '.'), { cause });
  }
}

function asUsage<T>(file: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (error instanceof PolicyError) throw new UsageError('E_POLICY', `${file}: ${error.message}`, error.remedy);
    throw error;
  }
}
