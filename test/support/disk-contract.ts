/** A sealed volume as a guest's disk: requests, their line, malformed ones, and a snapshot. Part of the engine contract. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { diskDevice, type Engine, SealedVolume } from 'nexus-tcb/vmm';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  DESC,
  INTERRUPT,
  OUTCOME,
  REG,
  REQUEST,
  STATUS,
  VIRTIO_BASE,
  VIRTIO_IRQ,
} from '../../vmm/devices/virtio-blk/registers.ts';
import { Probe } from './probe.ts';

const BLOCK = 4096;
const BLOCKS = 16;
/** Where the driver keeps its things in guest memory. */
const AT = { descriptors: 0x200000, driver: 0x201000, device: 0x202000, header: 0x203000, data: 0x204000 } as const;
const STATUS_AT = AT.header + 16;
/** Of the first interrupt controller: its command port, and the command to show what is requested. */
const PIC = 0x20;
const SHOW_REQUESTED = 0x0a;

/** A driver by VIRTIO 1.2: every access to the device is an instruction of the guest. */
class Driver {
  probe: Probe;
  #submitted = 0;

  constructor(probe: Probe) {
    this.probe = probe;
  }

  read = (register: number) => this.probe.step('read', VIRTIO_BASE + register);
  write = (register: number, value: number) => this.probe.step('write', VIRTIO_BASE + register, value);

  async start(): Promise<void> {
    await this.write(REG.STATUS, 0);
    await this.write(REG.STATUS, 3); // acknowledge, driver
    await this.write(REG.STATUS, 11); // features ok
    await this.write(REG.QUEUE_NUM, 16);
    await this.write(REG.QUEUE_DESC, AT.descriptors);
    await this.write(REG.QUEUE_DRIVER, AT.driver);
    await this.write(REG.QUEUE_DEVICE, AT.device);
    await this.write(REG.QUEUE_READY, 1);
    await this.write(REG.STATUS, 15); // driver ok
  }

  /** Hand one request of one block over; the chain's first descriptor is `head`. */
  async submit(type: number, block: number, head = 0): Promise<void> {
    const { vm } = this.probe;
    const header = Buffer.alloc(17, 0xff);
    header.writeUInt32LE(type, 0);
    header.writeUInt32LE(0, 4);
    header.writeBigUInt64LE(BigInt(block * 8), 8);
    await vm.writeMemory(AT.header, header);
    const chain = [
      { address: AT.header, length: 16, flags: DESC.NEXT },
      { address: AT.data, length: BLOCK, flags: DESC.NEXT | (type === REQUEST.IN ? DESC.WRITE : 0) },
      { address: STATUS_AT, length: 1, flags: DESC.WRITE },
    ];
    const descriptors = Buffer.alloc(DESC.SIZE * chain.length);
    chain.forEach(({ address, length, flags }, i) => {
      descriptors.writeUInt32LE(address, DESC.SIZE * i);
      descriptors.writeUInt32LE(length, DESC.SIZE * i + 8);
      descriptors.writeUInt16LE(flags, DESC.SIZE * i + 12);
      descriptors.writeUInt16LE(i + 1, DESC.SIZE * i + 14);
    });
    await vm.writeMemory(AT.descriptors, descriptors);
    const slot = this.#submitted++ % 16;
    const [entry, index] = [Buffer.alloc(2), Buffer.alloc(2)];
    entry.writeUInt16LE(head);
    index.writeUInt16LE(this.#submitted);
    await vm.writeMemory(AT.driver + 4 + 2 * slot, entry);
    await vm.writeMemory(AT.driver + 2, index);
    await this.write(REG.QUEUE_NOTIFY, 0);
  }

  /** Until the device interrupts; acknowledges and gives the status of the request. */
  async finished(): Promise<number> {
    while ((await this.read(REG.INTERRUPT_STATUS)) === 0);
    await this.write(REG.INTERRUPT_ACK, INTERRUPT.USED | INTERRUPT.CONFIG);
    return (await this.probe.vm.readMemory(STATUS_AT, 1))[0] ?? -1;
  }

  /** Whether the interrupt controller has seen the device's line. */
  async requested(): Promise<boolean> {
    await this.probe.step('out8', PIC, SHOW_REQUESTED);
    return ((await this.probe.step('in8', PIC)) & (1 << VIRTIO_IRQ)) !== 0;
  }
}

/** `engine` is asked for when the tests run. */
export function diskContract(engine: () => Engine): void {
  let directory: string;
  let volume: SealedVolume;
  let value = 1n;
  const counter = { read: async () => value, increment: async () => ++value };
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'nexus-disk-'));
    volume = await SealedVolume.create(join(directory, 'volume'), BLOCKS, { key: new Uint8Array(32).fill(7) }, counter);
  });
  afterAll(async () => {
    await volume.close();
    await rm(directory, { recursive: true });
  });
  const launch = (name: string, extra: Parameters<typeof Probe.launch>[2] = {}) =>
    Probe.launch(engine(), name, { acpi: true, devices: [diskDevice(volume)], ...extra });

  it('a write is in the volume and a read comes from it, each told by the interrupt line', async () => {
    const driver = new Driver(await launch('disk'));
    await driver.start();
    const bytes = new Uint8Array(BLOCK).map((_, i) => i * 7);
    await driver.probe.vm.writeMemory(AT.data, bytes);
    expect(await driver.requested()).toBe(false);
    await driver.submit(REQUEST.OUT, 5);
    expect(await driver.finished()).toBe(OUTCOME.OK);
    expect(await driver.requested()).toBe(true);
    expect(await volume.read(5)).toEqual(bytes);
    await volume.write(6, new Uint8Array(BLOCK).fill(0x6b));
    await driver.submit(REQUEST.IN, 6);
    expect(await driver.finished()).toBe(OUTCOME.OK);
    expect(await driver.probe.vm.readMemory(AT.data, BLOCK)).toEqual(new Uint8Array(BLOCK).fill(0x6b));
    await driver.submit(REQUEST.IN, BLOCKS);
    expect(await driver.finished()).toBe(OUTCOME.IOERR);
    await driver.probe.vm.stop();
  });

  it('descriptors without sense break the queue until the driver begins anew, and nothing else', async () => {
    const driver = new Driver(await launch('disk-malformed'));
    await driver.start();
    await driver.submit(REQUEST.OUT, 0, 0xffff);
    expect(await driver.read(REG.STATUS)).toBe(15 | STATUS.NEEDS_RESET);
    await driver.start();
    expect(await driver.read(REG.STATUS)).toBe(15);
    expect(driver.probe.exits).toEqual([]);
    await driver.probe.vm.stop();
  });

  it('a queue goes on in a restored partition', async () => {
    const driver = new Driver(await launch('disk-saved'));
    await driver.start();
    await driver.submit(REQUEST.IN, 6);
    expect(await driver.finished()).toBe(OUTCOME.OK);
    void driver.probe.step('echo'); // waits for a byte from the console, in no hypercall
    await new Promise(setImmediate);
    await driver.probe.vm.pause();
    const snapshot = await driver.probe.vm.save();
    await driver.probe.vm.stop();
    driver.probe = await launch('disk-restored', { segments: [], snapshot });
    driver.probe.vm.input(Uint8Array.of(1));
    await driver.submit(REQUEST.IN, 5);
    expect(await driver.finished()).toBe(OUTCOME.OK);
    expect(await driver.probe.vm.readMemory(AT.data, BLOCK)).toEqual(await volume.read(5));
    await driver.probe.vm.stop();
  });
}
