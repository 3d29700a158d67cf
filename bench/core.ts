/**
 * The core's calls on one processor, without allocation: pairs of grantOffer and grantRevoke, directly and through
 * dispatch. The peer in the same run is an empty function with the same arguments: what a call costs by itself.
 */

import { grantOffer, grantRevoke } from '../nexus/core/grant.ts';
import { CALLS, dispatch, PERM_READ_WRITE, reset } from '../nexus/core/index.ts';

const PAIRS = 5_000_000;
const FRAME = 7;

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
  'empty function (peer)': () => {
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

setUp();
for (const [name, run] of Object.entries(CASES)) {
  run();
  const heap = process.memoryUsage().heapUsed;
  const start = performance.now();
  const refused = run();
  const seconds = (performance.now() - start) / 1000;
  const grown = process.memoryUsage().heapUsed - heap;
  if (refused !== 0) throw new Error(`${name}: a call was refused`);
  const perPair = (grown / PAIRS).toFixed(3);
  console.log(`${name}: ${(PAIRS / seconds / 1e6).toFixed(1)} M pairs/s, ${perPair} bytes of heap a pair`);
}
