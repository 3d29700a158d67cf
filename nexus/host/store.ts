/**
 * What the host keeps on disk: blobs of its guests, their counters, the sealed root secret, the platform's enrolment.
 * The same kind of store as the TPM's: every change is an atomic batch that is durable when its promise resolves.
 */
import { createHash } from 'node:crypto';
import type { RecordChange, RecordStore } from '../../tpm/index.ts';
import type { LaunchPolicy } from '../launch/index.ts';

const BLOB = 'blob/';
const COUNTERS = 'counters';
const SUSPENDED = 'suspended/';
const ROOT_SECRET = 'root-secret';
const ROOT_BUILD = 'root-build';
const POLICY = 'launch-policy';

/** The TPM object that holds the root secret: its public and private area, as TPM2_Load takes them. */
export interface SealedRoot {
  readonly publicArea: Uint8Array;
  readonly privateArea: Uint8Array;
  /**
   * Under a policy with a release key: the branch of the build that it was sealed by (a policy digest, 32 bytes), and
   * that build's security version. Nothing trusts them: with others, the TPM does not open the object.
   */
  readonly build?: { readonly branch: Uint8Array; readonly svn: number };
}

const BRANCH_SIZE = 32;

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

  /** Whether a partition waits to be restored. The root may lie here: what a snapshot opens to is not decided by it. */
  suspended(name: string): boolean {
    return this.records.get(SUSPENDED + name) !== undefined;
  }

  setSuspended(name: string, suspended: boolean): Promise<void> {
    return this.records.commit([{ key: SUSPENDED + name, value: suspended ? new Uint8Array() : undefined }]);
  }

  sealedRoot(): SealedRoot | undefined {
    const record = this.records.get(ROOT_SECRET);
    if (record === undefined) return undefined;
    const split = new DataView(record.buffer, record.byteOffset, record.byteLength).getUint32(0);
    const build = this.records.get(ROOT_BUILD);
    return {
      publicArea: record.slice(4, 4 + split),
      privateArea: record.slice(4 + split),
      ...(build && { build: { branch: build.slice(0, BRANCH_SIZE), svn: build[BRANCH_SIZE] ?? 0 } }),
    };
  }

  /** The root secret, the launch policy that it is sealed under, and the counters of a new state, in one step. */
  putSealedRoot(root: SealedRoot, policy: LaunchPolicy, counters: Uint8Array): Promise<void> {
    return this.records.commit([
      ...rootRecords(root),
      { key: POLICY, value: Uint8Array.from(Buffer.from(JSON.stringify(policy))) },
      { key: COUNTERS, value: counters },
    ]);
  }

  /** The root secret sealed anew, in place of what was there, in one step. */
  replaceSealedRoot(root: SealedRoot): Promise<void> {
    return this.records.commit(rootRecords(root));
  }

  /** The launch policy of this state; undefined before its first launch. A wrong one opens nothing. */
  launchPolicy(): LaunchPolicy | undefined {
    const record = this.records.get(POLICY);
    return record === undefined ? undefined : (JSON.parse(Buffer.from(record).toString()) as LaunchPolicy);
  }

  /** The record of all counters of partitions (`Counters`). */
  counters(): Uint8Array | undefined {
    return this.records.get(COUNTERS);
  }

  putCounters(record: Uint8Array): Promise<void> {
    return this.put(COUNTERS, record);
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

function rootRecords({ publicArea, privateArea, build }: SealedRoot): RecordChange[] {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(publicArea.length);
  const branch = build && Uint8Array.from([...build.branch, build.svn]);
  return [
    { key: ROOT_SECRET, value: Uint8Array.from(Buffer.concat([length, publicArea, privateArea])) },
    { key: ROOT_BUILD, value: branch },
  ];
}
