/**
 * The core's calls on one processor, without allocation: pairs of grantOffer and grantRevoke, directly and through
 * dispatch. The peer in the same run is an empty function with the same arguments: what a call costs by itself. Wanted:
 * 5 million pairs in a second of processor time, and no allocation.
 */

import { grantOffer, grantRevoke } from '../nexus/core/grant.ts';
import { CALLS, dispatch, PERM_READ_WRITE, reset } from '../nexus/core/index.ts';
import { atLeast, atMost, report } from './figures.ts';

const PAIRS = 5_000_000;
const FRAME = 7;
const PEER = 'empty function (peer)';

function call(name: keyof typeof CALLS, p: number, ...args: number[]): void {
  const result = dispatch(CALLS[name].number, p, ...args);
  if (result !== 0) throw new Error(`${name} answered 0x${result.toString(16)}`);
}

function setUp(): void {
  reset();
  for (const q of [1, 2]) call('partitionCreate', 0, q, 1, 0);
  call('frameAssign', 0, FRAME, 1, 0xd8000, PERM_READ_WRITE);
  for (const q of [1, 2]) {
    call('partitionSeal', 0, q);
    call('partitionRun', 0, q);
  }
}

let sink = 0;
const nothing = (p: number, g: number, f: number, q: number, perm: number): number =>
  (sink = (sink + p + g + f + q + perm) | 0);

const CASES: Readonly<Record<string, () => number>> = {
  [PEER]: () => {
    for (let i = 0; i < PAIRS; i++) {
      nothing(1, i & 1023, FRAME, 2, 3);
      nothing(1, i & 1023, FRAME, 2, 1);
    }
    return 0;
  },
  'grantOffer + grantRevoke': () => {
    let refused = 0;
    for (let i = 0; i < PAIRS; i++) refused |= grantOffer(1, i & 1023, FRAME, 2, 3) | grantRevoke(1, i & 1023);
    return refused;
  },
  'grantOffer + grantRevoke, dispatched': () => {
    const [offer, revoke] = [CALLS.grantOffer.number, CALLS.grantRevoke.number];
    let refused = 0;
    for (let i = 0; i < PAIRS; i++)
      refused |= dispatch(offer, 1, i & 1023, FRAME, 2, 3) | dispatch(revoke, 1, i & 1023);
    return refused;
  },
};

interface Measured {
  /** Millions of pairs in a second of processor time. */
  readonly rate: number;
  /** Bytes of heap that a pair leaves behind. */
  readonly heap: number;
}

function measure(name: string, run: () => number): Measured {
  run();
  const heap = process.memoryUsage().heapUsed;
  const start = process.cpuUsage();
  const refused = run();
  const { user, system } = process.cpuUsage(start);
  const grown = Math.max(0, process.memoryUsage().heapUsed - heap);
  if (refused !== 0) throw new Error(`${name}: a call was refused`);
  const found = { rate: PAIRS / (user + system), heap: grown / PAIRS };
  console.log(`${name}: ${found.rate.toFixed(1)} M pairs/s, ${found.heap.toFixed(3)} bytes of heap a pair`);
  return found;
}

setUp();
const figures = Object.entries(CASES).flatMap(([name, run]) => {
  const { rate, heap } = measure(name, run);
  if (name === PEER) return [];
  // A single object or boxed number a pair would be 12 bytes or more; what the process itself does is spread thin.
  return [atLeast(name, 5, rate, ' M pairs/s'), atMost(`${name}: heap`, 0.5, heap, ' bytes a pair')];
});
process.exit(report(figures));
