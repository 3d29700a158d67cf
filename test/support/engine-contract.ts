/** The engine contract (vmm/engine.ts), held to an engine with real guests. Every engine's test runs it. */
import {
  type Engine,
  EngineError,
  ERROR_BASE,
  PERM_READ,
  PERM_WRITE,
  PORT_ERROR,
  SERVICE_BUFFER_MAX,
  WINDOW_BASE,
} from 'nexus-tcb/vmm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { diskContract } from './disk-contract.ts';
import { measuredContract } from './measured-contract.ts';
import { Probe } from './probe.ts';

const MIB = 1024 * 1024;
const ONES = 0xffffffff;

/** `snapshots`: whether the engine saves partitions. */
export function engineContract(open: () => Promise<Engine>, { snapshots }: { readonly snapshots: boolean }): void {
  let engine: Engine;
  beforeAll(async () => {
    engine = await open();
  });
  afterAll(() => engine.close());

  describe('hypercalls', () => {
    it('hold the guest until the handler has answered, however late', async () => {
      const probe = await Probe.launch(engine, 'late');
      let release: (() => void) | undefined;
      probe.answer = (call, args) =>
        new Promise((resolve) => {
          release = () => resolve({ result: call + (args[3] ?? 0) });
        });
      const order: string[] = [];
      const outcome = probe.step('call', 0x77, 1, 2, 3, 4).then((value) => {
        order.push('guest goes on');
        return value;
      });
      // A second partition runs meanwhile: only the caller waits.
      const other = await Probe.launch(engine, 'other');
      await other.step('read', 0x100000);
      order.push('host answers');
      release?.();
      expect(await outcome).toBe(0x77 + 4);
      expect(order).toEqual(['host answers', 'guest goes on']);
      await Promise.all([probe.vm.stop(), other.vm.stop()]);
    });

    it('carry buffers, bounded and inside the partition', async () => {
      const probe = await Probe.launch(engine, 'buffers');
      const GPA = 2 * MIB;
      let seen: Uint8Array | undefined;
      probe.answer = (_call, _args, input) => {
        seen = input;
        return { result: 3, output: Uint8Array.of(7, 8, 9) };
      };
      await probe.vm.writeMemory(GPA, Uint8Array.of(1, 2, 3, 4));
      expect(await probe.step('call', 0x1aa, GPA, 4, GPA + 16, 8)).toBe(3);
      expect(seen).toEqual(Uint8Array.of(1, 2, 3, 4));
      expect(await probe.vm.readMemory(GPA + 16, 4)).toEqual(Uint8Array.of(7, 8, 9, 0));

      const refused = (code: number) => ERROR_BASE + code;
      expect(await probe.step('call', 0x1aa, GPA, 4, GPA + 32, 2)).toBe(refused(PORT_ERROR.NO_SPACE));
      expect(await probe.vm.readMemory(GPA + 32, 4)).toEqual(new Uint8Array(4));
      seen = undefined;
      for (const [inGpa, inLength, outGpa, outCapacity] of [
        [4 * MIB - 2, 4, GPA, 8],
        [0xfffffffe, 4, GPA, 8],
        [WINDOW_BASE, 4, GPA, 8],
        [0, SERVICE_BUFFER_MAX + 1, GPA, 8],
        [GPA, 4, 4 * MIB, 1],
        [GPA, 4, GPA, ONES],
      ] as const) {
        const result = await probe.step('call', 0x1aa, inGpa, inLength, outGpa, outCapacity);
        expect(result).toBe(refused(PORT_ERROR.BUFFER));
      }
      expect(seen).toBeUndefined();
      await probe.vm.stop();
    });

    it('let the host read and write the caller while it waits', async () => {
      const probe = await Probe.launch(engine, 'nested');
      probe.answer = async () => {
        await probe.vm.writeMemory(3 * MIB, Uint8Array.of(0x2a, 0, 0, 0));
        return { result: (await probe.vm.readMemory(3 * MIB, 1))[0] ?? 0 };
      };
      expect(await probe.step('call', 0x10)).toBe(0x2a);
      expect(await probe.step('read', 3 * MIB)).toBe(0x2a);
      await probe.vm.stop();
    });

    it('crash the caller when the host breaks its promise', async () => {
      const probe = await Probe.launch(engine, 'broken-promise');
      probe.answer = () => {
        throw new Error('no disk');
      };
      void probe.step('call', 0x42);
      const exit = await probe.ended;
      expect(exit).toMatchObject({ kind: 'crashed', reason: expect.stringMatching(/hypercall 0x42.*no disk/) });
    });
  });

  describe('the window', () => {
    it('shows a page from the moment of map to the moment of unmap, with its permission', async () => {
      const probe = await Probe.launch(engine, 'window');
      const PAGE = 5;
      const gpa = WINDOW_BASE + PAGE * 4096;
      engine.pool.write(9, 0, Uint8Array.of(1, 2, 3, 4));
      expect(await probe.step('read', gpa)).toBe(ONES);

      probe.vm.map(PAGE, 9, PERM_READ);
      expect(await probe.step('read', gpa)).toBe(0x04030201);
      expect(await probe.step('read', gpa + 1)).toBe(0x00040302); // unaligned
      expect(await probe.step('read8', gpa + 3)).toBe(4);
      await probe.step('write', gpa, 0x55555555);
      expect(engine.pool.read(9, 0, 4)).toEqual(Uint8Array.of(1, 2, 3, 4));

      probe.vm.map(PAGE, 9, PERM_READ | PERM_WRITE);
      await probe.step('write', gpa + 4, 0x99887766);
      await probe.step('write', gpa + 4093, ONES); // the last byte goes to the next page, which is not mapped
      expect(engine.pool.read(9, 4, 4)).toEqual(Uint8Array.of(0x66, 0x77, 0x88, 0x99));
      expect(engine.pool.read(10, 0, 4)).toEqual(new Uint8Array(4));
      await probe.step('copy', gpa + 16, gpa, 8); // string instructions take the same way
      expect(engine.pool.read(9, 16, 8)).toEqual(engine.pool.read(9, 0, 8));

      probe.vm.unmap(PAGE);
      expect(await probe.step('read', gpa)).toBe(ONES);
      await probe.step('write', gpa, 0);
      expect(engine.pool.read(9, 0, 1)).toEqual(Uint8Array.of(1));
      engine.pool.scrub(9);
      expect(engine.pool.read(9, 0, 4096)).toEqual(new Uint8Array(4096));
      await probe.vm.stop();
    });

    it('is closed to a running guest when unmap returns', async () => {
      const probe = await Probe.launch(engine, 'revoked-while-running');
      const source = 2 * MIB;
      await probe.vm.writeMemory(source, new Uint8Array(8192).fill(0xab));
      for (let round = 0; round < 20; round++) {
        probe.vm.map(0, 30, PERM_READ | PERM_WRITE);
        const copying = probe.step('copy', WINDOW_BASE, source, 4096);
        while (engine.pool.read(30, 0, 1)[0] !== 0xab) await new Promise(setImmediate);
        probe.vm.unmap(0); // in the middle of the copy
        engine.pool.scrub(30);
        await copying;
        expect(engine.pool.read(30, 0, 4096)).toEqual(new Uint8Array(4096));
      }
      await probe.vm.stop();
    });

    it('refuses pages, frames and permissions that do not exist', async () => {
      const probe = await Probe.launch(engine, 'window-range');
      expect(() => probe.vm.map(4096, 0, PERM_READ)).toThrow(EngineError);
      expect(() => probe.vm.map(0, engine.pool.frames, PERM_READ)).toThrow(/not in the exchange pool/);
      expect(() => probe.vm.map(0, 0, 4)).toThrow(/permission 4/);
      expect(() => probe.vm.unmap(-1)).toThrow(/page -1/);
      await probe.vm.stop();
    });
  });

  describe('a disk', () => diskContract(() => engine));

  describe('a measured image', () => measuredContract(() => engine));

  describe('isolation', () => {
    it('two partitions share nothing but the frames that both have mapped', async () => {
      const [a, b] = await Promise.all([Probe.launch(engine, 'a'), Probe.launch(engine, 'b')]);
      const before = await b.vm.readMemory(0x200000, MIB);
      await a.step('write', 0x240000, 0xdeadbeef);
      expect(await b.step('read', 0x240000)).toBe(0);
      expect(Buffer.compare(await b.vm.readMemory(0x200000, MIB), before)).toBe(0);
      a.vm.map(1, 20, PERM_READ | PERM_WRITE);
      b.vm.map(2, 20, PERM_READ);
      await a.step('write', WINDOW_BASE + 4096, 0x1234);
      expect(await b.step('read', WINDOW_BASE + 2 * 4096)).toBe(0x1234);
      await Promise.all([a.vm.stop(), b.vm.stop()]);
    });

    it('reaches nothing outside RAM and window, and finds the test ports of v86 closed', async () => {
      const probe = await Probe.launch(engine, 'outside');
      for (const gpa of [4 * MIB, 0x7ffffffc, WINDOW_BASE - 4, WINDOW_BASE + 16 * MIB, 0xfffffffc]) {
        await probe.step('write', gpa, 0x5a5a5a5a);
        expect(await probe.step('read', gpa)).toBe(ONES);
      }
      for (const port of [0xf4, 0x2000, 0x200f]) {
        await probe.step('out', port, 1);
        expect(await probe.step('in', port)).toBe(ONES);
      }
      expect(probe.exits).toEqual([]);
      await probe.vm.stop();
    });
  });

  describe('the end of a partition', () => {
    it('is told once: halted, reset, stopped by the host', async () => {
      const halted = await Probe.launch(engine, 'halted');
      void halted.step('end');
      expect(await halted.ended).toEqual({ kind: 'stopped', by: 'halt' });

      const reset = await Probe.launch(engine, 'reset');
      void reset.step('reset');
      expect(await reset.ended).toEqual({ kind: 'stopped', by: 'reset' });

      const stopped = await Probe.launch(engine, 'spinning');
      void stopped.step('spin');
      await Promise.all([stopped.vm.stop(), stopped.vm.stop()]);
      await stopped.vm.stop();
      expect(stopped.exits).toEqual([{ kind: 'stopped', by: 'host' }]);
      await expect(stopped.vm.pause()).rejects.toMatchObject({ code: 'ENGINE_ENDED' });
    });

    it('is a crash with its reason after a triple fault, and touches nobody else', async () => {
      const other = await Probe.launch(engine, 'survivor');
      const crashed = await Probe.launch(engine, 'crashed');
      void crashed.step('fault');
      expect(await crashed.ended).toMatchObject({
        kind: 'crashed',
        reason: expect.stringMatching(/#|triple fault|KVM could not go on/),
      });
      await expect(crashed.vm.readMemory(0, 16)).rejects.toMatchObject({ code: 'ENGINE_ENDED' });
      expect(crashed.exits).toHaveLength(1);
      expect(await other.step('call', 0x10)).toBe(0);
      const again = await Probe.launch(engine, 'crashed');
      expect(await again.step('call', 0x10)).toBe(0);
      await Promise.all([other.vm.stop(), again.vm.stop()]);
    });

    it('refuses specifications that cannot run', async () => {
      const refused = (extra: object) => expect(Probe.launch(engine, 'refused', extra)).rejects;
      await refused({ memoryBytes: 3 * MIB + 1 }).toMatchObject({ code: 'ENGINE_SPEC' });
      await refused({ entry: undefined }).toMatchObject({ code: 'ENGINE_SPEC' });
      await refused({ segments: [{ gpa: 4 * MIB - 1, bytes: new Uint8Array(2) }] }).toMatchObject({
        code: 'ENGINE_SPEC',
      });
    });
  });

  describe('pause, state and console', () => {
    it('a paused guest does not run; resumed, it goes on', async () => {
      const probe = await Probe.launch(engine, 'paused');
      const address = await probe.step('counter');
      const counter = async () => new DataView((await probe.vm.readMemory(address, 4)).buffer).getUint32(0, true);
      void probe.step('count');
      while ((await counter()) === 0) await new Promise(setImmediate);
      await probe.vm.pause();
      const [first, second] = [await counter(), await counter()];
      expect(second).toBe(first);
      await probe.vm.resume();
      while ((await counter()) === second) await new Promise(setImmediate);
      await probe.vm.stop();
    });

    it.skipIf(!snapshots)(
      'continues from a snapshot where it was, registers of the hypercall port included',
      async () => {
        const probe = await Probe.launch(engine, 'saved');
        await probe.step('write', 3 * MIB, 0xcafe);
        const address = await probe.step('counter');
        void probe.step('count');
        const read = async (vm: Probe['vm']) =>
          new DataView((await vm.readMemory(address, 4)).buffer).getUint32(0, true);
        while ((await read(probe.vm)) === 0) await new Promise(setImmediate);
        await probe.vm.pause();
        const snapshot = await probe.vm.save();
        const count = await read(probe.vm);
        await probe.vm.stop();

        const restored = await Probe.launch(engine, 'restored', { snapshot, segments: [], entry: undefined });
        expect(new DataView((await restored.vm.readMemory(3 * MIB, 4)).buffer).getUint32(0, true)).toBe(0xcafe);
        while ((await read(restored.vm)) <= count) await new Promise(setImmediate);
        await restored.vm.stop();
        await expect(
          Probe.launch(engine, 'other-size', { snapshot, memoryBytes: 8 * MIB, segments: [] }),
        ).rejects.toMatchObject({ message: expect.stringContaining('snapshot') });
      },
    );

    it('the console keeps order and takes input; a flood neither loses nor piles up bytes', async () => {
      const probe = await Probe.launch(engine, 'console');
      probe.vm.input(new TextEncoder().encode('Z'));
      expect(await probe.step('echo')).toBe('Z'.charCodeAt(0));
      const LINES = 20_000;
      await probe.step('print', LINES);
      const lines = probe.console.split('\n');
      expect(lines[0]).toBe('probe name=console');
      expect(lines).toHaveLength(LINES + 2);
      expect(lines[LINES]).toBe(`line ${LINES - 1}`);
      await probe.vm.stop();
    });
  });
}
