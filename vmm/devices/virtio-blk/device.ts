/**
 * A block device as virtio registers in memory. Engine-independent: an engine routes loads and stores here and lends
 * the guest's memory. Requests are carried out one after another; each is answered when it is durable. All that stands
 * in guest memory is hostile: it is copied once, then checked.
 *
 * Source: VIRTIO 1.2, sections 2.1 (status), 2.7 (split virtqueues), 4.2 (MMIO), 5.2 (block device).
 */
import { DeviceStateError } from '../tpm-backend.ts';
import {
  type Area,
  BrokenQueue,
  checkSavedQueue,
  type GuestMemory,
  type SavedQueue,
  type Segment,
  SplitQueue,
} from './queue.ts';
import {
  DEVICE_BLOCK,
  FEATURE,
  ID_SIZE,
  INTERRUPT,
  MAGIC,
  OUTCOME,
  QUEUE_MAX,
  REG,
  REQUEST,
  REQUEST_HEADER,
  SECTOR,
  SEG_MAX,
  STATUS,
  VENDOR,
  VERSION,
  VIRTIO_BASE,
  VIRTIO_SIZE,
} from './registers.ts';

export const DISK_BLOCK = 4096;
const SECTORS_PER_BLOCK = DISK_BLOCK / SECTOR;
/** The most that one request may move. */
const TRANSFER_MAX = SEG_MAX * DISK_BLOCK;

/** What stands behind the registers: 4096-byte blocks. What a write resolves to is durable. */
export interface DiskBackend {
  readonly blocks: number;
  read(block: number, count: number): Promise<Uint8Array>;
  write(block: number, bytes: Uint8Array): Promise<void>;
}

export interface InterruptLine {
  raise(): void;
  lower(): void;
}

const FEATURES = [FEATURE.SEG_MAX, FEATURE.BLK_SIZE, FEATURE.FLUSH, FEATURE.VERSION_1];
/** The 32 features of a selector. */
const featureWord = (select: number) =>
  FEATURES.reduce((word, bit) => (bit >>> 5 === select ? word | (1 << (bit & 31)) : word), 0) >>> 0;

const AREA_AT: readonly (readonly [number, Area])[] = [
  [REG.QUEUE_DESC, 'descriptors'],
  [REG.QUEUE_DRIVER, 'driver'],
  [REG.QUEUE_DEVICE, 'device'],
];

/** What a snapshot holds. */
interface Saved {
  readonly version: 1;
  readonly status: number;
  readonly interrupt: number;
  readonly queue: SavedQueue;
}

export class VirtioBlk {
  readonly base = VIRTIO_BASE;
  readonly size = VIRTIO_SIZE;
  readonly #memory: GuestMemory;
  readonly #disk: DiskBackend;
  readonly #line: InterruptLine;
  readonly #queue: SplitQueue;
  #status = 0;
  #interrupt = 0;
  #featureSelect = 0;
  #queueSelect = 0;
  /** Raised by a reset: what was under way before it is answered to nobody. */
  #generation = 0;
  #underWay = 0;
  #turn: Promise<void> = Promise.resolve();

  constructor(memory: GuestMemory, disk: DiskBackend, line: InterruptLine) {
    this.#memory = memory;
    this.#disk = disk;
    this.#line = line;
    this.#queue = new SplitQueue(memory);
  }

  /** A request is being carried out. */
  get busy(): boolean {
    return this.#underWay > 0;
  }

  /** Resolves when no request is under way. */
  async idle(): Promise<void> {
    while (this.busy) await this.#turn;
  }

  read32(offset: number): number {
    if (offset >= REG.CONFIG) return this.#config32(offset - REG.CONFIG);
    switch (offset) {
      case REG.MAGIC:
        return MAGIC;
      case REG.VERSION:
        return VERSION;
      case REG.DEVICE_ID:
        return DEVICE_BLOCK;
      case REG.VENDOR_ID:
        return VENDOR;
      case REG.DEVICE_FEATURES:
        return featureWord(this.#featureSelect);
      case REG.QUEUE_NUM_MAX:
        return this.#queueSelect === 0 ? QUEUE_MAX : 0;
      case REG.QUEUE_READY:
        return this.#queueSelect === 0 && this.#queue.ready ? 1 : 0;
      case REG.INTERRUPT_STATUS:
        return this.#interrupt;
      case REG.STATUS:
        return this.#status;
      default:
        return 0;
    }
  }

  read8(offset: number): number {
    return (this.read32(offset & ~3) >>> (8 * (offset & 3))) & 0xff;
  }

  /** Registers are written whole; the configuration is not written. */
  write32(offset: number, value: number): void {
    switch (offset) {
      case REG.DEVICE_FEATURES_SEL:
        this.#featureSelect = value;
        return;
      case REG.QUEUE_SEL:
        this.#queueSelect = value;
        return;
      case REG.QUEUE_NUM:
        if (this.#queueSelect === 0) this.#queue.setSize(value);
        return;
      case REG.QUEUE_READY:
        if (this.#queueSelect === 0) this.#queue.setReady(value === 1);
        return;
      case REG.QUEUE_NOTIFY:
        if (value === 0) this.#serve();
        return;
      case REG.INTERRUPT_ACK:
        this.#interrupt &= ~value;
        if (this.#interrupt === 0) this.#line.lower();
        return;
      case REG.STATUS:
        if (value === 0) this.reset();
        else this.#status = (value & 0xff) | (this.#status & STATUS.NEEDS_RESET);
        return;
      default:
        this.#writeArea(offset, value);
    }
  }

  /** As after power-on. What is under way is carried out and answered to nobody. */
  reset(): void {
    this.#generation++;
    this.#status = 0;
    this.#interrupt = 0;
    this.#queue.reset();
    this.#line.lower();
  }

  save(): unknown {
    if (this.busy) throw new DeviceStateError('DEVICE_BUSY', 'The disk carries out a request; wait for idle().');
    const saved: Saved = {
      version: 1,
      ...{ status: this.#status, interrupt: this.#interrupt, queue: this.#queue.save() },
    };
    return saved;
  }

  load(state: unknown): void {
    const saved = checkSaved(state);
    this.reset();
    this.#status = saved.status;
    this.#interrupt = saved.interrupt;
    this.#queue.load(saved.queue);
    // An interrupt that the guest had not served yet is still to be served.
    if (this.#interrupt !== 0) this.#line.raise();
  }

  /** Capacity in sectors, the most segments, the size of a block (section 5.2.4); the rest is of features not offered. */
  #config32(offset: number): number {
    const sectors = this.#disk.blocks * SECTORS_PER_BLOCK;
    switch (offset) {
      case 0:
        return sectors >>> 0;
      case 4:
        return Math.floor(sectors / 2 ** 32);
      case 12:
        return SEG_MAX;
      case 20:
        return DISK_BLOCK;
      default:
        return 0;
    }
  }

  #writeArea(offset: number, value: number): void {
    const [at, area] = AREA_AT.find(([low]) => offset === low || offset === low + 4) ?? [];
    if (area === undefined || this.#queueSelect !== 0) return;
    this.#queue.setArea(area, offset === at ? 'low' : 'high', value);
  }

  #serve(): void {
    const works = (this.#status & STATUS.DRIVER_OK) !== 0 && (this.#status & STATUS.NEEDS_RESET) === 0;
    if (!works || !this.#queue.ready) return;
    try {
      for (const [head, segments] of this.#queue.take()) this.#take(head, segments);
    } catch (error) {
      this.#break(error);
    }
  }

  #take(head: number, segments: readonly Segment[]): void {
    const [header, status] = [segments[0], segments.at(-1)];
    const data = segments.slice(1, -1);
    if (header === undefined || status === undefined || segments.length < 2) throw new BrokenQueue();
    const wellFormed = !header.writable && header.length >= REQUEST_HEADER && status.writable && status.length >= 1;
    if (!wellFormed) throw new BrokenQueue();
    const view = viewOf(this.#memory.read(header.address, REQUEST_HEADER));
    const [type, sector] = [view.getUint32(0, true), Number(view.getBigUint64(8, true))];
    // What is to be written is copied now: the guest may change it from here on.
    const outgoing = type === REQUEST.OUT ? this.#gather(data) : undefined;
    const generation = this.#generation;
    this.#underWay++;
    this.#turn = this.#turn.then(async () => {
      const done = await this.#carryOut(type, sector, data, outgoing).catch(() => ({ outcome: OUTCOME.IOERR }));
      this.#underWay--;
      if (generation === this.#generation) this.#answer(head, data, status, done);
    });
  }

  async #carryOut(
    type: number,
    sector: number,
    data: readonly Segment[],
    outgoing: Uint8Array | undefined,
  ): Promise<{ readonly outcome: number; readonly incoming?: Uint8Array }> {
    const length = data.reduce((sum, segment) => sum + segment.length, 0);
    switch (type) {
      case REQUEST.IN:
      case REQUEST.OUT: {
        const [block, count] = [sector / SECTORS_PER_BLOCK, length / DISK_BLOCK];
        const whole = Number.isInteger(block) && Number.isInteger(count) && block + count <= this.#disk.blocks;
        const right = data.every(({ writable }) => writable === (type === REQUEST.IN));
        if (!whole || !right || length > TRANSFER_MAX) return { outcome: OUTCOME.IOERR };
        if (outgoing === undefined) return { outcome: OUTCOME.OK, incoming: await this.#disk.read(block, count) };
        if (count > 0) await this.#disk.write(block, outgoing);
        return { outcome: OUTCOME.OK };
      }
      case REQUEST.FLUSH:
        return { outcome: OUTCOME.OK }; // every write before it was durable when it was answered
      case REQUEST.GET_ID:
        return { outcome: OUTCOME.OK, incoming: new TextEncoder().encode('nexus-tcb volume'.padEnd(ID_SIZE, '\0')) };
      default:
        return { outcome: OUTCOME.UNSUPP };
    }
  }

  #answer(
    head: number,
    data: readonly Segment[],
    status: Segment,
    { outcome, incoming }: { readonly outcome: number; readonly incoming?: Uint8Array },
  ): void {
    try {
      const written = incoming === undefined ? 0 : this.#scatter(data, incoming);
      this.#memory.write(status.address, Uint8Array.of(outcome));
      if (this.#queue.give(head, written + 1)) this.#signal(INTERRUPT.USED);
    } catch (error) {
      this.#break(error);
    }
  }

  #gather(data: readonly Segment[]): Uint8Array {
    const length = data.reduce((sum, segment) => sum + segment.length, 0);
    if (length > TRANSFER_MAX) return new Uint8Array(0); // refused when it is carried out
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const segment of data) {
      bytes.set(this.#memory.read(segment.address, segment.length), at);
      at += segment.length;
    }
    return bytes;
  }

  #scatter(data: readonly Segment[], bytes: Uint8Array): number {
    let at = 0;
    for (const { address, length, writable } of data) {
      if (!writable) continue;
      const piece = bytes.subarray(at, at + length);
      this.#memory.write(address, piece);
      at += piece.length;
    }
    return at;
  }

  #signal(what: number): void {
    this.#interrupt |= what;
    this.#line.raise();
  }

  /** Say that the driver must begin anew. A defect of ours is no broken queue. */
  #break(error: unknown): void {
    if (!(error instanceof BrokenQueue)) throw error;
    this.#status |= STATUS.NEEDS_RESET;
    this.#signal(INTERRUPT.CONFIG);
  }
}

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function checkSaved(value: unknown): Saved {
  const saved = value as Partial<Saved> | null; // every field is checked below
  const fault = (what: string) => new DeviceStateError('DEVICE_STATE', `Saved disk registers: ${what}.`);
  if (typeof saved !== 'object' || saved === null || saved.version !== 1) throw fault('unknown version');
  const { status, interrupt } = saved;
  if (typeof status !== 'number' || !Number.isInteger(status) || status < 0 || status > 0xff) throw fault('status');
  if (interrupt !== 0 && interrupt !== 1 && interrupt !== 2 && interrupt !== 3) throw fault('interrupt');
  return { version: 1, status, interrupt, queue: checkSavedQueue(saved.queue, fault) };
}
