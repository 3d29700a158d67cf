/** Worker side of a partition's disk: the register model on the machine's bus, its blocks asked of the host thread. */
import { decode, encode } from 'cbor-x';
import type { DeviceFactory, DeviceHost } from '../device.ts';
import type { DiskConfig, DiskFromHost, DiskToHost } from './disk.ts';
import { type DiskBackend, VirtioBlk } from './virtio-blk/device.ts';
import { VIRTIO_IRQ } from './virtio-blk/registers.ts';

/** v86 hands out memory-mapped I/O in blocks of 128 KiB; the registers lie at the start of theirs. */
const BLOCK = 128 * 1024;

type Request = DiskToHost extends infer Each ? (Each extends DiskToHost ? Omit<Each, 'id'> : never) : never;

class RemoteDisk implements DiskBackend {
  readonly blocks: number;
  readonly #send: (message: DiskToHost) => void;
  readonly #waiting = new Map<number, (reply: DiskFromHost) => void>();
  #nextId = 1;

  constructor(host: DeviceHost, blocks: number) {
    this.blocks = blocks;
    this.#send = (message) => host.send(message);
    host.onMessage((message) => {
      const reply = message as DiskFromHost; // sent by our own host thread
      this.#waiting.get(reply.id)?.(reply);
      this.#waiting.delete(reply.id);
    });
  }

  read(block: number, count: number): Promise<Uint8Array> {
    return this.#ask({ kind: 'read', block, count });
  }

  async write(block: number, bytes: Uint8Array): Promise<void> {
    await this.#ask({ kind: 'write', block, bytes });
  }

  async #ask(request: Request): Promise<Uint8Array> {
    const id = this.#nextId++;
    const reply = await new Promise<DiskFromHost>((resolve) => {
      this.#waiting.set(id, resolve);
      this.#send({ ...request, id });
    });
    if (reply.bytes === undefined) throw new Error('the host could not');
    return reply.bytes;
  }
}

const create: DeviceFactory<DiskConfig> = (host, { blocks }) => {
  const { cpu } = host;
  const memory = {
    size: cpu.mem8.length,
    read: (address: number, length: number) => cpu.mem8.slice(address, address + length),
    write: (address: number, bytes: Uint8Array) => cpu.write_blob(bytes, address),
  };
  const line = { raise: () => cpu.device_raise_irq(VIRTIO_IRQ), lower: () => cpu.device_lower_irq(VIRTIO_IRQ) };
  const registers = new VirtioBlk(memory, new RemoteDisk(host, blocks), line);
  const offset = (address: number) => (address >>> 0) - registers.base;
  const within = (at: number) => at < registers.size;
  cpu.io.mmap_register(
    registers.base,
    BLOCK,
    (address) => (within(offset(address)) ? registers.read8(offset(address)) : 0xff),
    () => {}, // registers are 32 bits wide
    (address) => (within(offset(address)) ? registers.read32(offset(address)) | 0 : -1),
    (address, value) => {
      if (within(offset(address))) registers.write32(offset(address), value >>> 0);
    },
  );
  return {
    save: () => encode(registers.save()),
    restore: (state) => registers.load(decode(state)),
  };
};

export default create;
