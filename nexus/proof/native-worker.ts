/**
 * Starts native solvers for the prover. A process forks in time that grows with its memory, and the prover holds every
 * query: from this small one a solver starts in a fifth of the time.
 */
import { spawn } from 'node:child_process';

export interface NativeJob {
  readonly id: number;
  readonly command: string;
  readonly args: readonly string[];
  readonly query: string;
  readonly milliseconds: number;
}

export interface NativeOutput {
  readonly id: number;
  readonly output: string;
  /** Why the solver could not be started. */
  readonly error?: string;
}

process.on('message', ({ id, command, args, query, milliseconds }: NativeJob) => {
  const answer = (output: NativeOutput) => process.send?.(output);
  // Processor time, so that a busy machine proves the same.
  const limited = ['-c', 'ulimit -t "$0"; exec "$@"', String(Math.ceil(milliseconds / 1000)), command];
  const child = spawn('/bin/sh', [...limited, ...args], { stdio: ['pipe', 'pipe', 'ignore'] });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.on('error', ({ message }) => answer({ id, output: '', error: message }));
  child.on('close', () => answer({ id, output: Buffer.concat(chunks).toString() }));
  // A solver that gives up early closes its input; its output says what it found.
  child.stdin.on('error', () => {});
  child.stdin.end(query);
});
