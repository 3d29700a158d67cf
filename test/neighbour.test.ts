/** The neighbour's attack under the real core: every call on what is not its own is refused, and changes nothing. */
import { createHash } from 'node:crypto';
import {
  CALLS,
  type CallName,
  dispatch,
  ERROR_BASE,
  KIND_STANDARD,
  KIND_TRUSTED,
  PERM_READ_WRITE,
  ROOT,
  state,
} from 'nexus-tcb/nexus/core';
import { createV86Engine, type Engine, WINDOW_BASE } from 'nexus-tcb/vmm';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { SERVICE_ERROR } from '../nexus/services/abi.ts';
import { ServiceError } from '../nexus/services/requests.ts';
import { runGuest } from './support/guest.ts';

const VAULT = 1;
const NEIGHBOUR = 2;
const WINDOW_PAGE = WINDOW_BASE / 4096;

let engine: Engine;
beforeAll(async () => {
  engine = await createV86Engine();
  const root = (name: CallName, ...args: number[]) =>
    expect(dispatch(CALLS[name].number, ROOT, ...args), name).toBeLessThan(ERROR_BASE);
  root('partitionCreate', VAULT, KIND_TRUSTED, 0);
  root('partitionCreate', NEIGHBOUR, KIND_STANDARD, 0);
  root('frameAssign', 0, VAULT, WINDOW_PAGE, PERM_READ_WRITE);
  root('frameMeasure', 0);
  root('frameAssign', 1, NEIGHBOUR, WINDOW_PAGE, PERM_READ_WRITE);
  for (const partition of [VAULT, NEIGHBOUR]) {
    root('partitionSeal', partition);
    root('partitionRun', partition);
  }
  root('channelOpen', VAULT, 0, NEIGHBOUR, 0);
});
afterAll(() => engine.close());

const denied = () => {
  throw new ServiceError(SERVICE_ERROR.DENIED, 'standard partition');
};
/** Digest over all arrays of the core, except the map of guest pages, which is 256 MiB of zeros but for a few. */
const stateOfCore = () => {
  const digest = createHash('sha256');
  for (const [name, array] of Object.entries(state)) if (name !== 'mapFrame') digest.update(array);
  return digest.digest('hex');
};

it('refuses all of the attack, with a reason each, and the core stays as it was', async () => {
  const before = stateOfCore();
  const core = (call: number, args: readonly number[]) => dispatch(call, NEIGHBOUR, ...args);
  const { results } = await runGuest(engine, 'neighbour', 'attack', denied, denied, core);
  const refusals = results.filter((line) => line.startsWith('refused '));
  expect(results.filter((line) => line.startsWith('accepted '))).toEqual([]);
  expect(refusals.length).toBeGreaterThanOrEqual(20);
  expect(results.at(-1)).toBe(`done refused=${refusals.length} accepted=0`);
  // Each attempt is another call, and codes are of the core, the services and the port.
  const calls = refusals.map((line) => /call=(\S+)/.exec(line)?.[1]);
  expect(new Set(calls).size).toBe(calls.length);
  expect(stateOfCore()).toBe(before);
});

it('fuzzing from inside leaves the frames, grants and channels of the vault alone', async () => {
  const owned = () => [state.frameOwner[0], state.frameEpoch[0], state.frameGrant[0], state.partitionState[VAULT]];
  const before = owned();
  const core = (call: number, args: readonly number[]) => dispatch(call, NEIGHBOUR, ...args);
  const { results } = await runGuest(engine, 'neighbour', 'fuzz count=20000 seed=3', denied, denied, core);
  expect(results.at(-1)).toMatch(/^fuzzed calls=20000/);
  expect(owned()).toEqual(before);
});
