/** The device against a driver that follows the specification, and against memory that follows nothing. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DISK_BLOCK, type DiskBackend, VirtioBlk } from './device.ts';
import { DESC, OUTCOME, QUEUE_MAX, REG, REQUEST, STATUS } from './registers.ts';

const MEMORY = 1 << 20;
const DESCRIPTORS = 0x1000;
const DRIVER = 0x2000;
const DEVICE = 0x3000;
const HEADER = 0x4000;
const STATUS_AT = 0x4100;
const DATA = 0x10000;

class Bench {
  readonly memory = Buffer.alloc(MEMORY);
  readonly disk = new Map<number, Uint8Array>();
  readonly blocks = 16;
  line = false;
  edges = 0;
  readonly device: VirtioBlk;
  #available = 0;

  constructor(backend?: Partial<DiskBackend>) {
    const disk: DiskBackend = {
      blocks: this.blocks,
      read: async (block, count) => {
        const parts = Array.from({ length: count }, (_, i) => this.disk.get(block + i) ?? new Uint8Array(DISK_BLOCK));
        return Uint8Array.from(Buffer.concat(parts));
      },
      write: async (block, bytes) => {
        for (let i = 0; i * DISK_BLOCK < bytes.length; i++) {
          this.disk.set(block + i, bytes.slice(i * DISK_BLOCK, (i + 1) * DISK_BLOCK));
        }
      },
      ...backend,
    };
    const memory = {
      size: MEMORY,
      read: (at: number, length: number) => Uint8Array.from(this.memory.subarray(at, at + length)),
      write: (at: number, bytes: Uint8Array) => void this.memory.set(bytes, at),
    };
    const line = {
      raise: () => {
        this.edges++;
        this.line = true;
      },
      lower: () => {
        this.line = false;
      },
    };
    this.device = new VirtioBlk(memory, disk, line);
  }

  /** As section 3.1.1 has it. */
  start(): void {
    const { device } = this;
    for (const status of [0, 1, 3]) device.write32(REG.STATUS, status);
    device.write32(REG.STATUS, 11);
    const queue: readonly [number, number][] = [
      [REG.QUEUE_SEL, 0],
      [REG.QUEUE_NUM, 16],
      [REG.QUEUE_DESC, DESCRIPTORS],
      [REG.QUEUE_DRIVER, DRIVER],
      [REG.QUEUE_DEVICE, DEVICE],
      [REG.QUEUE_READY, 1],
      [REG.STATUS, 15],
    ];
    for (const [register, value] of queue) device.write32(register, value);
  }

  /** Hand a request over; `data` are address, length and direction. */
  submit(type: number, sector: number, data: readonly (readonly [number, number, boolean])[]): void {
    this.memory.writeUInt32LE(type, HEADER);
    this.memory.writeBigUInt64LE(BigInt(sector), HEADER + 8);
    this.memory[STATUS_AT] = 0xff;
    const chain = [[HEADER, 16, false] as const, ...data, [STATUS_AT, 1, true] as const];
    chain.forEach(([address, length, writable], i) => {
      const at = DESCRIPTORS + DESC.SIZE * i;
      this.memory.writeBigUInt64LE(BigInt(address), at);
      this.memory.writeUInt32LE(length, at + 8);
      const last = i === chain.length - 1;
      this.memory.writeUInt16LE((writable ? DESC.WRITE : 0) | (last ? 0 : DESC.NEXT), at + 12);
      this.memory.writeUInt16LE(i + 1, at + 14);
    });
    this.memory.writeUInt16LE(0, DRIVER + 4 + 2 * (this.#available % 16));
    this.memory.writeUInt16LE(++this.#available, DRIVER + 2);
    this.device.write32(REG.QUEUE_NOTIFY, 0);
  }

  get used(): number {
    return this.memory.readUInt16LE(DEVICE + 2);
  }

  /** What the last request came to. */
  get outcome(): number | undefined {
    return this.memory[STATUS_AT];
  }
}

const filled = (value: number, blocks = 1) => new Uint8Array(blocks * DISK_BLOCK).fill(value);

describe('virtio block device', () => {
  it('shows itself as version 2, a block device of its size in 512-byte sectors', () => {
    const { device, blocks } = new Bench();
    expect([0, 4, 8].map((at) => device.read32(at))).toEqual([0x74726976, 2, 2]);
    expect(device.read32(REG.CONFIG)).toBe(blocks * 8);
    expect([0, 1, 2, 3].map((at) => device.read8(at))).toEqual([0x76, 0x69, 0x72, 0x74]);
    device.write32(REG.DEVICE_FEATURES_SEL, 1);
    expect(device.read32(REG.DEVICE_FEATURES)).toBe(1);
    expect(device.read32(REG.QUEUE_NUM_MAX)).toBe(QUEUE_MAX);
    device.write32(REG.QUEUE_SEL, 1);
    expect(device.read32(REG.QUEUE_NUM_MAX)).toBe(0);
  });

  it('writes, reads back over several segments, flushes, and interrupts until acknowledged', async () => {
    const bench = new Bench();
    bench.start();
    bench.memory.set(filled(7, 2), DATA);
    bench.submit(REQUEST.OUT, 8, [[DATA, 2 * DISK_BLOCK, false]]);
    await bench.device.idle();
    expect(bench.outcome).toBe(OUTCOME.OK);
    expect([bench.disk.get(1), bench.disk.get(2)]).toEqual([filled(7), filled(7)]);
    expect([bench.used, bench.line, bench.device.read32(REG.INTERRUPT_STATUS)]).toEqual([1, true, 1]);
    bench.device.write32(REG.INTERRUPT_ACK, 1);
    expect(bench.line).toBe(false);

    bench.submit(REQUEST.IN, 8, [
      [DATA + 0x8000, 1000, true],
      [DATA + 0x9000, DISK_BLOCK - 1000, true],
    ]);
    await bench.device.idle();
    expect(bench.outcome).toBe(OUTCOME.OK);
    expect(bench.memory.subarray(DATA + 0x8000, DATA + 0x8000 + 1000).every((byte) => byte === 7)).toBe(true);
    expect(bench.memory[DATA + 0x9000 + DISK_BLOCK - 1001]).toBe(7);
    expect(bench.memory.readUInt32LE(DEVICE + 4 + 8 + 4)).toBe(DISK_BLOCK + 1);

    bench.submit(REQUEST.FLUSH, 0, []);
    await bench.device.idle();
    expect([bench.outcome, bench.used, bench.edges]).toEqual([OUTCOME.OK, 3, 3]);
  });

  it('answers with an error what it cannot do: no such block, parts of blocks, wrong directions, failing media', async () => {
    const bench = new Bench({ read: async () => Promise.reject(new Error('bad sector')) });
    bench.start();
    const outcomes: (number | undefined)[] = [];
    const data = (length: number, writable: boolean) => [[DATA, length, writable] as const];
    for (const [type, sector, segments] of [
      [REQUEST.OUT, 16 * 8, data(DISK_BLOCK, false)],
      [REQUEST.OUT, 15 * 8, data(2 * DISK_BLOCK, false)],
      [REQUEST.OUT, 1, data(DISK_BLOCK, false)],
      [REQUEST.OUT, 0, data(512, false)],
      [REQUEST.OUT, 0, data(DISK_BLOCK, true)],
      [REQUEST.IN, 0, data(DISK_BLOCK, false)],
      [REQUEST.OUT, 2 ** 53, data(DISK_BLOCK, false)],
      [REQUEST.IN, 0, data(DISK_BLOCK, true)],
      [99, 0, []],
    ] as const) {
      bench.submit(type, sector, segments);
      await bench.device.idle();
      outcomes.push(bench.outcome);
    }
    expect(outcomes).toEqual([...Array(8).fill(OUTCOME.IOERR), OUTCOME.UNSUPP]);
    expect(bench.disk.size).toBe(0);
  });

  it('writes what stood in memory at the notification, whatever the guest does after it', async () => {
    const bench = new Bench();
    bench.start();
    bench.memory.set(filled(1), DATA);
    bench.submit(REQUEST.OUT, 0, [[DATA, DISK_BLOCK, false]]);
    bench.memory.set(filled(2), DATA);
    await bench.device.idle();
    expect(bench.disk.get(0)).toEqual(filled(1));
  });

  it('stops for a broken queue until it is reset, and answers nobody for what was before the reset', async () => {
    const bench = new Bench();
    bench.start();
    bench.submit(REQUEST.OUT, 0, [[MEMORY - 10, DISK_BLOCK, false]]);
    expect(bench.device.read32(REG.STATUS) & STATUS.NEEDS_RESET).toBe(STATUS.NEEDS_RESET);
    bench.device.write32(REG.STATUS, 0);
    expect(bench.device.read32(REG.STATUS)).toBe(0);

    const again = new Bench();
    again.start();
    again.submit(REQUEST.OUT, 0, [[DATA, DISK_BLOCK, false]]);
    again.device.write32(REG.STATUS, 0);
    await again.device.idle();
    expect([again.used, again.outcome, again.line]).toEqual([0, 0xff, false]);
  });

  it('is saved at rest only, and goes on where it was', async () => {
    const bench = new Bench();
    bench.start();
    bench.submit(REQUEST.OUT, 0, [[DATA, DISK_BLOCK, false]]);
    expect(() => bench.device.save()).toThrow(expect.objectContaining({ code: 'DEVICE_BUSY' }));
    await bench.device.idle();
    const saved = bench.device.save();
    bench.device.reset();
    expect(bench.line).toBe(false);
    bench.device.load(saved);
    expect([bench.line, bench.device.read32(REG.INTERRUPT_STATUS)]).toEqual([true, 1]);
    bench.submit(REQUEST.FLUSH, 0, []);
    await bench.device.idle();
    expect([bench.outcome, bench.used]).toEqual([OUTCOME.OK, 2]);
    fc.assert(
      fc.property(fc.anything(), (value) => {
        expect(() => bench.device.load(value)).toThrow(expect.objectContaining({ code: 'DEVICE_STATE' }));
      }),
    );
  });

  it('survives any memory and any register writes: bounded, within memory, nothing thrown', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(0x1ff), fc.oneof(fc.nat(64), fc.nat(0xffffffff))), { maxLength: 40 }),
        fc.uint8Array({ minLength: 64, maxLength: 600 }),
        async (writes, bytes) => {
          const bench = new Bench();
          for (let at = 0; at < 0x5000; at += bytes.length) bench.memory.set(bytes, at);
          bench.start();
          for (const [register, value] of writes) bench.device.write32(register, value);
          bench.device.write32(REG.QUEUE_NOTIFY, 0);
          for (let register = 0; register < 0x200; register += 4) bench.device.read32(register);
          await bench.device.idle();
        },
      ),
    );
  });
});
