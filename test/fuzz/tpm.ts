/**
 * `npm run fuzz:tpm`: generated and mutated commands against the TPM in memory, on every processor.
 *
 *   npm run fuzz:tpm -- [--seconds 600] [--seed N] [--workers N]
 *
 * Ends with 1 and the bytes that reproduce it when a command rejects, answers out of form, takes over a second,
 * changes state although it failed, or the heap keeps growing.
 */
import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { allCommands } from '../../tpm/commands/index.ts';
import { Tpm } from '../../tpm/index.ts';
import { declared, fuzz, memoryTpm } from './run.ts';

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '600' },
    seed: { type: 'string', default: `${Date.now() % 1_000_000}` },
    workers: { type: 'string', default: `${availableParallelism()}` },
    worker: { type: 'boolean', default: false },
  },
});
const seconds = Number(options.seconds);
const seed = Number(options.seed);
/** Heap that a worker may hold, MiB: a TPM, its model, and what was not yet collected. */
const HEAP_LIMIT = 300;

if (options.worker) await work();
else process.exitCode = await lead();

interface Report {
  commands: number;
  succeeded: number;
  comparisons: number;
  slowestMs: number;
  reached: string[];
  heapMiB: number;
  finding?: string;
}

async function work(): Promise<void> {
  const until = performance.now() + seconds * 1000;
  let heapMiB = 0;
  const report: Report = { commands: 0, succeeded: 0, comparisons: 0, slowestMs: 0, reached: [], heapMiB };
  const reached = new Set<string>();
  try {
    for (let round = 0; performance.now() < until; round++) {
      const result = await fuzz(memoryTpm(Tpm), declared(allCommands), {
        seed: seed + round * 1000,
        commands: 20_000,
        until: () => performance.now() > until,
      });
      report.commands += result.commands;
      report.succeeded += result.succeeded;
      report.comparisons += result.comparisons;
      report.slowestMs = Math.max(report.slowestMs, result.slowestMs);
      for (const name of result.reached.keys()) reached.add(name);
      globalThis.gc?.();
      heapMiB = Math.max(heapMiB, process.memoryUsage().heapUsed / 2 ** 20);
      if (heapMiB > HEAP_LIMIT) throw new Error(`the heap holds ${heapMiB.toFixed(0)} MiB after collection`);
    }
  } catch (error) {
    report.finding = error instanceof Error ? error.message : String(error);
  }
  process.send?.({ ...report, heapMiB, reached: [...reached] });
}

async function lead(): Promise<number> {
  const workers = Number(options.workers);
  console.log(`fuzzing ${allCommands.length} commands for ${seconds} s on ${workers} processes, seed ${seed}`);
  const reports = await Promise.all(Array.from({ length: workers }, (_, i) => start(seed + i * 1_000_000)));
  const sum = (of: (report: Report) => number) => reports.reduce((all, report) => all + of(report), 0);
  const reached = new Set(reports.flatMap((report) => report.reached));
  const never = allCommands.map(({ name }) => name).filter((name) => !reached.has(name));
  console.log(
    `${sum((r) => r.commands).toLocaleString('en')} commands, ${sum((r) => r.succeeded).toLocaleString('en')} succeeded, ` +
      `${sum((r) => r.comparisons).toLocaleString('en')} failures compared; slowest ` +
      `${Math.max(...reports.map((r) => r.slowestMs)).toFixed(0)} ms, heap ${Math.max(...reports.map((r) => r.heapMiB)).toFixed(0)} MiB`,
  );
  console.log(
    `succeeded at least once: ${reached.size} of ${allCommands.length}${never.length ? `; never: ${never.join(', ')}` : ''}`,
  );
  const findings = reports.flatMap(({ finding }) => (finding ? [finding] : []));
  for (const finding of findings) console.log(`FOUND: ${finding}`);
  if (findings.length === 0) console.log('no finding');
  return findings.length === 0 ? 0 : 1;
}

function start(workerSeed: number): Promise<Report> {
  const child = fork(process.argv[1] ?? '', ['--worker', '--seconds', `${seconds}`, '--seed', `${workerSeed}`], {
    execArgv: ['--expose-gc', '--enable-source-maps'],
  });
  return new Promise((resolve) => {
    let report: Report | undefined;
    child.on('message', (message) => {
      report = message as Report; // sent by `work` above
    });
    child.on('exit', (code, signal) => {
      const died = { commands: 0, succeeded: 0, comparisons: 0, slowestMs: 0, reached: [], heapMiB: 0 };
      resolve(report ?? { ...died, finding: `the process ended with ${code ?? signal}, seed ${workerSeed}` });
    });
  });
}
