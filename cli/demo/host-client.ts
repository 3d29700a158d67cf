/** The demo's handle on a host process: its events, its end, and waiting for either. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { HostConfig, HostEvent } from '../../nexus/host/index.ts';
import type { FromHost, ToHost } from './host-process.ts';

/** A host refused to start or failed; `code` is the host's own error code. */
export class HostFailure extends Error {
  readonly code: string;
  readonly remedy: string;
  readonly detail: string;
  constructor(code: string, message: string, remedy = '', detail = '') {
    super(message);
    this.name = 'HostFailure';
    this.code = code;
    this.remedy = remedy;
    this.detail = detail;
  }
}

export type EventOf<K extends HostEvent['kind']> = Extract<HostEvent, { kind: K }>;

export class HostClient {
  readonly events: HostEvent[] = [];
  private readonly child: ChildProcess;
  private failure: HostFailure | undefined;
  private wake: () => void = () => {};

  /** Start a host with the program at `entry` (a built host-process.js, ours or a changed copy). */
  constructor(entry: string, config: HostConfig, onEvent: (event: HostEvent) => void = () => {}) {
    this.child = fork(entry, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.child.on('message', (message: FromHost) => {
      if (message.type === 'event') {
        this.events.push(message.event);
        onEvent(message.event);
      } else if (message.type === 'failed') {
        this.failure = new HostFailure(message.code, message.message, message.remedy, message.detail);
      }
      this.wake();
    });
    this.child.on('exit', (code, signal) => {
      if (code !== 0) this.failure ??= new HostFailure('E_HOST_DIED', `the host process ended with ${signal ?? code}`);
      this.wake();
    });
    this.tell({ type: 'start', config });
  }

  of<K extends HostEvent['kind']>(kind: K, name?: string): EventOf<K>[] {
    return this.events.filter(
      (event): event is EventOf<K> =>
        event.kind === kind && (name === undefined || ('name' in event && event.name === name)),
    );
  }

  /** Wait until `found` yields something. Throws HostFailure when the host fails first or `timeoutMs` passes. */
  async until<T>(what: string, found: () => T | undefined, timeoutMs = 30_000): Promise<T> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const value = found();
      if (value !== undefined) return value;
      if (this.failure) throw this.failure;
      const left = deadline - Date.now();
      if (left <= 0) throw new HostFailure('E_TIMEOUT', `waited ${timeoutMs / 1000} s for ${what}`);
      await new Promise<void>((done) => {
        const timer = setTimeout(done, left);
        this.wake = () => {
          clearTimeout(timer);
          done();
        };
      });
    }
  }

  /** The result line of partition `name` that matches; the match is returned. */
  result(name: string, pattern: RegExp): Promise<RegExpExecArray> {
    return this.until(`${name}: ${pattern.source}`, () => {
      for (const { line } of this.of('result', name)) {
        const match = pattern.exec(line);
        if (match) return match;
      }
      const exit = this.of('exit', name)[0];
      if (exit)
        throw new HostFailure('E_GUEST_ENDED', `${name} ended (${exit.reason}) without the line ${pattern.source}`);
      return undefined;
    });
  }

  /** Wait for the host's refusal to start. Throws when it starts instead. */
  async refusal(): Promise<HostFailure> {
    try {
      await this.until('a refusal', () => this.of('partition')[0]);
    } catch (error) {
      if (error instanceof HostFailure) return error;
      throw error;
    }
    throw new HostFailure('E_NOT_REFUSED', 'the host started, although it should have refused');
  }

  /** Orderly shutdown; returns when the process is gone. */
  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = once(this.child, 'exit');
    this.tell({ type: 'stop' });
    await gone;
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }

  private tell(message: ToHost): void {
    if (this.child.connected) this.child.send(message);
  }
}
