/** Timing of interleaved cases. */
import { connect } from 'node:net';
import { type Case, createSrk, type Exchange, type Prepared } from './tpm-cases.ts';

/** A connection whose `send` is one command at a time. */
export interface Wire {
  readonly send: Exchange;
  close(): void;
}

export function openWire(port: number): Promise<Wire> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    socket.setNoDelay(true);
    let waiting: { resolve(response: Uint8Array): void; reject(error: Error): void } | undefined;
    let held = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      if (held.length < 6 || held.length < held.readUInt32BE(2)) return;
      const response = new Uint8Array(held.buffer, held.byteOffset, held.length);
      held = Buffer.alloc(0);
      waiting?.resolve(response);
    });
    socket.on('error', (error) => {
      waiting?.reject(error);
      reject(error);
    });
    socket.on('close', () => waiting?.reject(new Error('the TPM hung up')));
    socket.on('connect', () =>
      resolve({
        send: (command) =>
          new Promise((resolve, reject) => {
            waiting = { resolve, reject };
            socket.write(command);
          }),
        close: () => socket.destroy(),
      }),
    );
  });
}

/** A TPM to measure, started up, with its storage root key. */
export interface Target {
  readonly name: string;
  readonly wire: Wire;
  readonly srk: number;
}

export async function openTarget(name: string, port: number): Promise<Target> {
  const wire = await openWire(port);
  // Startup(CLEAR); TPM_RC_INITIALIZE when it was done before.
  await wire.send(Uint8Array.of(0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x44, 0, 0));
  return { name, wire, srk: await createSrk(wire.send) };
}

export interface Timing {
  readonly seconds: number;
  readonly rounds: number;
}

/** Samples of a search for primes in each round: enough that one lucky or unlucky key moves the median little. */
const SEARCHES = 25;

/**
 * Median in ms for each target, the best of the rounds; an error instead where the TPM refused. A search for primes
 * takes as long as luck has it, whatever the machine does: there the median is over all rounds.
 */
export async function measureCase(
  tpmCase: Case,
  targets: readonly Target[],
  { seconds, rounds }: Timing,
): Promise<(number | Error)[]> {
  const best: (number | Error)[] = targets.map(() => Number.POSITIVE_INFINITY);
  const all: number[][] = targets.map(() => []);
  for (let round = 0; round < rounds; round++) {
    // A B, A B, ...: what slows the machine down for a while slows both.
    for (const [i, target] of targets.entries()) {
      const times = await sample(tpmCase, target, seconds).catch((error: Error) => error);
      const before = best[i] ?? Number.POSITIVE_INFINITY;
      if (before instanceof Error) continue;
      if (times instanceof Error) {
        best[i] = times;
        continue;
      }
      all[i]?.push(...times);
      best[i] = tpmCase.search ? medianOf(all[i] ?? times) : Math.min(before, medianOf(times));
    }
  }
  return best;
}

const medianOf = (times: readonly number[]): number =>
  [...times].sort((a, b) => a - b)[times.length >> 1] ?? Number.NaN;

async function sample(tpmCase: Case, target: Target, seconds: number): Promise<number[]> {
  const prepared: Prepared = await tpmCase.prepare(target.wire.send, target.srk);
  try {
    const warmUp = tpmCase.slow ? 1 : 10;
    const least = tpmCase.search ? SEARCHES : tpmCase.slow ? 9 : 30;
    const times: number[] = [];
    const until = performance.now() + seconds * 1000;
    const latest = performance.now() + seconds * 20_000;
    for (let i = 0; ; i++) {
      const start = performance.now();
      await prepared.run();
      const end = performance.now();
      await prepared.after?.();
      if (i >= warmUp) times.push(end - start);
      if ((times.length >= least && end > until) || end > latest) break;
    }
    return times;
  } finally {
    await prepared.cleanup?.();
  }
}

/** Geometric mean; NaN of nothing. */
export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}
