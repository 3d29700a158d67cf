/**
 * A disk for a partition that its host cannot read, change or set back: blocks under AES-256-GCM, a Merkle tree over
 * them, its root in a superblock that is bound to a counter of the platform (docs/volume.md).
 *
 * Each block has two slots and each superblock a twin. A write goes to the slot that is not current, then to the
 * older superblock, with a flush after each: whenever the process dies, one superblock describes either the old block
 * or the new one, and the other slot is ignored.
 */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { link, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { FreshnessCounter } from '../snapshot/suspend.ts';
import { VolumeError } from './error.ts';
import { MerkleTree } from './merkle.ts';

export const BLOCK_SIZE = 4096;

export interface VolumeKey {
  /** 32 bytes; the partition's sealing key for this volume. */
  readonly key: Uint8Array;
}

const MAGIC = Buffer.from('NXVOLUM1', 'latin1');
const SUPERBLOCK_SIZE = 4096;
const SUPERBLOCK_USED = 96;
const MAC_SIZE = 32;
/** Sequence number of the write (8), its session (8), GCM tag (16), rest zero; before each slot's ciphertext. */
const SLOT_HEADER = 64;
const SLOT_SIZE = SLOT_HEADER + BLOCK_SIZE;
const TAG_SIZE = 16;
/** Sequence, session and tag. */
const LEAF_SIZE = 8 + 8 + TAG_SIZE;
const BLOCKS_MAX = 2 ** 24;

/** What a volume needs of its file; node's `FileHandle` is one. */
export interface VolumeFile {
  read(into: Uint8Array, offset: number, length: number, position: number): Promise<unknown>;
  write(from: Uint8Array, offset: number, length: number, position: number): Promise<unknown>;
  truncate(size: number): Promise<void>;
  /** Resolves when every write before it is on the disk. */
  datasync(): Promise<void>;
  stat(): Promise<{ readonly size: number }>;
  close(): Promise<void>;
}

interface Superblock {
  readonly blocks: number;
  /** Raised by every write. */
  readonly sequence: bigint;
  /** Value of the platform's counter in this session. */
  readonly counter: bigint;
  readonly root: Buffer;
}

export class SealedVolume {
  readonly blocks: number;
  readonly #file: VolumeFile;
  readonly #dataKey: Uint8Array;
  /** Keys of the sessions whose blocks were read or written. */
  readonly #sessionKeys = new Map<bigint, Uint8Array>();
  readonly #macKey: Uint8Array;
  /** Leaf of each block: sequence, session and tag of its current slot, all zero for a block never written. */
  readonly #leaves: Buffer;
  /** Which of its two slots is current. */
  readonly #slots: Uint8Array;
  readonly #tree: MerkleTree;
  readonly #counter: bigint;
  #sequence: bigint;
  /** What a write failed with: what the medium holds is not known from then on. */
  #failure: unknown;
  /** Writes take turns. */
  #turn: Promise<unknown> = Promise.resolve();

  /** Make a volume of `blocks` blocks of zeros, whole or not at all. Fails where the file exists. */
  static async create(path: string, blocks: number, key: VolumeKey, counter: FreshnessCounter): Promise<SealedVolume> {
    const unfinished = `${path}.unfinished`;
    await rm(unfinished, { force: true });
    const file = await open(unfinished, 'wx+', 0o600);
    try {
      await SealedVolume.format(file, blocks, key, counter);
      await link(unfinished, path);
    } finally {
      await file.close();
      await rm(unfinished, { force: true });
    }
    const directory = await open(dirname(path));
    await directory.sync().finally(() => directory.close());
    return SealedVolume.open(path, key, counter);
  }

  /** Open a volume's file. Throws VolumeError. */
  static async open(path: string, key: VolumeKey, counter: FreshnessCounter): Promise<SealedVolume> {
    return SealedVolume.over(await open(path, 'r+'), key, counter);
  }

  /** Write an empty volume to an empty file. */
  static async format(file: VolumeFile, blocks: number, key: VolumeKey, counter: FreshnessCounter): Promise<void> {
    if (!Number.isInteger(blocks) || blocks < 1 || blocks > BLOCKS_MAX)
      throw new RangeError(`1 to ${BLOCKS_MAX} blocks`);
    const { root } = new MerkleTree(blocks, () => new Uint8Array(LEAF_SIZE));
    const superblock = { blocks, sequence: 0n, counter: await counter.read(), root };
    await file.truncate(2 * SUPERBLOCK_SIZE + 2 * blocks * SLOT_SIZE);
    await file.write(encodeSuperblock(superblock, deriveKeys(key).macKey), 0, SUPERBLOCK_SIZE, 0);
    await file.datasync();
  }

  /**
   * Open: find the newest superblock, gather the leaves it describes, compare the root, and take a new value of the
   * counter, which makes every older copy of the file stale. Closes the file when it throws.
   */
  static async over(file: VolumeFile, key: VolumeKey, counter: FreshnessCounter): Promise<SealedVolume> {
    try {
      const keys = deriveKeys(key);
      const superblock = await newestSuperblock(file, keys.macKey);
      const now = await counter.read();
      // One more than the counter: the process died between announcing the new value and taking it.
      if (superblock.counter !== now && superblock.counter !== now + 1n) {
        throw new VolumeError(
          'E_VOLUME_STALE',
          `the volume is of counter value ${superblock.counter}, the platform stands at ${now}`,
          'use the newest copy of the volume',
        );
      }
      const found = await gatherLeaves(file, superblock);
      const volume = new SealedVolume(file, keys, superblock, found, now + 1n);
      if (!volume.#tree.root.equals(superblock.root)) throw corrupt('its blocks are not those of its root');
      // A write that the superblock does not know of never was; its sequence number is about to be used again.
      for (const at of found.orphans) await file.write(new Uint8Array(SLOT_HEADER), 0, SLOT_HEADER, at);
      if (found.orphans.length > 0) await file.datasync();
      await volume.#writeSuperblock(superblock.sequence + 1n, superblock.root);
      await counter.increment();
      return volume;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  private constructor(
    file: VolumeFile,
    keys: ReturnType<typeof deriveKeys>,
    superblock: Superblock,
    found: { leaves: Buffer; slots: Uint8Array },
    counter: bigint,
  ) {
    this.#file = file;
    this.#dataKey = keys.dataKey;
    this.#macKey = keys.macKey;
    this.blocks = superblock.blocks;
    this.#sequence = superblock.sequence;
    this.#counter = counter;
    this.#leaves = found.leaves;
    this.#slots = found.slots;
    this.#tree = new MerkleTree(this.blocks, (i) => this.#leaf(i));
  }

  /** Content of a block, 4096 bytes. Throws VolumeError when the file was changed under it. */
  async read(block: number): Promise<Uint8Array> {
    this.#check(block);
    await this.#turn;
    const leaf = this.#leaf(block);
    const sequence = leaf.readBigUInt64LE(0);
    if (sequence === 0n) return new Uint8Array(BLOCK_SIZE);
    const sealed = Buffer.alloc(BLOCK_SIZE);
    await this.#file.read(sealed, 0, BLOCK_SIZE, slotAt(block, this.#slots[block] ?? 0) + SLOT_HEADER);
    const key = this.#sessionKey(leaf.readBigUInt64LE(8));
    const decipher = createDecipheriv('aes-256-gcm', key, nonce(block, sequence), { authTagLength: TAG_SIZE });
    decipher.setAuthTag(leaf.subarray(16));
    try {
      return Uint8Array.from(Buffer.concat([decipher.update(sealed), decipher.final()]));
    } catch (cause) {
      throw corrupt(`block ${block} does not open`, cause);
    }
  }

  /**
   * Replace one block or several in a row, all of them or none; durable when it resolves, and old or new whenever the
   * process dies. Throws VolumeError E_VOLUME_FAILED after a write that the medium refused.
   */
  write(block: number, content: Uint8Array): Promise<void> {
    const count = content.length / BLOCK_SIZE;
    if (!Number.isInteger(count) || count === 0) {
      throw new RangeError(`blocks have ${BLOCK_SIZE} bytes each; these are ${content.length}`);
    }
    this.#check(block);
    this.#check(block + count - 1);
    const copy = content.slice();
    const done = this.#turn.then(() => this.#replace(block, copy));
    this.#turn = done.catch(() => {}); // its own caller hears of it
    return done;
  }

  async #replace(first: number, content: Uint8Array): Promise<void> {
    if (this.#failure !== undefined) {
      const way = 'mend the medium and open the volume again';
      throw new VolumeError('E_VOLUME_FAILED', 'an earlier write failed', way, { cause: this.#failure });
    }
    try {
      const sequence = this.#sequence + 1n;
      const leaves: Buffer[] = [];
      for (let at = 0; at < content.length; at += BLOCK_SIZE) {
        const block = first + at / BLOCK_SIZE;
        const { leaf, sealed } = this.#seal(block, sequence, content.subarray(at, at + BLOCK_SIZE));
        const written = Buffer.alloc(SLOT_SIZE);
        leaf.copy(written);
        sealed.copy(written, SLOT_HEADER);
        await this.#file.write(written, 0, SLOT_SIZE, slotAt(block, 1 - (this.#slots[block] ?? 0)));
        this.#tree.update(block, leaf);
        leaves.push(leaf);
      }
      await this.#file.datasync();
      await this.#writeSuperblock(sequence, this.#tree.root);
      leaves.forEach((leaf, i) => {
        leaf.copy(this.#leaves, (first + i) * LEAF_SIZE);
        this.#slots[first + i] = 1 - (this.#slots[first + i] ?? 0);
      });
    } catch (error) {
      // A sequence number that may have been used is not used for another content.
      this.#failure = error;
      throw error;
    }
  }

  #seal(block: number, sequence: bigint, content: Uint8Array): { leaf: Buffer; sealed: Buffer } {
    const key = this.#sessionKey(this.#counter);
    const cipher = createCipheriv('aes-256-gcm', key, nonce(block, sequence), { authTagLength: TAG_SIZE });
    const sealed = Buffer.concat([cipher.update(content), cipher.final()]);
    const leaf = Buffer.alloc(LEAF_SIZE);
    leaf.writeBigUInt64LE(sequence, 0);
    leaf.writeBigUInt64LE(this.#counter, 8);
    cipher.getAuthTag().copy(leaf, 16);
    return { leaf, sealed };
  }

  /**
   * A key for each opening: who puts an older file back makes sequence numbers come again, and under one key a nonce
   * with them.
   */
  #sessionKey(session: bigint): Uint8Array {
    const known = this.#sessionKeys.get(session);
    if (known) return known;
    const salt = Buffer.alloc(8);
    salt.writeBigUInt64LE(session);
    const key = new Uint8Array(hkdfSync('sha256', this.#dataKey, salt, 'nexus-tcb volume v1 session', 32));
    this.#sessionKeys.set(session, key);
    return key;
  }

  async close(): Promise<void> {
    await this.#turn;
    await this.#file.close();
  }

  async #writeSuperblock(sequence: bigint, root: Buffer): Promise<void> {
    const bytes = encodeSuperblock({ blocks: this.blocks, sequence, counter: this.#counter, root }, this.#macKey);
    await this.#file.write(bytes, 0, SUPERBLOCK_SIZE, Number(sequence % 2n) * SUPERBLOCK_SIZE);
    await this.#file.datasync();
    this.#sequence = sequence;
  }

  #leaf(block: number): Buffer {
    return this.#leaves.subarray(block * LEAF_SIZE, (block + 1) * LEAF_SIZE);
  }

  #check(block: number): void {
    if (!Number.isInteger(block) || block < 0 || block >= this.blocks) {
      throw new VolumeError('E_VOLUME_RANGE', `block ${block} of ${this.blocks}`, 'name a block of the volume');
    }
  }
}

const slotAt = (block: number, slot: number) => 2 * SUPERBLOCK_SIZE + (2 * block + slot) * SLOT_SIZE;

/** No two writes of a session share one: the sequence number is raised by each. */
function nonce(block: number, sequence: bigint): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt32LE(block, 0);
  bytes.writeBigUInt64LE(sequence, 4);
  return bytes;
}

function deriveKeys({ key }: VolumeKey): { dataKey: Uint8Array; macKey: Uint8Array } {
  if (key.length !== 32) throw new RangeError('a volume key has 32 bytes');
  const derive = (info: string) => new Uint8Array(hkdfSync('sha256', key, new Uint8Array(0), info, 32));
  return { dataKey: derive('nexus-tcb volume v1 data'), macKey: derive('nexus-tcb volume v1 superblock') };
}

function encodeSuperblock({ blocks, sequence, counter, root }: Superblock, macKey: Uint8Array): Buffer {
  const bytes = Buffer.alloc(SUPERBLOCK_SIZE);
  MAGIC.copy(bytes);
  bytes.writeUInt32LE(blocks, 8);
  bytes.writeBigUInt64LE(sequence, 16);
  bytes.writeBigUInt64LE(counter, 24);
  root.copy(bytes, 32);
  mac(bytes, macKey).copy(bytes, SUPERBLOCK_USED - MAC_SIZE);
  return bytes;
}

const mac = (bytes: Buffer, key: Uint8Array) =>
  createHmac('sha256', key)
    .update(bytes.subarray(0, SUPERBLOCK_USED - MAC_SIZE))
    .digest();

async function newestSuperblock(file: VolumeFile, macKey: Uint8Array): Promise<Superblock> {
  const found: Superblock[] = [];
  let recognised = false;
  for (const at of [0, SUPERBLOCK_SIZE]) {
    const bytes = Buffer.alloc(SUPERBLOCK_USED);
    await file.read(bytes, 0, SUPERBLOCK_USED, at);
    if (!bytes.subarray(0, 8).equals(MAGIC)) continue;
    recognised = true;
    // The older twin may be torn by a crash; it is then not one.
    if (!timingSafeEqual(mac(bytes, macKey), bytes.subarray(SUPERBLOCK_USED - MAC_SIZE))) continue;
    found.push({
      blocks: bytes.readUInt32LE(8),
      sequence: bytes.readBigUInt64LE(16),
      counter: bytes.readBigUInt64LE(24),
      root: Buffer.from(bytes.subarray(32, 64)),
    });
  }
  const newest = found.sort((a, b) => (a.sequence < b.sequence ? 1 : -1))[0];
  if (newest) return newest;
  if (!recognised) throw new VolumeError('E_VOLUME_FORMAT', 'this is not a sealed volume', 'give a volume of nexus');
  throw corrupt('no superblock is of this key');
}

/** The current slot of a block is the newest that the superblock knows of. */
async function gatherLeaves(
  file: VolumeFile,
  { blocks, sequence }: Superblock,
): Promise<{ leaves: Buffer; slots: Uint8Array; orphans: number[] }> {
  const expected = 2 * SUPERBLOCK_SIZE + 2 * blocks * SLOT_SIZE;
  const { size } = await file.stat();
  if (size !== expected) throw corrupt(`the file has ${size} bytes where ${expected} belong`);
  const leaves = Buffer.alloc(blocks * LEAF_SIZE);
  const slots = new Uint8Array(blocks).fill(1);
  const header = Buffer.alloc(LEAF_SIZE);
  const orphans: number[] = [];
  for (let block = 0; block < blocks; block++) {
    let newest = 0n;
    for (const slot of [0, 1]) {
      await file.read(header, 0, LEAF_SIZE, slotAt(block, slot));
      const written = header.readBigUInt64LE(0);
      if (written > sequence) orphans.push(slotAt(block, slot));
      if (written <= newest || written > sequence) continue;
      newest = written;
      header.copy(leaves, block * LEAF_SIZE);
      slots[block] = slot;
    }
  }
  return { leaves, slots, orphans };
}

const corrupt = (what: string, cause?: unknown) =>
  new VolumeError('E_VOLUME_CORRUPT', `the volume is damaged or foreign: ${what}`, 'take it from a backup', { cause });
