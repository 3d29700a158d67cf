/**
 * Isolation under attack: beside partitions that work, a hostile standard guest scans and writes its whole address
 * space, calls with random arguments, sends nonsense to its devices, floods, spins and faults, over and over. Core,
 * engine and host code are the real ones; only platform and disk are stand-ins. NEXUS_ISOLATION_SECONDS sets how long.
 */
import { createHash } from 'node:crypto';
import { F_FREE, state } from 'nexus-tcb/nexus/core';
import type { Engine } from 'nexus-tcb/vmm';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { violations } from './core-invariants.ts';
import { Stage } from './stage.ts';

const SECONDS = Number(process.env.NEXUS_ISOLATION_SECONDS ?? 12);
/** Modes of the neighbour, each with how long it may run before the host ends it, ms. */
const ATTACKS: readonly (readonly [mode: string, limit: number])[] = [
  ['scan', 20_000],
  ['fuzz count=5000', 20_000],
  ['ports count=20000', 20_000],
  ['ports count=20000 only=3320', 20_000],
  ['attack', 20_000],
  ['fault', 20_000],
  ['flood', 700],
  ['spin', 300],
  ['fuzz', 700],
];

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const isZero = (bytes: Uint8Array) => bytes.every((byte) => byte === 0);

/** Holds the engine to it, with the real core and host code above. */
export function isolationContract(createEngine: () => Promise<Engine>): void {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open(createEngine);
  });
  afterAll(() => stage.engine.close());

  const memoryDigest = async (name: string) =>
    createHash('sha256')
      .update(await stage.memory(name))
      .digest('hex');

  /** The digest once it no longer moves: a spinning guest has stopped writing. */
  async function settledDigest(name: string): Promise<string> {
    for (let last = ''; ; ) {
      const digest = await memoryDigest(name);
      if (digest === last) return digest;
      last = digest;
      await pause(200);
    }
  }

  async function runAttack(name: string, mode: string, limit: number): Promise<void> {
    const attacker = await stage.start(name, 'neighbour', mode);
    const deadline = performance.now() + limit;
    while (stage.exits(name).length === 0 && performance.now() < deadline) await pause(20);
    await attacker.destroy();
  }

  it('a guest that crashed is started again by the host, clean, and crashes again as one event', async () => {
    const guest = await stage.start('crashing', 'neighbour', 'fault');
    for (let crashes = 1; crashes <= 3; crashes++) {
      while (stage.exits('crashing').length < crashes) await pause(5);
      expect(stage.exits('crashing')).toHaveLength(crashes);
      expect(stage.exits('crashing').at(-1)).toMatchObject({ crashed: true });
      expect(guest.status().state).toBe('crashed');
      expect(violations()).toEqual([]);
      await guest.restart(() => {});
    }
    await guest.destroy();
    expect(violations()).toEqual([]);
  });

  it(
    `nothing outside a hostile guest changes in ${SECONDS} s of attacks`,
    async () => {
      const victim = await stage.start('victim', 'neighbour', 'flood');
      const bystander = await stage.start('bystander', 'neighbour', 'spin');
      const { pool } = stage.engine;
      const shared = state.frameOwner.indexOf(bystander.id);
      expect(shared).toBeGreaterThanOrEqual(0);
      while (victim.status().hypercalls < 100) await pause(1);
      const before = await settledDigest('bystander');
      pool.write(shared, 0, new Uint8Array(4096).fill(0x5c));
      expect(violations()).toEqual([]);

      const end = performance.now() + SECONDS * 1000;
      const ends = new Map<string, unknown>();
      for (let round = 0; performance.now() < end || round < ATTACKS.length; round++) {
        const [mode, limit] = ATTACKS[round % ATTACKS.length] ?? ['spin', 300];
        const name = `attacker-${round}`;
        const calls = victim.status().hypercalls;
        await runAttack(name, `${mode} seed=${round * 7919 + 1}`, limit);

        const exits = stage.exits(name);
        expect(exits, `${mode} ends in one event`).toHaveLength(1);
        ends.set(mode, exits[0]);
        expect(victim.status().hypercalls, `the victim is served during ${mode}`).toBeGreaterThan(calls);
        expect(violations(), `invariants after ${mode}`).toEqual([]);
        expect(await memoryDigest('bystander'), `memory of the bystander after ${mode}`).toBe(before);
        expect(pool.read(shared, 0, 4096).every((byte) => byte === 0x5c)).toBe(true);
      }
      // Whatever the attackers wrote to their own shared pages is gone with them.
      for (let f = 0; f < pool.frames; f++) {
        if (state.frameState[f] === F_FREE) expect(isZero(pool.read(f, 0, 4096)), `frame ${f}`).toBe(true);
      }
      expect(ends.get('spin')).toMatchObject({ crashed: false, reason: 'host' });
      expect(ends.get('flood')).toMatchObject({ crashed: false, reason: 'host' });
      expect(ends.get('fault')).toMatchObject({ crashed: true });
      expect(stage.exits('victim')).toEqual([]);
      await victim.destroy();
      await bystander.destroy();
      expect(violations()).toEqual([]);
    },
    SECONDS * 1000 + 120_000,
  );
}
