import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Engine, EngineError, type Vm } from '../engine.ts';
import { openSnapshot, type Snapshot, sealSnapshot } from './format.ts';
import { type FreshnessCounter, type MovableTpm, resume, suspend } from './suspend.ts';

const seal = { key: new Uint8Array(32).fill(1), partition: new Uint8Array(32).fill(2) };
const snapshot: Snapshot = {
  vm: {
    engine: 'v86',
    memoryBytes: 1 << 20,
    machine: Uint8Array.from({ length: 5000 }, (_, i) => i >> 4),
    devices: { tpm: Uint8Array.of(7) },
  },
  tpm: { permanent: Uint8Array.of(1, 2), volatile: Uint8Array.of(3) },
};
const plain = (value: Snapshot) => JSON.stringify(value, (_, v) => (v instanceof Uint8Array ? [...v] : v));

describe('sealed snapshot', () => {
  it('opens to what was sealed', async () => {
    const file = await sealSnapshot(snapshot, { ...seal, counter: 5n });
    expect(plain(await openSnapshot(file, { ...seal, counter: 5n }))).toBe(plain(snapshot));
  });

  it('shows nothing of the memory', async () => {
    const secret = Buffer.from('a secret in guest memory');
    const file = await sealSnapshot({ vm: { ...snapshot.vm, machine: secret } }, { ...seal, counter: 5n });
    expect(Buffer.from(file).includes(secret)).toBe(false);
  });

  it('refuses each kind of wrong file by name', async () => {
    const file = await sealSnapshot(snapshot, { ...seal, counter: 5n });
    const open = (bytes: Uint8Array, other = {}) =>
      expect(openSnapshot(bytes, { ...seal, counter: 5n, ...other })).rejects;
    const version = file.slice();
    version[8] = 9;
    await open(version).toMatchObject({ code: 'E_SNAPSHOT_VERSION' });
    await open(new Uint8Array(10)).toMatchObject({ code: 'E_SNAPSHOT_FORMAT' });
    await open(file.subarray(0, -1)).toMatchObject({ code: 'E_SNAPSHOT_FORMAT' });
    await open(file, { partition: new Uint8Array(32).fill(3) }).toMatchObject({ code: 'E_SNAPSHOT_FOREIGN' });
    await open(file, { key: new Uint8Array(32).fill(3) }).toMatchObject({ code: 'E_SNAPSHOT_CORRUPT' });
    await open(file, { counter: 6n }).toMatchObject({ code: 'E_SNAPSHOT_STALE' });
  });

  it('no single changed byte, truncation or tail goes unnoticed', async () => {
    const file = await sealSnapshot(snapshot, { ...seal, counter: 5n });
    await fc.assert(
      fc.asyncProperty(fc.nat(file.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        const changed = file.slice();
        changed[at] = (changed[at] ?? 0) ^ flip;
        for (const bad of [changed, file.subarray(0, at), Buffer.concat([file, file.subarray(0, at + 1)])]) {
          await expect(openSnapshot(bad, { ...seal, counter: 5n })).rejects.toMatchObject({
            code: expect.stringMatching(/^E_SNAPSHOT_/),
          });
        }
      }),
    );
  });
});

/** A counter as a platform gives it. */
function platformCounter(): FreshnessCounter {
  let value = 0n;
  return { read: async () => value, increment: async () => ++value };
}

/** A TPM reduced to one NV counter, which a rollback would take back. */
function countingTpm() {
  let nv = 0;
  return {
    count: () => ++nv,
    exportPermanent: () => Uint8Array.of(nv),
    exportVolatile: () => new Uint8Array(0),
    restore: async ({ permanent }: { permanent: Uint8Array }) => {
      nv = permanent[0] ?? 0;
    },
    powerOn() {},
    powerOff() {},
  };
}

function fakeVm(busyTimes = 0): Vm {
  let busy = busyTimes;
  const never = () => {
    throw new Error('not used here');
  };
  return {
    spec: undefined as never, // not read here
    start: async () => {},
    pause: async () => {},
    resume: async () => {},
    stop: async () => {},
    save: async () => {
      if (busy-- > 0) throw new EngineError('ENGINE_BUSY', 'the TPM executes a command');
      return snapshot.vm;
    },
    input: never,
    readMemory: never,
    writeMemory: never,
    map: never,
    unmap: never,
  };
}

const engine: Engine = {
  name: 'v86',
  pool: undefined as never, // not used here
  create: async () => fakeVm(),
  close: async () => {},
};
const spec = {
  name: 'p',
  memoryBytes: 1 << 20,
  onHypercall: () => ({ result: 0 }),
  onConsole: () => {},
  onExit: () => {},
};

/** What `suspend` hands over. */
async function suspended(vm: Vm, counter: FreshnessCounter, tpm?: MovableTpm): Promise<Uint8Array> {
  let kept = new Uint8Array();
  await suspend(
    vm,
    seal,
    counter,
    (file) => {
      kept = Uint8Array.from(file);
    },
    tpm,
  );
  return kept;
}

describe('suspend and resume', () => {
  it('a snapshot is good once: neither it nor an older one takes back an NV counter (attack 26)', async () => {
    const counter = platformCounter();
    const tpm = countingTpm();
    tpm.count();
    const first = await suspended(fakeVm(), counter, tpm);
    await resume(engine, spec, first, seal, counter, tpm);
    expect(tpm.count()).toBe(2);
    const second = await suspended(fakeVm(), counter, tpm);
    for (const old of [first, first]) {
      await expect(resume(engine, spec, old, seal, counter, tpm)).rejects.toMatchObject({ code: 'E_SNAPSHOT_STALE' });
    }
    await resume(engine, spec, second, seal, counter, tpm);
    expect(tpm.count()).toBe(3);
    await expect(resume(engine, spec, second, seal, counter, tpm)).rejects.toMatchObject({ code: 'E_SNAPSHOT_STALE' });
    expect(tpm.count()).toBe(4);
  });

  it('waits for a TPM command that is under way', async () => {
    const counter = platformCounter();
    const file = await suspended(fakeVm(2), counter);
    expect((await openSnapshot(file, { ...seal, counter: 1n })).vm.memoryBytes).toBe(1 << 20);
  });

  it('runs on where it cannot be kept, and what was kept of it in part opens no more', async () => {
    const counter = platformCounter();
    const calls: string[] = [];
    const vm = {
      ...fakeVm(),
      resume: async () => void calls.push('resume'),
      stop: async () => void calls.push('stop'),
    };
    let partial = new Uint8Array();
    const full = async (file: Uint8Array) => {
      partial = Uint8Array.from(file);
      throw new Error('no space left');
    };
    await expect(suspend(vm, seal, counter, full)).rejects.toThrow('no space left');
    expect(calls).toEqual(['resume']);
    await expect(resume(engine, spec, partial, seal, counter)).rejects.toMatchObject({ code: 'E_SNAPSHOT_STALE' });
  });

  it('is not spent on a machine that it does not fit', async () => {
    const counter = platformCounter();
    const file = await suspended(fakeVm(), counter);
    const larger = { ...spec, memoryBytes: 2 << 20 };
    await expect(resume(engine, larger, file, seal, counter)).rejects.toMatchObject({ code: 'E_SNAPSHOT_MACHINE' });
    await resume(engine, spec, file, seal, counter);
  });
});
