/**
 * The core as the oracle of an engine (vmm/engine.ts, A1, A2, A4). Guests make random calls; after each call every guest
 * reads and writes every page of its window that calls can reach. `accessFrame` alone says which of these accesses reach
 * which frame; the words that frames should hold are kept here, apart from engine and core.
 */
import fc from 'fast-check';
import {
  accessFrame,
  CALLS,
  ERROR_BASE,
  F_DIRTY,
  F_FREE,
  G_MAPPED,
  G_OFFERED,
  GRANTS,
  KIND_STANDARD,
  PERM_READ,
  PERM_READ_WRITE,
  state,
} from 'nexus-tcb/nexus/core';
import type { Machine } from 'nexus-tcb/nexus/host';
import { type Engine, WINDOW_BASE } from 'nexus-tcb/vmm';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { violations } from './core-invariants.ts';
import { Probe } from './probe.ts';
import { Stage } from './stage.ts';

const PAGE_SIZE = 4096;
const WINDOW_PAGE = WINDOW_BASE / PAGE_SIZE;
const ONES = 0xffffffff;

const GUESTS = 3;
/** Each guest starts with OWN frames at the first of PAGES pages of its window. */
const OWN = 3;
const PAGES = 6;
/** Grant slots of each guest that calls use. */
const SLOTS = 2;
/** Frames of the pool that can come into play: each page of each guest, and as many given back. */
const FRAMES = 2 * GUESTS * PAGES;

/** A call to be made; what it names is settled when it is made. */
interface Command {
  readonly name: keyof typeof COMMANDS | 'end';
  /** 0 is root, which calls without a guest. */
  readonly by: number;
  readonly other: number;
  readonly slot: number;
  readonly frame: number;
  readonly perm: number;
  readonly page: number;
}

const COMMANDS = {
  grantOffer: ({ slot, frame, other, perm }: Command) => [slot, frame, other, perm],
  grantLend: ({ slot, frame, other, perm }: Command) => [slot, frame, other, perm],
  frameDonate: ({ slot, frame, other, perm }: Command) => [slot, frame, other, perm],
  grantAccept: ({ other, slot, page }: Command) => [other, slot, WINDOW_PAGE + page],
  grantRelease: ({ other, slot }: Command) => [other, slot],
  grantRevoke: ({ slot }: Command) => [slot],
  frameProtect: ({ frame, perm }: Command) => [frame, perm],
  frameRelease: ({ frame }: Command) => [frame],
  frameScrub: ({ frame }: Command) => [frame],
} as const;
const NAMES = Object.keys(COMMANDS) as (keyof typeof COMMANDS)[]; // the literal's own keys

const command: fc.Arbitrary<Command> = fc.record({
  name: fc.oneof(
    { weight: 16, arbitrary: fc.constantFrom(...NAMES) },
    { weight: 4, arbitrary: fc.constant('grantAccept' as const) },
    { weight: 1, arbitrary: fc.constant('end' as const) },
  ),
  by: fc.nat(GUESTS),
  other: fc.integer({ min: 1, max: GUESTS }),
  slot: fc.nat(SLOTS - 1),
  frame: fc.nat(FRAMES * 12 - 1),
  perm: fc.constantFrom(0, 1, 2, 3, 1, 3, 3),
  page: fc.nat(PAGES - 1),
});

/** Holds an engine to it, with the real core and host code above. */
export function oracleContract(createEngine: () => Promise<Engine>): void {
  let engine: Engine;
  let machine: Machine;
  const guests = new Map<number, Probe>();
  /** The first word that each frame should hold. */
  const words = new Array<number>(FRAMES).fill(0);
  let written = 0x10000;
  const seen = { read: 0, unreadable: 0, written: 0, unwritable: 0 };
  let accepted = 0;

  beforeAll(async () => {
    ({ engine, machine } = await Stage.open(createEngine));
  });
  afterAll(() => engine.close());

  const poolWord = (frame: number) => Buffer.from(engine.pool.read(frame, 0, 4)).readUInt32LE();
  /** What the core says that partition p reaches at a page of its window. */
  const reached = (p: number, page: number, need: number) => {
    const frame = accessFrame(p, WINDOW_PAGE + page, need);
    return frame < ERROR_BASE ? frame : undefined;
  };

  async function launch(): Promise<void> {
    const id = machine.freePartition();
    machine.root('partitionCreate', id, KIND_STANDARD, 0);
    machine.takePoolFrames(OWN).forEach((frame, page) => {
      machine.root('frameAssign', frame, id, WINDOW_PAGE + page, PERM_READ_WRITE);
      engine.pool.write(frame, 0, new Uint8Array(PAGE_SIZE).fill(frame + 1));
      words[frame] = poolWord(frame);
    });
    const probe = await Probe.launch(engine, `guest-${id}`);
    probe.answer = (call, [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0]) => ({
      result: machine.call(id, call, [a, b, c, d, e, f]),
    });
    machine.attach(id, probe.vm);
    machine.root('partitionSeal', id);
    machine.root('partitionRun', id);
    machine.carryOutAll(
      id,
      Array.from({ length: OWN }, (_, page) => WINDOW_PAGE + page),
    );
    guests.set(id, probe);
  }

  /** Stops and destroys a partition; the others are checked after each. */
  async function end(id: number): Promise<void> {
    await guests.get(id)?.vm.stop();
    guests.delete(id);
    machine.root('partitionStop', id);
    await check();
    machine.destroy(id, []);
    await check();
  }

  /** Three in four calls are about something that is there; left to chance, few would be accepted. */
  function aimed(random: Command): Command {
    const { name, frame } = random;
    const wild = { ...random, frame: frame % FRAMES };
    if (frame % 4 === 0) return wild;
    if (name === 'grantAccept' || name === 'grantRelease') {
      const wanted = name === 'grantAccept' ? G_OFFERED : G_MAPPED;
      const grants: Command[] = [];
      for (let other = 1; other <= GUESTS; other++) {
        for (let slot = 0; slot < SLOTS; slot++) {
          const grant = other * GRANTS + slot;
          const by = state.grantTo[grant] ?? 0;
          if (state.grantState[grant] === wanted) grants.push({ ...wild, by, other, slot });
        }
      }
      return grants[frame % grants.length] ?? wild;
    }
    const by = name === 'frameScrub' ? 0 : random.by;
    const frames = words.flatMap((_, f) => {
      const its = name === 'frameScrub' ? state.frameState[f] === F_DIRTY : state.frameOwner[f] === by;
      return its ? [f] : [];
    });
    return { ...wild, by, frame: frames[frame % frames.length] ?? wild.frame };
  }

  async function make(random: Command): Promise<void> {
    if (random.name === 'end') {
      await end(random.other);
      await launch();
      return check();
    }
    const chosen = aimed(random);
    const [a = 0, b = 0, c = 0, d = 0] = COMMANDS[random.name](chosen);
    const { number } = CALLS[random.name];
    const result = await (guests.get(chosen.by)?.step('call', number, a, b, c, d) ??
      machine.call(0, number, [a, b, c, d, 0, 0]));
    if (result < ERROR_BASE) accepted++;
    return check();
  }

  async function check(): Promise<void> {
    // A2: what is free reads as zero, all of it.
    words.forEach((_, frame) => {
      if (state.frameState[frame] !== F_FREE) return;
      words[frame] = 0;
      if (engine.pool.read(frame, 0, PAGE_SIZE).some((byte) => byte !== 0)) throw new Error(`free frame ${frame}`);
    });
    await Promise.all([...guests].map(([id, probe]) => checkReads(id, probe)));
    // One guest after another, so that it is known whose word stays in a page that two can write.
    for (const [id, probe] of guests) await checkWrites(id, probe);
  }

  async function checkReads(id: number, probe: Probe): Promise<void> {
    const expected = Array.from({ length: PAGES }, (_, page) => {
      const frame = reached(id, page, PERM_READ);
      seen[frame === undefined ? 'unreadable' : 'read']++;
      return frame === undefined ? ONES : words[frame];
    });
    const found = await Promise.all(expected.map((_, page) => probe.step('read', WINDOW_BASE + page * PAGE_SIZE)));
    expect(found, `reads of partition ${id}`).toEqual(expected);
  }

  async function checkWrites(id: number, probe: Probe): Promise<void> {
    const steps: Promise<number>[] = [];
    for (let page = 0; page < PAGES; page++) {
      const frame = reached(id, page, PERM_READ_WRITE);
      seen[frame === undefined ? 'unwritable' : 'written']++;
      written++;
      if (frame !== undefined) words[frame] = written;
      steps.push(probe.step('write', WINDOW_BASE + page * PAGE_SIZE, written));
    }
    await Promise.all(steps);
    expect(
      words.map((_, frame) => poolWord(frame)),
      `frames after writes of partition ${id}`,
    ).toEqual(words);
  }

  it('after every call, every access of every guest goes where the core says', async () => {
    const sequence = fc.asyncProperty(fc.array(command, { minLength: 60, maxLength: 60 }), async (commands) => {
      for (let i = 0; i < GUESTS; i++) await launch();
      await check();
      for (const next of commands) await make(next);
      expect(violations()).toEqual([]);
      for (const id of [...guests.keys()]) await end(id);
      // Given back by guests that are gone.
      words.forEach((_, f) => {
        if (state.frameState[f] !== F_FREE) machine.root('frameScrub', f);
      });
    });
    // Prints its seed when it fails. No shrinking: the guests of a failed sequence are still there.
    await fc.assert(sequence, { numRuns: 12, endOnFailure: true });
    // Neither side of the oracle went unasked, and calls were accepted.
    expect(Math.min(...Object.values(seen)), JSON.stringify(seen)).toBeGreaterThan(1000);
    expect(accepted).toBeGreaterThan(40);
  }, 180_000);

  it('a lender reaches its frame again when the borrower is destroyed', async () => {
    await launch();
    await launch();
    const [lender = 0, borrower = 0] = guests.keys();
    const frame = accessFrame(lender, WINDOW_PAGE, PERM_READ);
    machine.call(lender, CALLS.grantLend.number, [0, frame, borrower, PERM_READ, 0, 0]);
    machine.call(borrower, CALLS.grantAccept.number, [lender, 0, WINDOW_PAGE + OWN, 0, 0, 0]);
    await guests.get(borrower)?.vm.stop();
    guests.delete(borrower);
    machine.root('partitionStop', borrower);
    machine.destroy(borrower, []);
    expect(reached(lender, 0, PERM_READ)).toBe(frame);
    expect(await guests.get(lender)?.step('read', WINDOW_BASE)).toBe(words[frame]);
  });
}
