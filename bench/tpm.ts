/**
 * `npm run bench:tpm`: the served TPM against swtpm, the same bytes over one TCP connection each, interleaved.
 *
 *   npm run bench:tpm -- [--seconds S] [--rounds R] [--only TEXT] [--json FILE] [--no-pin]
 *
 * Everything is pinned to one processor, because unpinned runs vary two- to fourfold. Ratios are swtpm's median over
 * ours: above 1, ours is faster. NV writes of ours survive power loss (fdatasync); swtpm's are not synced.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { answering, freePortPair, hasSwtpm, startSwtpm } from '../test/support/swtpm.ts';
import { atLeast, atMost, type Figure, report } from './figures.ts';
import { geometricMean, measureCase, openTarget, type Target } from './measure.ts';
import { CASES, type Case } from './tpm-cases.ts';
import { inProcessFigures } from './tpm-in-process.ts';

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '0.5' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string' },
    json: { type: 'string' },
    'no-pin': { type: 'boolean', default: false },
  },
});
const timing = { seconds: Number(options.seconds), rounds: Number(options.rounds) };
const cases = CASES.filter(({ name }) => name.toLowerCase().includes((options.only ?? '').toLowerCase()));
const stops: (() => void)[] = [];

/** The last one that this process may use; asked once, since it is fewer of them afterwards. */
const PROCESSOR = lastProcessor();
const pinned = !options['no-pin'] && pin(process.pid);
const figures: Figure[] = [];
const results: Record<string, unknown>[] = [];
try {
  const ours = await startOurs('power');
  const byProcess = await startOurs('process');
  const peer = hasSwtpm ? await startPeer() : undefined;
  console.log(`commands over one TCP connection, median ms; ${pinned ? 'pinned to one processor' : 'not pinned'}`);
  if (!peer) console.log('swtpm is not installed (Debian: apt-get install swtpm): no ratios are taken');
  console.log(`${''.padEnd(36)} ${['ours', 'ours/process', 'swtpm', 'ratio', 'process'].map(column).join('')}`);
  const rows = [];
  for (const tpmCase of cases) rows.push(await row(tpmCase, ours, byProcess, peer));
  if (peer && !options.only) figures.push(...ratioFigures(rows));
  for (const target of [ours, byProcess, peer]) target?.wire.close();
} finally {
  for (const stop of stops) stop();
}
if (!options.only) figures.push(...(await inProcessFigures()));
if (options.json) writeFileSync(options.json, `${JSON.stringify({ timing, pinned, results, figures }, null, 2)}\n`);
process.exitCode = figures.length > 0 ? report(figures) : 0;

interface Row {
  readonly tpmCase: Case;
  /** swtpm's time over ours with default durability, and with --durability process. */
  readonly ratio: number;
  readonly processRatio: number;
}

async function row(tpmCase: Case, ours: Target, process: Target, peer: Target | undefined): Promise<Row> {
  const targets = [ours, process, ...(peer ? [peer] : [])];
  const medians = await measureCase(tpmCase, targets, timing);
  const [own, ownProcess, theirs] = medians.map((median) => (typeof median === 'number' ? median : Number.NaN));
  const ratio = (theirs ?? Number.NaN) / (own ?? Number.NaN);
  const processRatio = (theirs ?? Number.NaN) / (ownProcess ?? Number.NaN);
  const cells = [own, ownProcess, theirs].map((ms) => column(Number.isFinite(ms) ? (ms ?? 0).toFixed(3) : '-'));
  const ratios = [ratio, processRatio].map((value) => column(Number.isFinite(value) ? value.toFixed(2) : '-'));
  console.log(`${tpmCase.name.padEnd(36)} ${[...cells, ...ratios].join('')}`);
  for (const [i, median] of medians.entries()) {
    if (median instanceof Error) console.log(`    ${targets[i]?.name}: ${median.message}`);
  }
  results.push({ name: tpmCase.name, kind: tpmCase.kind, ours: own, oursProcess: ownProcess, swtpm: theirs, ratio });
  return { tpmCase, ratio, processRatio };
}

function ratioFigures(rows: readonly Row[]): Figure[] {
  const of = (kind: Case['kind']) => rows.filter(({ tpmCase }) => tpmCase.kind === kind);
  const slowest = rows.reduce((a, b) => (b.ratio >= a.ratio ? a : b));
  return [
    atLeast('public-key commands, geometric mean', 3, geometricMean(of('public-key').map(({ ratio }) => ratio))),
    atLeast('all commands, geometric mean', 1.7, geometricMean(rows.map(({ ratio }) => ratio))),
    atMost(`slowest against swtpm: ${slowest.tpmCase.name}`, 1.15, 1 / slowest.ratio),
    atLeast(
      'NV writes with --durability process, geometric mean',
      1.5,
      geometricMean(of('nv-write').map(({ processRatio }) => processRatio)),
    ),
  ];
}

function column(text: string): string {
  return text.padStart(13);
}

async function startOurs(durability: 'power' | 'process'): Promise<Target> {
  // On a disk, as a user has it: the temporary directory may be memory.
  const directory = mkdtempSync(join(process.cwd(), 'dist', '.bench-'));
  const port = await freePortPair();
  const child = spawn(
    process.execPath,
    [
      ...['dist/cli/main.js', 'tpm', 'serve', '--swtpm', `${port}`],
      ...['--state', join(directory, 'tpm'), '--durability', durability],
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  stops.push(() => {
    child.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  });
  if (pinned && child.pid) pin(child.pid);
  await answering(port);
  return openTarget(durability === 'power' ? 'ours' : 'ours/process', port);
}

async function startPeer(): Promise<Target> {
  const peer = await startSwtpm();
  stops.push(() => peer.stop());
  if (pinned) pin(peer.pid);
  return openTarget('swtpm', peer.port);
}

/** Keep a process and its threads on one processor. False where that cannot be done. */
function pin(pid: number): boolean {
  return spawnSync('taskset', ['-a', '-c', '-p', `${PROCESSOR}`, `${pid}`]).status === 0;
}

/** From `Cpus_allowed_list`: ranges and numbers, ascending. 0 where it is not told. */
function lastProcessor(): number {
  const status = existsSync('/proc/self/status') ? readFileSync('/proc/self/status', 'utf8') : '';
  return Number(/^Cpus_allowed_list:.*?(\d+)$/m.exec(status)?.[1] ?? 0);
}
