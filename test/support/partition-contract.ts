/** Core and engine as one machine: what partitions share, what moves, what cannot, and what is left when one is gone. */
import { CALLS, type CallName, E, ERROR_BASE, F_FREE, state } from 'nexus-tcb/nexus/core';
import { TPM_ALG, Tpm, TpmClient } from 'nexus-tcb/tpm';
import { type Engine, WINDOW_BASE } from 'nexus-tcb/vmm';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { violations } from './core-invariants.ts';
import { Stage } from './stage.ts';

const ALL = 3;
const WINDOW_PAGE = WINDOW_BASE / 4096;

/** Holds an engine to it, with the real core and host code above. */
export function partitionContract(createEngine: () => Promise<Engine>): void {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open(createEngine);
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
    expect(call(owner.id, 'grantOffer', 0, frame, other.id, ALL)).toBe(E.DENIED);
    expect(call(owner.id, 'grantLend', 0, frame, other.id, ALL)).toBe(E.DENIED);
    expect(call(owner.id, 'frameDonate', 0, frame, other.id, ALL)).toBe(E.DENIED);
    expect(call(owner.id, 'frameRelease', frame)).toBe(E.DENIED);
    expect(call(owner.id, 'frameProtect', frame, 1)).toBe(E.DENIED);
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

  it('a standard image with a TPM of its own is measured at every start, once', async () => {
    const tpm = await Tpm.create();
    const partition = await stage.launch('measured', 'neighbour', 'spin', tpm);
    await partition.start();
    const client = await TpmClient.of(tpm);
    const image = async () => {
      const { pcrValues } = await client.PCR_Read({ pcrSelectionIn: [{ hash: TPM_ALG.SHA256, pcrSelect: [9] }] });
      return Buffer.from(pcrValues[0] ?? []).toString('hex');
    };
    const measured = await image();
    expect(measured).not.toBe('0'.repeat(64));
    expect(Buffer.from(await stage.memory('measured')).includes('MSFT0101')).toBe(true);
    await partition.restart(() => {});
    expect(await image()).toBe(measured);
    await partition.destroy();
    await expect(image()).rejects.toThrow(/TPM_RC_FAILURE/); // it has no power
  });

  it('a guest that is refused without end is told of a thousand times', async () => {
    const guest = await stage.start('greedy', 'neighbour', 'fuzz count=6000 seed=5');
    while (stage.exits('greedy').length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    await guest.destroy();
    expect(stage.events.filter(({ kind }) => kind === 'refusal')).toHaveLength(1000);
    expect(stage.exits('greedy')[0]?.refusals).toBeGreaterThan(1000);
  });

  it('the vault lends a page, the neighbour answers in it, and after revocation reads nothing there', async () => {
    const frame = stage.machine.takePoolFrames(1)[0] ?? -1; // the vault's first shared page will be this frame
    const vault = await stage.launch('vault', 'vault', `share peer=2 grant=0 page=0 channel=0 frame=${frame}`);
    const neighbour = await stage.launch('neighbour', 'neighbour', 'share peer=1 grant=0 page=16 channel=0');
    expect([vault.id, neighbour.id, state.frameOwner[frame]]).toEqual([1, 2, 1]);
    stage.machine.root('channelOpen', vault.id, 0, neighbour.id, 0);
    await Promise.all([vault.start(), neighbour.start()]);
    while (stage.exits('vault').length + stage.exits('neighbour').length < 2) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(stage.results('vault')).toEqual(['shared heard="the neighbour says good day"']);
    expect(stage.results('neighbour')).toEqual(['shared heard="the vault says hello" after-revoke=0xffffffff']);
    expect(violations()).toEqual([]);
    await Promise.all([vault.destroy(), neighbour.destroy()]);
    // The page is scrubbed and free: no partition, the root included, reaches it.
    expect(stage.engine.pool.read(frame, 0, 4096).every((byte) => byte === 0)).toBe(true);
    expect(call(0, 'frameRelease', frame)).toBeGreaterThan(ERROR_BASE);
  });
}
