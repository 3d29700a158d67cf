/**
 * What the host keeps on disk: blobs of its guests, their counters, the sealed root secret, the platform's enrolment.
 * The same kind of store as the TPM's: every change is an atomic batch that is durable when its promise resolves.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { RecordStore } from '../../tpm/index.ts';
import type { LaunchPolicy } from '../launch/index.ts';
import { HostError } from './errors.ts';

const BLOB = 'blob/';
const COUNTER = 'counter/';
const ROOT_SECRET = 'root-secret';
const POLICY = 'launch-policy';
const TAG_SIZE = 32;

/** The TPM object that holds the root secret: its public and private area, as TPM2_Load takes them. */
export interface SealedRoot {
  readonly publicArea: Uint8Array;
  readonly privateArea: Uint8Array;
}

export class HostStore {
  private readonly records: RecordStore;

  constructor(records: RecordStore) {
    this.records = records;
  }

  blobNames(): string[] {
    return this.names(BLOB).map((record) => record.slice(BLOB.length));
  }

  blob(name: string): Uint8Array | undefined {
    return this.records.get(BLOB + name);
  }

  putBlob(name: string, blob: Uint8Array): Promise<void> {
    return this.put(BLOB + name, blob);
  }

  /** All blobs: name and SHA-256 (hexadecimal). */
  listBlobs(): { readonly name: string; readonly sha256: string }[] {
    return this.blobNames().map((name) => {
      const sha256 = createHash('sha256')
        .update(this.blob(name) ?? new Uint8Array())
        .digest('hex');
      return { name, sha256 };
    });
  }

  sealedRoot(): SealedRoot | undefined {
    const record = this.records.get(ROOT_SECRET);
    if (record === undefined) return undefined;
    const split = new DataView(record.buffer, record.byteOffset, record.byteLength).getUint32(0);
    return { publicArea: record.slice(4, 4 + split), privateArea: record.slice(4 + split) };
  }

  /** The root secret and the launch policy that it is sealed under, in one step. */
  putSealedRoot(root: SealedRoot, policy: LaunchPolicy): Promise<void> {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(root.publicArea.length);
    return this.records.commit([
      { key: ROOT_SECRET, value: Uint8Array.from(Buffer.concat([length, root.publicArea, root.privateArea])) },
      { key: POLICY, value: Uint8Array.from(Buffer.from(JSON.stringify(policy))) },
    ]);
  }

  /** The launch policy of this state; undefined before its first launch. A wrong one opens nothing. */
  launchPolicy(): LaunchPolicy | undefined {
    const record = this.records.get(POLICY);
    return record === undefined ? undefined : (JSON.parse(Buffer.from(record).toString()) as LaunchPolicy);
  }

  /**
   * Value of counter `index` of `owner` (32 bytes); 0 when it was never incremented. The record carries a tag under
   * `key`, a key of the nexus, so that a root that edits the file is noticed. Throws HostError E_STATE_CORRUPT.
   */
  counter(owner: Uint8Array, index: number, key: Uint8Array): bigint {
    const name = counterName(owner, index);
    const record = this.records.get(name);
    if (record === undefined) return 0n;
    const value = record.subarray(0, 8);
    if (record.length !== 8 + TAG_SIZE || !timingSafeEqual(tag(key, name, value), record.subarray(8))) {
      throw new HostError(
        'E_STATE_CORRUPT',
        `the record of counter ${index} was changed outside the nexus`,
        'restore the state directory from where it was intact; nothing is reset silently',
      );
    }
    return Buffer.from(value).readBigUInt64BE();
  }

  async setCounter(owner: Uint8Array, index: number, key: Uint8Array, value: bigint): Promise<void> {
    const name = counterName(owner, index);
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(value);
    await this.put(name, Buffer.concat([bytes, tag(key, name, bytes)]));
  }

  close(): Promise<void> {
    return this.records.close();
  }

  private names(prefix: string): string[] {
    return [...this.records.keys(prefix)].sort();
  }

  private put(key: string, value: Uint8Array): Promise<void> {
    return this.records.commit([{ key, value: Uint8Array.from(value) }]);
  }
}

const counterName = (owner: Uint8Array, index: number) => `${COUNTER}${Buffer.from(owner).toString('hex')}/${index}`;

const tag = (key: Uint8Array, name: string, value: Uint8Array) =>
  createHmac('sha256', key).update(name).update(Buffer.of(0)).update(value).digest();
