/**
 * A suspended partition and its TPM as one sealed file (docs/snapshot.md). The header is in the clear and
 * authenticated; the body is compressed CBOR under AES-256-GCM with a key of its own, derived from the partition's
 * sealing key and a random salt, so that the nonce can be constant.
 *
 * | offset | bytes | |
 * |---|---|---|
 * | 0 | 8 | magic "NXSNAP\r\n" |
 * | 8 | 4 | version, little-endian |
 * | 12 | 8 | freshness counter, little-endian |
 * | 20 | 32 | identity of the partition |
 * | 52 | 32 | salt |
 * | 84 | 8 | length of the body with its 16-byte tag, little-endian |
 * | 92 | | body |
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { constants, deflateRaw, inflateRaw } from 'node:zlib';
import { decode, encode } from 'cbor-x';
import type { VmSnapshot } from '../engine.ts';
import { SnapshotError } from './error.ts';

/** State of a partition's TPM: what survives power loss, and what does not. */
export interface TpmState {
  readonly permanent: Uint8Array;
  readonly volatile: Uint8Array;
}

export interface Snapshot {
  readonly vm: VmSnapshot;
  readonly tpm?: TpmState;
}

export interface SnapshotSeal {
  /** 32 bytes; the partition's sealing key for snapshots. */
  readonly key: Uint8Array;
  /** 32 bytes that name the partition, such as its code identity. */
  readonly partition: Uint8Array;
  /** Value of the freshness counter. */
  readonly counter: bigint;
}

const MAGIC = Buffer.from('NXSNAP\r\n', 'latin1');
const VERSION = 1;
const HEADER_SIZE = 92;
const TAG_SIZE = 16;
const KEY_SIZE = 32;
/** Several times the largest partition. Bounds what a hostile length can make us allocate. */
const BODY_MAX = 4 * 2 ** 30;
const PLAIN_MAX = 2 ** 32 - 2 ** 20;
const INFO = 'nexus-tcb snapshot v1';
const NONCE = new Uint8Array(12);

const deflate = promisify(deflateRaw);
const inflate = promisify(inflateRaw);

/** Seal. About a tenth of a second for a booted Linux. */
export async function sealSnapshot(snapshot: Snapshot, { key, partition, counter }: SnapshotSeal): Promise<Uint8Array> {
  if (key.length !== KEY_SIZE || partition.length !== 32) throw new RangeError('key and identity have 32 bytes');
  // Memory is mostly zero: the fastest level gets most of what there is to get.
  const plain = await deflate(encode(snapshot), { level: constants.Z_BEST_SPEED });
  const header = Buffer.alloc(HEADER_SIZE);
  MAGIC.copy(header);
  header.writeUInt32LE(VERSION, 8);
  header.writeBigUInt64LE(counter, 12);
  header.set(partition, 20);
  const salt = randomBytes(32);
  header.set(salt, 52);
  header.writeBigUInt64LE(BigInt(plain.length + TAG_SIZE), 84);
  const cipher = createCipheriv('aes-256-gcm', bodyKey(key, salt), NONCE).setAAD(header);
  const file = Buffer.concat([header, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  return new Uint8Array(file.buffer, file.byteOffset, file.length);
}

/** Open. Throws SnapshotError; `counter` is what the platform's counter says now. */
export async function openSnapshot(file: Uint8Array, { key, partition, counter }: SnapshotSeal): Promise<Snapshot> {
  const header = Buffer.from(file.buffer, file.byteOffset, Math.min(file.length, HEADER_SIZE));
  if (header.length < HEADER_SIZE || !header.subarray(0, 8).equals(MAGIC)) {
    throw new SnapshotError('E_SNAPSHOT_FORMAT', 'this is not a snapshot', 'give a file that nexus suspended to');
  }
  const version = header.readUInt32LE(8);
  if (version !== VERSION) {
    throw new SnapshotError(
      'E_SNAPSHOT_VERSION',
      `a snapshot of version ${version}; this build reads version ${VERSION}`,
      'restore it with the build that wrote it',
    );
  }
  if (!header.subarray(20, 52).equals(partition)) {
    throw new SnapshotError('E_SNAPSHOT_FOREIGN', 'a snapshot of another partition', 'restore it as that partition');
  }
  const length = Number(header.readBigUInt64LE(84));
  if (length < TAG_SIZE || length > BODY_MAX || file.length !== HEADER_SIZE + length) {
    throw new SnapshotError('E_SNAPSHOT_FORMAT', 'the snapshot is truncated or padded', 'take it from a backup');
  }
  const body = file.subarray(HEADER_SIZE, file.length - TAG_SIZE);
  const decipher = createDecipheriv('aes-256-gcm', bodyKey(key, header.subarray(52, 84)), NONCE, {
    authTagLength: TAG_SIZE,
  })
    .setAAD(header)
    .setAuthTag(file.subarray(file.length - TAG_SIZE));
  let snapshot: Snapshot;
  try {
    const plain = Buffer.concat([decipher.update(body), decipher.final()]);
    snapshot = decode(await inflate(plain, { maxOutputLength: PLAIN_MAX })) as Snapshot; // authenticated: we wrote it
  } catch (cause) {
    throw new SnapshotError(
      'E_SNAPSHOT_CORRUPT',
      'the snapshot does not open: it was changed, or sealed on another platform',
      'take it from a backup of this platform',
      { cause },
    );
  }
  const sealedAt = header.readBigUInt64LE(12);
  if (sealedAt !== counter) {
    throw new SnapshotError(
      'E_SNAPSHOT_STALE',
      `the snapshot is of counter value ${sealedAt}, the platform stands at ${counter}`,
      'restore the newest snapshot, or start the partition afresh',
    );
  }
  return snapshot;
}

const bodyKey = (key: Uint8Array, salt: Uint8Array) => Buffer.from(hkdfSync('sha256', key, salt, INFO, KEY_SIZE));
