/** The solvers: cvc5 and z3 where they are on the PATH, the z3-solver package always. Each answer is cached by query. */
import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { NativeJob, NativeOutput } from './native-worker.ts';

export type Answer = 'unsat' | 'sat' | 'unknown';
export type SolverName = 'cvc5' | 'z3' | 'z3-solver';

export interface Solver {
  readonly name: SolverName;
  readonly version: string;
  /** Raw output for a query; empty or an error text if it could not be answered in the time. */
  run(query: string, milliseconds: number): Promise<string>;
  close(): void;
}

export const answerOf = (output: string): Answer => {
  const first = output.trimStart().split('\n', 1)[0]?.trim();
  return first === 'unsat' || first === 'sat' ? first : 'unknown';
};

interface Waiting {
  readonly resolve: (output: string) => void;
  readonly reject: (error: Error) => void;
}

/** The process that starts native solvers; made when the first is needed. */
class Launcher {
  private worker: ChildProcess | undefined;
  private readonly waiting = new Map<number, Waiting>();
  private jobs = 0;

  run(job: Omit<NativeJob, 'id'>): Promise<string> {
    this.worker ??= this.start();
    const id = this.jobs++;
    this.worker.send({ id, ...job } satisfies NativeJob);
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }

  private start(): ChildProcess {
    const worker = fork(fileURLToPath(new URL('./native-worker.js', import.meta.url)), { stdio: 'ignore' });
    worker.on('message', ({ id, output, error }: NativeOutput) => {
      const { resolve, reject } = this.waiting.get(id) ?? {};
      this.waiting.delete(id);
      if (error === undefined) resolve?.(output);
      else reject?.(new Error(error));
    });
    worker.on('exit', () => {
      for (const { reject } of this.waiting.values()) reject(new Error('the process that starts solvers ended'));
      this.waiting.clear();
      this.worker = undefined;
    });
    return worker;
  }

  close(): void {
    this.worker?.kill('SIGKILL');
  }
}

class Native implements Solver {
  readonly name: SolverName;
  readonly version: string;
  private readonly args: readonly string[];
  private readonly launcher: Launcher;

  constructor(name: SolverName, version: string, args: readonly string[], launcher: Launcher) {
    this.name = name;
    this.version = version;
    this.args = args;
    this.launcher = launcher;
  }

  run(query: string, milliseconds: number): Promise<string> {
    return this.launcher.run({ command: this.name, args: this.args, query, milliseconds });
  }

  close(): void {
    this.launcher.close();
  }
}

/** One worker process; `run` calls must not overlap. */
class Packaged implements Solver {
  readonly name = 'z3-solver';
  readonly version: string;
  private worker: ChildProcess | undefined;

  constructor(version: string) {
    this.version = version;
  }

  async run(query: string, milliseconds: number): Promise<string> {
    const worker = this.worker ?? (await this.start());
    // The worker keeps the limit, of processor time; the process is replaced if it does not.
    return new Promise((resolve) => {
      const finish = (output: string): void => {
        clearTimeout(limit);
        worker.off('message', finish);
        worker.off('exit', died);
        resolve(output);
      };
      const died = (): void => {
        this.worker = undefined;
        finish('(error "the worker ended")');
      };
      const limit = setTimeout(() => worker.kill('SIGKILL'), milliseconds * 10 + 10_000);
      worker.on('message', finish);
      worker.on('exit', died);
      worker.send({ query: `(set-option :smt.${Z3_OPTION.join(' ')})\n${query}`, milliseconds });
    });
  }

  private start(): Promise<ChildProcess> {
    const worker = fork(fileURLToPath(new URL('./z3-worker.js', import.meta.url)), { stdio: 'ignore' });
    this.worker = worker;
    return new Promise((resolve, reject) => {
      worker.once('message', () => resolve(worker));
      worker.once('error', reject);
    });
  }

  close(): void {
    this.worker?.kill('SIGKILL');
    this.worker = undefined;
  }
}

/** z3's older simplex: on these queries ten times faster than its newer one. */
const Z3_OPTION = ['arith.solver', '2'] as const;

function versionOf(command: string): string | undefined {
  const result = spawnSync(command, ['--version'], { encoding: 'utf8' });
  if (result.error !== undefined || result.status !== 0) return undefined;
  return /\d+\.\d+(\.\d+)*/.exec(result.stdout)?.[0] ?? 'unknown';
}

/** The first decides; the others confirm what it proves. */
export function availableSolvers(packageRoot: string, wanted?: readonly string[]): Solver[] {
  const found: Solver[] = [];
  const launcher = new Launcher();
  const z3 = versionOf('z3');
  const cvc5 = versionOf('cvc5');
  if (z3 !== undefined) found.push(new Native('z3', z3, ['-in', `smt.${Z3_OPTION.join('=')}`], launcher));
  if (cvc5 !== undefined) found.push(new Native('cvc5', cvc5, ['--lang=smt2', '-'], launcher));
  const manifest = join(packageRoot, 'node_modules/z3-solver/package.json');
  if (z3 === undefined || wanted !== undefined) {
    const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
    found.push(new Packaged(version));
  }
  return wanted === undefined ? found : found.filter(({ name }) => wanted.includes(name));
}

export interface CachedAnswer {
  readonly answer: Answer;
  readonly milliseconds: number;
  /** The assertions that contradict each other by themselves, of a query that names them. */
  readonly needed: readonly number[];
  /** What a solver said that did not answer. */
  readonly instead?: string;
}

/** Answers by solver, its version and the query's text: a file each, or in memory only. Timeouts are not kept. */
export class AnswerCache {
  private readonly directory: string | undefined;
  private readonly memory = new Map<string, CachedAnswer>();

  constructor(directory: string | undefined) {
    this.directory = directory;
    if (directory !== undefined) mkdirSync(directory, { recursive: true });
  }

  async solve(solver: Solver, query: string, milliseconds: number): Promise<CachedAnswer> {
    const text = `${solver.name} ${solver.version} ${Z3_OPTION.join(' ')}\n${query}`;
    const key = createHash('sha256').update(text).digest('hex');
    const known = this.find(key);
    if (known !== undefined) return known;
    const start = performance.now();
    const output = await solver.run(query, milliseconds);
    const answer = answerOf(output);
    const needed = answer === 'unsat' ? [...output.matchAll(/\bh(\d+)\b/g)].map(([, k]) => Number(k)) : [];
    const found = { answer, milliseconds: performance.now() - start, needed };
    if (answer === 'unknown') return { ...found, instead: output.trim().slice(0, 200) };
    this.keep(key, found);
    return found;
  }

  private find(key: string): CachedAnswer | undefined {
    if (this.directory === undefined) return this.memory.get(key);
    const file = join(this.directory, key);
    if (!existsSync(file)) return undefined;
    const [answer, ms, ...needed] = readFileSync(file, 'utf8').split(' ');
    if (answer !== 'sat' && answer !== 'unsat') return undefined;
    return { answer, milliseconds: Number(ms), needed: needed.map(Number) };
  }

  private keep(key: string, found: CachedAnswer): void {
    if (this.directory === undefined) {
      this.memory.set(key, found);
      return;
    }
    const file = join(this.directory, key);
    const temporary = `${file}.${process.pid}`;
    writeFileSync(temporary, [found.answer, found.milliseconds.toFixed(0), ...found.needed].join(' '));
    renameSync(temporary, file);
  }
}
