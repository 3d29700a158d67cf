/** A disk as a device of a partition: a virtio block device over a sealed volume. */

import type { DevicePort, DeviceSpec } from '../device.ts';
import type { SealedVolume } from '../volume/volume.ts';
import { BLOCK_SIZE } from '../volume/volume.ts';

export interface DiskConfig {
  readonly blocks: number;
}

export type DiskToHost =
  | { readonly kind: 'read'; readonly id: number; readonly block: number; readonly count: number }
  | { readonly kind: 'write'; readonly id: number; readonly block: number; readonly bytes: Uint8Array };

export interface DiskFromHost {
  readonly id: number;
  /** What was read; empty after a write; absent when it failed. */
  readonly bytes?: Uint8Array;
}

/** What stands behind a guest's disk. */
export type Disk = Pick<SealedVolume, 'blocks' | 'read' | 'write'>;

/** The register model sends no larger request; more is not from it. */
const COUNT_MAX = 64;

/** `disk` as virtio-mmio, which ACPI declares. A failed read or write is an I/O error to the guest. */
export function diskDevice(disk: Disk): DeviceSpec {
  const config: DiskConfig = { blocks: disk.blocks };
  return {
    name: 'disk',
    module: new URL('./disk-worker.js', import.meta.url),
    config,
    onMessage: (message, port) => serve(disk, message, port),
  };
}

/** Messages come from a Worker that its guest may have taken over: anything unexpected ends the partition. */
async function serve(disk: Disk, message: unknown, port: DevicePort): Promise<void> {
  const request = message as Partial<Record<'kind' | 'id' | 'block' | 'count' | 'bytes', unknown>> | null; // checked below
  const { kind, id, block, bytes } = request ?? {};
  const length = bytes instanceof Uint8Array ? bytes.length / BLOCK_SIZE : undefined;
  const count = kind === 'write' ? length : request?.count;
  if (typeof id !== 'number' || !isWithin(block, disk.blocks) || !isWithin(count, COUNT_MAX)) {
    throw new Error('the disk sent a malformed message');
  }
  const reply = (answer: DiskFromHost) => port.send(answer);
  try {
    if (kind === 'read') reply({ id, bytes: await readBlocks(disk, block, count) });
    else if (kind === 'write' && bytes instanceof Uint8Array) {
      await disk.write(block, bytes);
      reply({ id, bytes: new Uint8Array(0) });
    } else throw new Error('the disk sent a message of no known kind');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
    reply({ id }); // the volume's refusal, or the host's disk's
  }
}

async function readBlocks(disk: Disk, block: number, count: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(count * BLOCK_SIZE);
  for (let i = 0; i < count; i++) bytes.set(await disk.read(block + i), i * BLOCK_SIZE);
  return bytes;
}

const isWithin = (value: unknown, most: number): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most;
