/**
 * A hostile standard guest against the v86 engine: it scans and writes its whole address space, calls with random
 * arguments, floods, spins and faults. Nothing outside it changes, it ends in one event, and it can be started again.
 * Every call of the core is refused here; test/isolation.test.ts does the same under the real core.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import {
  createV86Engine,
  type Engine,
  ERROR_BASE,
  loadMultiboot,
  PERM_READ,
  PERM_WRITE,
  type VmExit,
} from 'nexus-tcb/vmm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { buildGuests } from '../guests/build.ts';
import { RELAY, SERVICE } from '../nexus/services/abi.ts';
import { Probe } from './support/probe.ts';

const MIB = 1024 * 1024;
const DENIED = ERROR_BASE + 1;
const FRAME_OF_VICTIM = 40;

let engine: Engine;
let victim: Probe;
let before: string;
beforeAll(async () => {
  engine = await createV86Engine();
  victim = await Probe.launch(engine, 'victim');
  victim.vm.map(0, FRAME_OF_VICTIM, PERM_READ | PERM_WRITE);
  engine.pool.write(FRAME_OF_VICTIM, 0, new Uint8Array(4096).fill(0x5c));
});
afterAll(() => engine.close());
beforeEach(async () => {
  before = await victimState();
});

/** Digest over the victim's private memory and its shared page. The victim waits in a hypercall, so nothing moves. */
async function victimState(): Promise<string> {
  await victim.step('call', 0x20); // it answers: its Worker is alive
  const memory = await victim.vm.readMemory(0, 4 * MIB);
  return createHash('sha256')
    .update(memory)
    .update(engine.pool.read(FRAME_OF_VICTIM, 0, 4096))
    .digest('hex');
}

interface Attack {
  readonly results: string[];
  readonly exits: VmExit[];
  readonly ended: Promise<VmExit>;
  calls: number;
  stop(): Promise<void>;
}

async function attack(mode: string): Promise<Attack> {
  const { segments, entry } = loadMultiboot(await readFile((await buildGuests()).neighbour), 'attacker', 4 * MIB);
  let end: (exit: VmExit) => void = () => {};
  const attacker: Attack = {
    results: [],
    exits: [],
    calls: 0,
    ended: new Promise((resolve) => {
      end = resolve;
    }),
    stop: () => vm.stop(),
  };
  const vm = await engine.create({
    name: `attacker ${mode}`,
    memoryBytes: 4 * MIB,
    segments,
    entry,
    onConsole: () => {},
    onExit: (exit) => {
      attacker.exits.push(exit);
      end(exit);
    },
    onHypercall: ({ call, input }) => {
      attacker.calls++;
      if (call !== SERVICE.RELAY) return { result: DENIED };
      if (input[0] === RELAY.RESULT) attacker.results.push(Buffer.from(input.subarray(1)).toString());
      if (input[0] !== RELAY.MODE) return { result: 0 };
      return { result: mode.length, output: Buffer.from(mode) };
    },
  });
  await vm.start();
  return attacker;
}

/** 64 KiB that depend on the seed only. */
const randomCode = (seed: number) =>
  Buffer.concat(Array.from({ length: 2048 }, (_, i) => createHash('sha256').update(`${seed}/${i}`).digest()));

const until = async (condition: () => boolean) => {
  while (!condition()) await new Promise(setImmediate);
};

describe('nothing outside a hostile guest changes while it', () => {
  it('reads and writes every page of its address space', async () => {
    const attacker = await attack('scan');
    expect(await attacker.ended).toEqual({ kind: 'stopped', by: 'halt' });
    expect(attacker.results).toEqual([expect.stringMatching(/^scanned pages=1048576 /)]);
    expect(await victimState()).toBe(before);
  });

  it('calls with random numbers, arguments and buffers', async () => {
    const attacker = await attack('fuzz count=5000 seed=11');
    expect(await attacker.ended).toEqual({ kind: 'stopped', by: 'halt' });
    expect(attacker.results.at(-1)).toMatch(/^fuzzed calls=5000 /);
    expect(await victimState()).toBe(before);
  });

  it('sends its devices commands, addresses and descriptors without sense', async () => {
    const attacker = await attack('ports count=20000 seed=5');
    expect(await attacker.ended).toEqual({ kind: 'stopped', by: 'halt' });
    expect(attacker.results).toEqual(['poked count=20000']);
    // Configuration space is where v86 throws; the throw is this partition's crash and no more.
    const pci = await attack('ports count=20000 seed=5 only=3320');
    expect(await pci.ended).toMatchObject({ kind: 'crashed' });
    expect(pci.exits).toHaveLength(1);
    expect(await victimState()).toBe(before);
  });

  it('executes random bytes', async () => {
    for (let seed = 0; seed < 16; seed++) {
      const exits: VmExit[] = [];
      const vm = await engine.create({
        name: `random ${seed}`,
        memoryBytes: 4 * MIB,
        segments: [{ gpa: MIB, bytes: randomCode(seed) }],
        entry: { eip: MIB },
        onHypercall: () => ({ result: DENIED }),
        onConsole: () => {},
        onExit: (exit) => exits.push(exit),
      });
      await vm.start().catch(() => {}); // it may have crashed before it could confirm
      for (let turn = 0; turn < 50 && exits.length === 0; turn++) await victim.step('call', 0x20);
      await vm.stop();
      expect(exits).toHaveLength(1);
    }
    expect(await victimState()).toBe(before);
  });

  it('floods the port, while the victim is still answered', async () => {
    const attacker = await attack('flood');
    await until(() => attacker.calls > 2000);
    const seen = attacker.calls;
    for (let i = 0; i < 50; i++) await victim.step('call', 0x20);
    expect(attacker.calls - seen).toBeGreaterThan(0); // both were served in the same time
    await attacker.stop();
    expect(attacker.exits).toEqual([{ kind: 'stopped', by: 'host' }]);
    expect(await victimState()).toBe(before);
  });

  it('spins', async () => {
    const attacker = await attack('spin');
    await until(() => attacker.calls > 0);
    expect(await victimState()).toBe(before);
    await attacker.stop();
    expect(attacker.exits).toEqual([{ kind: 'stopped', by: 'host' }]);
  });

  it('faults, again and again', async () => {
    for (let round = 0; round < 3; round++) {
      const attacker = await attack('fault');
      expect(await attacker.ended).toMatchObject({ kind: 'crashed', reason: expect.stringContaining('RuntimeError') });
      expect(attacker.exits).toHaveLength(1);
    }
    expect(await victimState()).toBe(before);
  });
});
