/**
 * The file that a state is kept in: a header, then frames. Frame 0 holds every record as of the file's making (the
 * snapshot), each later one a group of batches that became durable together (the journal).
 *
 *   header   "NXSTATE" 01 | schema u16 | logN u8 | 00 | key salt 16 | file salt 32 | key check 8 | CRC-32
 *   frame    "NXFR" | length u32 | sequence u64 | CRC-32 of these | AES-256-GCM(batches) with its tag
 *
 * Integers are big-endian. Each file has its own key, by its salt; the nonce is the sequence number; header and frame
 * header are authenticated with the frame. After the last frame the file is zero (room made in advance, so that a sync
 * need not wait for the file's size). docs/state-format.md is the reference.
 */
import { createCipheriv, createDecipheriv, randomBytes, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { RecordChange } from './store.ts';
import { StoreError } from './store-error.ts';
import { type KeyDerivation, type KeySource, masterKey, newDerivation, subkey } from './store-key.ts';

const MAGIC = Buffer.from('NXSTATE\x01', 'latin1');
const FRAME_MAGIC = Buffer.from('NXFR', 'latin1');
export const HEADER_SIZE = 72;
const FRAME_HEADER = 20;
const TAG = 16;
/** What a disk writes at once: a torn frame has a missing end or a sector of zeros. */
const SECTOR = 512;

/** Encrypts and decrypts the frames of one file. */
export class Container {
  readonly header: Uint8Array;
  readonly schema: number;
  readonly #key: Uint8Array;

  private constructor(header: Uint8Array, schema: number, key: Uint8Array) {
    this.header = header;
    this.schema = schema;
    this.#key = key;
  }

  /** A new file under a master key. */
  static create(master: Uint8Array, derivation: KeyDerivation, schema: number): Container {
    const header = Buffer.alloc(HEADER_SIZE);
    MAGIC.copy(header);
    header.writeUInt16BE(schema, 8);
    header.writeUInt8(derivation.logN, 10);
    header.set(derivation.salt, 12);
    randomBytes(32).copy(header, 28);
    header.set(keyCheck(master, header), 60);
    header.writeUInt32BE(crc32(header.subarray(0, 68)), 68);
    return new Container(header, schema, fileKey(master, header));
  }

  /** The file of these bytes. Throws CORRUPT, WRONG_KEY, or as `masterKey`. */
  static open(bytes: Buffer, path: string, source: KeySource): { container: Container; keys: MasterKey } {
    const header = bytes.subarray(0, HEADER_SIZE);
    if (header.length < HEADER_SIZE || !header.subarray(0, 8).equals(MAGIC)) {
      throw new StoreError('CORRUPT', path, 'is not a state file of this program, or its start is lost');
    }
    if (crc32(header.subarray(0, 68)) !== header.readUInt32BE(68)) {
      throw new StoreError('CORRUPT', path, 'the header is damaged (checksum): restore an export');
    }
    const derivation = { logN: header.readUInt8(10), salt: Uint8Array.from(header.subarray(12, 28)) };
    const master = masterKey(source, derivation, false, path);
    if (!timingSafeEqual(keyCheck(master, header), header.subarray(60, 68))) {
      throw new StoreError('WRONG_KEY', path, 'the key or passphrase is not the one this state was encrypted under');
    }
    const own = Uint8Array.from(header);
    const container = new Container(own, header.readUInt16BE(8), fileKey(master, header));
    return { container, keys: { master, derivation } };
  }

  /** One frame. */
  seal(sequence: number, plain: Uint8Array): Buffer {
    const frame = Buffer.alloc(FRAME_HEADER + plain.length + TAG);
    FRAME_MAGIC.copy(frame);
    frame.writeUInt32BE(plain.length + TAG, 4);
    frame.writeBigUInt64BE(BigInt(sequence), 8);
    frame.writeUInt32BE(crc32(frame.subarray(0, 16)), 16);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce(sequence));
    cipher.setAAD(Buffer.concat([this.header, frame.subarray(0, FRAME_HEADER)]));
    cipher.update(plain).copy(frame, FRAME_HEADER);
    cipher.final();
    cipher.getAuthTag().copy(frame, FRAME_HEADER + plain.length);
    return frame;
  }

  /** The batches of the frame at `at`, and where the next one starts; undefined when it is not whole and true. */
  unseal(bytes: Buffer, at: number, sequence: number): { plain: Buffer; end: number } | undefined {
    if (sequenceAt(bytes, at) !== BigInt(sequence)) return undefined;
    const end = at + FRAME_HEADER + bytes.readUInt32BE(at + 4);
    if (end > bytes.length || end < at + FRAME_HEADER + TAG) return undefined;
    const decipher = createDecipheriv('aes-256-gcm', this.#key, nonce(sequence));
    decipher.setAAD(Buffer.concat([this.header, bytes.subarray(at, at + FRAME_HEADER)]));
    decipher.setAuthTag(bytes.subarray(end - TAG, end));
    const plain = decipher.update(bytes.subarray(at + FRAME_HEADER, end - TAG));
    try {
      decipher.final();
    } catch {
      return undefined; // the tag is wrong: the caller decides whether that is a torn write or damage
    }
    return { plain, end };
  }
}

export interface MasterKey {
  readonly master: Uint8Array;
  readonly derivation: KeyDerivation;
}

export function newMasterKey(source: KeySource, path: string): MasterKey {
  const derivation = newDerivation(source);
  return { derivation, master: masterKey(source, derivation, true, path) };
}

const keyCheck = (master: Uint8Array, header: Uint8Array): Uint8Array =>
  subkey(master, 'nexus-tcb state check', header.subarray(8, 60)).subarray(0, 8);
const fileKey = (master: Uint8Array, header: Uint8Array): Uint8Array =>
  subkey(master, 'nexus-tcb state file', header.subarray(8, 60));

function nonce(sequence: number): Uint8Array {
  const bytes = Buffer.alloc(12);
  bytes.writeBigUInt64BE(BigInt(sequence), 4);
  return bytes;
}

/** The sequence number in a frame header that is whole; undefined when there is none. */
function sequenceAt(bytes: Buffer, at: number): bigint | undefined {
  if (at + FRAME_HEADER > bytes.length || !bytes.subarray(at, at + 4).equals(FRAME_MAGIC)) return undefined;
  if (crc32(bytes.subarray(at, at + 16)) !== bytes.readUInt32BE(at + 16)) return undefined;
  return bytes.readBigUInt64BE(at + 8);
}

/** What a state file holds. */
export interface Replay {
  readonly records: Map<string, Uint8Array>;
  /** Where the next frame goes, and its number. */
  readonly end: number;
  readonly sequence: number;
  /** The last write was interrupted, and dropped: nobody was told that it succeeded. */
  readonly torn: boolean;
}

/** Read every frame. Throws CORRUPT, naming the frame, where anything but an interrupted last write is wrong. */
export function replay(container: Container, bytes: Buffer, path: string): Replay {
  const records = new Map<string, Uint8Array>();
  let at = HEADER_SIZE;
  let sequence = 0;
  for (;;) {
    const frame = container.unseal(bytes, at, sequence);
    if (frame === undefined) break;
    for (const { key, value } of decodeBatch(frame.plain)) {
      if (value === undefined) records.delete(key);
      else records.set(key, value);
    }
    at = frame.end;
    sequence++;
  }
  const rest = bytes.subarray(at);
  const torn = rest.some((octet) => octet !== 0);
  if (sequence === 0 || (torn && !isTornWrite(rest, at, sequence))) {
    throw new StoreError(
      'CORRUPT',
      path,
      `frame ${sequence} at offset ${at} is damaged: restore an export or a backup`,
    );
  }
  return { records, end: at, sequence, torn };
}

/**
 * Whether the bytes after the last good frame can be one write that was cut short. Frames are synced one after another,
 * so a later frame means damage; and a cut leaves out the end of the frame or whole sectors, which then read as zeros.
 */
function isTornWrite(rest: Buffer, at: number, sequence: number): boolean {
  for (let i = rest.indexOf(FRAME_MAGIC); i >= 0; i = rest.indexOf(FRAME_MAGIC, i + 1)) {
    const found = sequenceAt(rest, i);
    if (found !== undefined && found > BigInt(sequence)) return false;
  }
  const header = sequenceAt(rest, 0) !== undefined;
  if (!header && isZero(rest.subarray(FRAME_HEADER))) return true;
  const length = header ? FRAME_HEADER + rest.readUInt32BE(4) : FRAME_HEADER;
  if (length > rest.length) return true;
  const frame = rest.subarray(0, length);
  return isZero(frame.subarray(-8)) || hasUnwrittenSector(frame, at);
}

const isZero = (bytes: Uint8Array): boolean => bytes.every((octet) => octet === 0);

/** Whether all of the frame's octets in some sector are zero; `at` is the frame's place in the file. */
function hasUnwrittenSector(frame: Buffer, at: number): boolean {
  for (let from = 0; from < frame.length; ) {
    const to = from + SECTOR - ((at + from) % SECTOR);
    if (isZero(frame.subarray(from, to))) return true;
    from = to;
  }
  return false;
}

/** Changes as octets: key length u16, key, value length u32 (ffffffff removes), value. */
export function encodeBatch(changes: Iterable<RecordChange>): Buffer {
  const parts: Uint8Array[] = [];
  for (const { key, value } of changes) {
    const name = Buffer.from(key);
    const head = Buffer.alloc(2 + name.length + 4);
    head.writeUInt16BE(name.length);
    name.copy(head, 2);
    head.writeUInt32BE(value === undefined ? REMOVED : value.length, 2 + name.length);
    parts.push(head);
    if (value !== undefined) parts.push(value);
  }
  return Buffer.concat(parts);
}

const REMOVED = 0xffffffff;

/** The octets are authenticated: they are what `encodeBatch` made. */
function* decodeBatch(bytes: Buffer): Generator<RecordChange> {
  for (let at = 0; at < bytes.length; ) {
    const nameEnd = at + 2 + bytes.readUInt16BE(at);
    const key = bytes.toString('utf8', at + 2, nameEnd);
    const size = bytes.readUInt32BE(nameEnd);
    at = nameEnd + 4;
    if (size === REMOVED) {
      yield { key, value: undefined };
    } else {
      yield { key, value: Uint8Array.from(bytes.subarray(at, at + size)) };
      at += size;
    }
  }
}
