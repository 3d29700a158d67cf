/** `npm run prove`: proves every condition of the core as it stands in the tree. See docs/verification.md. */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { CALLS } from '../core/calls.ts';
import { CASE_FILE, counterexample, describe, testCase } from './counterexample.ts';
import { runLooser } from './loosen.ts';
import { runMutants } from './mutants.ts';
import { decideAll, proved, type Verdict } from './prover.ts';
import { Records, runKey } from './record.ts';
import { table } from './report.ts';
import { AnswerCache, availableSolvers } from './solvers.ts';
import { parseCore, readCore } from './source.ts';
import { type Condition, THEOREMS, type Theorem, Theory } from './theorems.ts';
import { witnesses } from './witness.ts';

const USAGE = `usage: npm run prove -- [options]
  --call NAME       only this call ("once" for the theorems of no call)
  --theorem NAME    only this theorem (repeatable): ${Object.keys(THEOREMS).join(' ')}
  --core DIR        another copy of the core's files (nexus/core)
  --dump DIR        write every query there, as SMT-LIB 2
  --solver NAME     only this solver (repeatable): cvc5, z3, z3-solver
  --no-cache        ask the solvers even for queries answered before
  --limit SECONDS   for each query (60)
  --jobs N          queries at once (the number of processors)
  --table FILE      write the table of call x theorem x time there
  --mutants         break the core, and loosen its specification, in every small way and require that each is noticed`;

const root = fileURLToPath(new URL('../../../', import.meta.url));
const CORE = join(root, 'nexus/core');
const { values: options } = parseArgs({
  options: {
    call: { type: 'string' },
    theorem: { type: 'string', multiple: true },
    core: { type: 'string', default: CORE },
    dump: { type: 'string' },
    solver: { type: 'string', multiple: true },
    'no-cache': { type: 'boolean' },
    limit: { type: 'string', default: '60' },
    jobs: { type: 'string', default: String(availableParallelism()) },
    table: { type: 'string' },
    mutants: { type: 'boolean' },
    help: { type: 'boolean' },
  },
});
if (options.help) {
  console.log(USAGE);
  process.exit(0);
}
const theorems = (options.theorem ?? Object.keys(THEOREMS)) as Theorem[];
const unknown = theorems.find((name) => !(name in THEOREMS));
if (unknown !== undefined) throw new Error(`no theorem ${unknown}\n${USAGE}`);

const files = readCore(options.core);
const cacheDirectory = join(root, 'node_modules/.cache/nexus-proof');
const cache = new AnswerCache(options['no-cache'] ? undefined : cacheDirectory);
const jobs = Math.max(1, Number(options.jobs));
const lanes = Array.from({ length: jobs }, () => availableSolvers(root, options.solver));
const milliseconds = Number(options.limit) * 1000;
const close = (): void => {
  for (const solver of lanes.flat()) solver.close();
};

if (options.mutants) {
  const limits = { cache, milliseconds: 10_000 };
  // Progress belongs to one text of core and prover.
  const text = runKey([options.core, join(root, 'dist/nexus/proof')], []);
  const killed = await runMutants(files, lanes, limits, join(cacheDirectory, `mutants-${text.slice(0, 16)}.json`));
  const refuted = await runLooser(files, lanes, limits);
  close();
  process.exit(killed && refuted ? 0 : 1);
}

const solverNames = (lanes[0] ?? []).map(({ name, version }) => `${name} ${version}`).join(', ');
const records = new Records(cacheDirectory);
const key = runKey(
  [options.core, ...['dist/nexus/core', 'dist/nexus/proof', 'node_modules/oxc-parser'].map((path) => join(root, path))],
  [process.version, solverNames, options.call ?? '', ...theorems],
);
// What is to be written is to be made.
const whole = options['no-cache'] !== true && options.dump === undefined && options.table === undefined;
const known = whole ? records.find(key) : undefined;
if (known !== undefined) {
  console.log('core, prover and solvers are those of this earlier run:');
  console.log(known);
  process.exit(0);
}

const core = parseCore(files);
const found = witnesses(core);
for (const name of Object.keys(CALLS))
  if (!found.has(name)) throw new Error(`no state found in which ${name} succeeds`);
if (options.call === undefined) {
  console.log(
    `hypotheses are satisfiable: ${found.size} of ${found.size} calls succeed in reachable states that satisfy INV`,
  );
} else {
  for (const { call, args, steps } of found.values()) {
    if (call === options.call) console.log(`witness: ${call}(${args.join(', ')}) succeeds ${steps} calls after boot`);
  }
}
const theory = new Theory(core);
function* conditions(): Generator<Condition> {
  const { call } = options;
  if ((call === undefined || call === 'once') && theorems.includes('ONCE')) yield* theory.once();
  for (const operation of theory.operations) {
    if (call === undefined || call === operation.name)
      for (const theorem of theorems) yield* theory.conditions(operation, theorem);
  }
}

console.log(`proving nexus/core with ${solverNames}; ${jobs} at once`);
const start = performance.now();
const verdicts: Verdict[] = [];
const report = (verdict: Verdict): undefined => {
  verdicts.push(verdict);
  if (!proved(verdict)) console.log(`NOT PROVED ${title(verdict)}: ${verdict.detail}`);
  else if (process.stdout.isTTY)
    process.stdout.write(`\r${verdicts.length} ${title(verdict)}`.padEnd(100).slice(0, 100));
};
const title = ({ condition: { call, theorem: name, clause }, case: { when } }: Verdict): string =>
  [call, name, clause, when].filter((part) => part !== '').join(' · ');

await decideAll(conditions(), lanes, { cache, milliseconds, ...(options.dump && { dump: options.dump }) }, report);
if (process.stdout.isTTY) process.stdout.write('\r'.padEnd(101));

const failed = verdicts.filter((verdict) => !proved(verdict));
for (const verdict of failed.filter(({ outcome }) => outcome === 'sat').slice(0, 5)) {
  const [solver] = lanes[0] ?? [];
  const found = solver && (await counterexample(core, verdict.condition, verdict.case, solver, milliseconds));
  if (found === undefined) continue;
  console.log(`\n${title(verdict)}\n${describe(verdict.condition, found)}`);
  const repeat = testCase(verdict.condition, found);
  if (repeat !== undefined) console.log(`\n// ${CASE_FILE}\n${repeat}`);
}
close();
const seconds = (performance.now() - start) / 1000;
const identities = verdicts.filter(({ outcome }) => outcome === 'identity').length;
const answers = (lanes[0] ?? []).map(({ name }) => {
  const queries = verdicts.reduce((sum, { answered }) => sum + (answered.get(name) ?? 0), 0);
  return `${name} proved ${queries} queries`;
});
const summary = [
  table(verdicts, seconds, solverNames, options.table),
  `${identities} of these hold by identity, without a query; ${answers.join(', ')}; ${seconds.toFixed(1)} s`,
  `${verdicts.length - failed.length} proved, ${failed.length} failed`,
].join('\n');
const passed = failed.length === 0 && verdicts.length > 0;
if (verdicts.length === 0) console.log(`nothing to prove: no call or theorem of that name\n${USAGE}`);
console.log(summary);
if (passed && options['no-cache'] !== true) records.keep(key, summary);
process.exit(passed ? 0 : 1);
