/** Two guests share a page by a grant and take turns by a channel; the core decides, the engine carries it out. */
import { dispatch, state } from 'nexus-tcb/nexus/core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { violations } from './support/core-invariants.ts';
import { Stage } from './support/stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open();
});
afterAll(() => stage.engine.close());

const until = async (condition: () => boolean) => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
};

it('the vault lends a page, the neighbour answers in it, and after revocation reads nothing there', async () => {
  const frame = stage.machine.takePoolFrames(1)[0] ?? -1; // the vault's first shared page will be this frame
  const vault = await stage.launch('vault', 'vault', `share peer=2 grant=0 page=0 channel=0 frame=${frame}`);
  const neighbour = await stage.launch('neighbour', 'neighbour', 'share peer=1 grant=0 page=16 channel=0');
  expect([vault.id, neighbour.id, state.frameOwner[frame]]).toEqual([1, 2, 1]);
  stage.machine.root('channelOpen', vault.id, 0, neighbour.id, 0);
  await Promise.all([vault.start(), neighbour.start()]);
  await until(() => stage.exits('vault').length + stage.exits('neighbour').length === 2);
  expect(stage.results('vault')).toEqual(['shared heard="the neighbour says good day"']);
  expect(stage.results('neighbour')).toEqual(['shared heard="the vault says hello" after-revoke=0xffffffff']);
  expect(violations()).toEqual([]);
  await Promise.all([vault.destroy(), neighbour.destroy()]);
  // The page is scrubbed and free: no partition, the root included, reaches it.
  expect(stage.engine.pool.read(frame, 0, 4096).every((byte) => byte === 0)).toBe(true);
  expect(dispatch(0x24, 0, frame)).toBeGreaterThan(0xffffff00);
});
