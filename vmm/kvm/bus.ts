/** Ports and memory-mapped I/O of a guest on KVM, with the registration interface of the other engine's bus. */
import type { V86Io } from '../v86/cpu.ts';

type Read = (this: unknown, address: number) => number;
type Write = (this: unknown, value: number) => void;
type Width = 1 | 2 | 4;

interface Port {
  device: object;
  read: Partial<Record<Width, Read>>;
  write: Partial<Record<Width, Write>>;
}

type Load = (address: number) => number;
type Store = (address: number, value: number) => void;

interface Window {
  readonly base: number;
  readonly size: number;
  readonly read8: Load;
  readonly write8: Store;
  /** For a register file whose registers are accessed whole. */
  readonly read32: Load | undefined;
  readonly write32: Store | undefined;
}

export class Bus implements V86Io {
  readonly #ports = new Map<number, Port>();
  readonly #windows: Window[] = [];

  register_read(port: number, device: object, read8?: Read, read16?: Read, read32?: Read): void {
    const entry = this.#port(port, device);
    entry.read = {
      ...entry.read,
      ...(read8 && { 1: read8 }),
      ...(read16 && { 2: read16 }),
      ...(read32 && { 4: read32 }),
    };
  }

  register_write(port: number, device: object, write8?: Write, write16?: Write, write32?: Write): void {
    const entry = this.#port(port, device);
    entry.write = {
      ...entry.write,
      ...(write8 && { 1: write8 }),
      ...(write16 && { 2: write16 }),
      ...(write32 && { 4: write32 }),
    };
  }

  mmap_register(base: number, size: number, read8: Load, write8: Store, read32?: Load, write32?: Store): void {
    this.#windows.push({ base, size, read8, write8, read32, write32 });
  }

  /** A port that nobody serves at this width reads as all ones. */
  portIn(port: number, width: Width): number {
    const entry = this.#ports.get(port);
    return (entry?.read[width]?.call(entry.device, port) ?? -1) >>> 0;
  }

  portOut(port: number, width: Width, value: number): void {
    const entry = this.#ports.get(port);
    // Callbacks of 32-bit ports expect the signed value that a processor's register gives on the other engine.
    entry?.write[width]?.call(entry.device, width === 4 ? value | 0 : value);
  }

  /** Where nothing is, loads give all ones and stores vanish. An access of 4 bytes is one where the device says so. */
  load(address: number, into: Uint8Array): void {
    const read32 = into.length === 4 ? this.#window(address)?.read32 : undefined;
    if (read32) viewOf(into).setInt32(0, read32(address), true);
    else for (let i = 0; i < into.length; i++) into[i] = this.#window(address + i)?.read8(address + i) ?? 0xff;
  }

  store(address: number, bytes: Uint8Array): void {
    const write32 = bytes.length === 4 ? this.#window(address)?.write32 : undefined;
    if (write32) write32(address, viewOf(bytes).getInt32(0, true));
    else for (let i = 0; i < bytes.length; i++) this.#window(address + i)?.write8(address + i, bytes[i] ?? 0);
  }

  #window(address: number): Window | undefined {
    return this.#windows.find(({ base, size }) => address >= base && address < base + size);
  }

  #port(port: number, device: object): Port {
    let entry = this.#ports.get(port);
    if (entry === undefined) {
      entry = { device, read: {}, write: {} };
      this.#ports.set(port, entry);
    }
    return entry;
  }
}

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
