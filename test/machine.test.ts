/** The machine of core and engine: what moves between partitions, what cannot, and what is left when one is gone. */
import { CALLS, type CallName, E_DENIED, ERROR_BASE, F_FREE, state } from 'nexus-tcb/nexus/core';
import { WINDOW_BASE } from 'nexus-tcb/vmm';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { violations } from './support/core-invariants.ts';
import { Stage } from './support/stage.ts';

const ALL = 3;
const WINDOW_PAGE = WINDOW_BASE / 4096;

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open();
});
afterAll(() => stage.engine.close());

const call = (p: number, name: CallName, ...args: number[]) => {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = args;
  return stage.machine.call(p, CALLS[name].number, [a, b, c, d, e, f]);
};

it('a donated page is its new owner’s, and is zeroed with it', async () => {
  const from = await stage.start('giver', 'neighbour', 'spin');
  const to = await stage.start('taker', 'neighbour', 'spin');
  const frame = state.frameOwner.indexOf(from.id);
  stage.engine.pool.write(frame, 0, Uint8Array.of(1, 2, 3));
  expect(call(from.id, 'frameDonate', 0, frame, to.id, ALL)).toBe(0);
  expect(call(to.id, 'grantAccept', from.id, 0, WINDOW_PAGE + 40)).toBe(0);
  expect(state.frameOwner[frame]).toBe(to.id);
  await from.destroy();
  expect(stage.engine.pool.read(frame, 0, 3)).toEqual(Uint8Array.of(1, 2, 3));
  await to.destroy();
  expect(state.frameState[frame]).toBe(F_FREE);
  expect(stage.engine.pool.read(frame, 0, 3)).toEqual(new Uint8Array(3));
  expect(violations()).toEqual([]);
});

it('private memory neither moves, nor shrinks, nor changes its permission', async () => {
  const owner = await stage.start('owner', 'neighbour', 'spin');
  const other = await stage.start('other', 'neighbour', 'spin');
  const frame = state.frameOwner.indexOf(owner.id, stage.engine.pool.frames);
  expect(frame).toBeGreaterThanOrEqual(stage.engine.pool.frames);
  expect(call(owner.id, 'grantOffer', 0, frame, other.id, ALL)).toBe(E_DENIED);
  expect(call(owner.id, 'grantLend', 0, frame, other.id, ALL)).toBe(E_DENIED);
  expect(call(owner.id, 'frameDonate', 0, frame, other.id, ALL)).toBe(E_DENIED);
  expect(call(owner.id, 'frameRelease', frame)).toBe(E_DENIED);
  expect(call(owner.id, 'frameProtect', frame, 1)).toBe(E_DENIED);
  await Promise.all([owner.destroy(), other.destroy()]);
});

it('frames, ids and pages of partitions that came and went are used again', async () => {
  const used = () => state.frameState.reduce((count, frame) => count + (frame === F_FREE ? 0 : 1), 0);
  const before = used();
  const ids = new Set<number>();
  for (let i = 0; i < 5; i++) {
    const partition = await stage.start(`round-${i}`, 'neighbour', 'greet');
    ids.add(partition.id);
    await partition.destroy();
    expect(used()).toBe(before);
  }
  expect(ids.size).toBe(1);
  expect(call(1, 'self')).toBeGreaterThan(ERROR_BASE);
});

it('a guest that is refused without end is told of a thousand times', async () => {
  const guest = await stage.start('greedy', 'neighbour', 'fuzz count=6000 seed=5');
  while (stage.exits('greedy').length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  await guest.destroy();
  expect(stage.events.filter(({ kind }) => kind === 'refusal')).toHaveLength(1000);
  expect(stage.exits('greedy')[0]?.refusals).toBeGreaterThan(1000);
});
