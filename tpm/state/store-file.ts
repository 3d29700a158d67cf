/**
 * The durable store: one encrypted file of a snapshot and the journal after it (`store-container.ts`). A commit is in
 * memory at once and acknowledged when it is on the medium. Commits that arrive while a sync runs share the next one.
 */
import { closeSync, constants, fdatasync, fdatasyncSync, fsyncSync, renameSync, unlinkSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { RecordChange, RecordStore } from './store.ts';
import { Container, encodeBatch, HEADER_SIZE, type MasterKey, newMasterKey, replay } from './store-container.ts';
import { StoreError } from './store-error.ts';
import { errnoOf, openDirectory, openPrivate, prepareDirectory, readPrivate } from './store-files.ts';
import type { KeySource } from './store-key.ts';
import { type DirectoryLock, lockDirectory } from './store-lock.ts';

/** What an acknowledged change survives: loss of power (fdatasync), or the end of this process only. */
export type Durability = 'power' | 'process';

/** The calls a medium can fail in; tests replace them. */
export interface Medium {
  write(fd: number, bytes: Uint8Array, position: number): void;
  sync(fd: number): Promise<void>;
  /** `sync`, waited for by the thread. */
  syncInPlace(fd: number): void;
}

export interface FileStoreOptions {
  readonly directory: string;
  /** Default: the file `key` in the directory. */
  readonly key?: KeySource;
  readonly durability?: Durability;
  /** Version of the records' meaning. An older state goes through `migrate`; a newer one is refused. */
  readonly schema?: number;
  /** Change records of version `from` in place. What it does is durable before `open` resolves. */
  readonly migrate?: (records: Map<string, Uint8Array>, from: number) => void;
  readonly medium?: Medium;
}

const STATE = 'state';
const KEY = 'key';
/** Room made at once in the journal. */
const ROOM = 256 * 1024;
/** A journal is folded into a snapshot when it is this long, and longer than the snapshot. */
const FOLD_AT = 1024 * 1024;

interface Waiting {
  readonly bytes: Uint8Array;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class FileStore implements RecordStore {
  readonly #path: string;
  readonly #keys: MasterKey;
  readonly #schema: number;
  readonly #records: Map<string, Uint8Array>;
  readonly #lock: DirectoryLock;
  readonly #durability: Durability;
  readonly #medium: Medium;
  #container: Container;
  #fd = -1;
  #position = 0;
  #room = 0;
  #snapshotSize = 0;
  #sequence = 0;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;
  #failure: StoreError | undefined;

  private constructor(
    path: string,
    keys: MasterKey,
    records: Map<string, Uint8Array>,
    lock: DirectoryLock,
    options: FileStoreOptions,
  ) {
    this.#path = path;
    this.#keys = keys;
    this.#records = records;
    this.#lock = lock;
    this.#schema = options.schema ?? 1;
    this.#durability = options.durability ?? 'power';
    this.#medium = options.medium ?? DISK;
    this.#container = Container.create(keys.master, keys.derivation, this.#schema);
  }

  /**
   * Open a directory's state, or make an empty one where there is none. Throws `StoreError`: LOCKED names the holder;
   * damage is CORRUPT and nothing is changed; see its codes for the rest.
   */
  static async open(options: FileStoreOptions): Promise<FileStore> {
    const { directory } = options;
    prepareDirectory(directory);
    const lock = lockDirectory(directory);
    try {
      const path = join(directory, STATE);
      const source = options.key ?? { file: join(directory, KEY) };
      const bytes = readPrivate(path);
      if (bytes === undefined && options.key === undefined) refuseLostState(directory, path);
      const store =
        bytes === undefined
          ? new FileStore(path, newMasterKey(source, path), new Map(), lock, options)
          : FileStore.#recover(path, Buffer.from(bytes), source, lock, options);
      await store.#fold(); // a file of its own, with its own key, so that no nonce is ever used twice
      return store;
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  static #recover(path: string, bytes: Buffer, source: KeySource, lock: DirectoryLock, options: FileStoreOptions) {
    const { container, keys } = Container.open(bytes, path, source);
    const { records } = replay(container, bytes, path);
    migrate(records, container.schema, path, options);
    return new FileStore(path, keys, records, lock, options);
  }

  get(key: string): Uint8Array | undefined {
    return this.#records.get(key);
  }

  *keys(prefix: string): Iterable<string> {
    for (const key of this.#records.keys()) if (key.startsWith(prefix)) yield key;
  }

  commit(batch: readonly RecordChange[]): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const bytes = encodeBatch(batch);
    this.#apply(batch);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ bytes, resolve, reject });
      this.#writing ??= this.#drain();
    });
  }

  commitInPlace(batch: readonly RecordChange[]): Promise<void> | undefined {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#writing !== undefined || this.#foldDue) return this.commit(batch);
    const bytes = encodeBatch(batch);
    this.#apply(batch);
    try {
      this.#append(bytes);
      if (this.#durability === 'power') this.#medium.syncInPlace(this.#fd);
      return undefined;
    } catch (cause) {
      throw this.#fail(this.#mediumFailed(cause));
    }
  }

  /** Everything, encrypted under a key of the caller's choice: a backup, or the way to another machine. */
  export(source: KeySource): Uint8Array {
    const keys = newMasterKey(source, 'export');
    const container = Container.create(keys.master, keys.derivation, this.#schema);
    return Buffer.concat([container.header, container.seal(0, encodeBatch(entries(this.#records)))]);
  }

  /** Replace everything by an export, in one commit: all of it or nothing. Throws as `open` does. */
  async import(bytes: Uint8Array, source: KeySource, options: Pick<FileStoreOptions, 'migrate'> = {}): Promise<void> {
    const copy = Buffer.from(bytes);
    const { container } = Container.open(copy, 'import', source);
    const { records, torn } = replay(container, copy, 'import');
    if (torn) throw new StoreError('CORRUPT', 'import', 'the export is cut short');
    migrate(records, container.schema, 'import', { ...options, schema: this.#schema });
    const removed = [...this.#records.keys()].filter((key) => !records.has(key));
    await this.commit([...removed.map((key) => ({ key, value: undefined })), ...entries(records)]);
  }

  async close(): Promise<void> {
    await this.#writing;
    this.#fail(new StoreError('CLOSED', this.#path, 'the store is closed'));
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
    this.#keys.master.fill(0);
    this.#lock.release();
  }

  #apply(batch: readonly RecordChange[]): void {
    for (const { key, value } of batch) {
      if (value === undefined) this.#records.delete(key);
      else this.#records.set(key, value.slice());
    }
  }

  /** Write what waits, a group at a time, until nothing does. Never rejects: the waiting ones learn of a failure. */
  async #drain(): Promise<void> {
    while (this.#waiting.length > 0 && this.#failure === undefined) {
      const group = this.#waiting;
      this.#waiting = [];
      try {
        await this.#write(group);
        for (const { resolve } of group) resolve();
      } catch (cause) {
        this.#waiting = [...group, ...this.#waiting];
        this.#fail(this.#mediumFailed(cause));
      }
    }
    this.#writing = undefined;
  }

  #mediumFailed(cause: unknown): StoreError {
    return new StoreError('IO', this.#path, `the medium failed (${errnoOf(cause) ?? cause})`, cause);
  }

  #fail(error: StoreError): StoreError {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(error);
    return error;
  }

  get #foldDue(): boolean {
    return this.#position > FOLD_AT && this.#position > 2 * this.#snapshotSize;
  }

  async #write(group: readonly Waiting[]): Promise<void> {
    if (this.#foldDue) return this.#fold();
    const [first] = group;
    this.#append(group.length === 1 && first ? first.bytes : Buffer.concat(group.map(({ bytes }) => bytes)));
    if (this.#durability === 'power') await this.#medium.sync(this.#fd);
  }

  #append(plain: Uint8Array): void {
    const frame = this.#container.seal(this.#sequence, plain);
    this.#makeRoom(this.#position + frame.length);
    this.#medium.write(this.#fd, frame, this.#position);
    this.#position += frame.length;
    this.#sequence++;
  }

  /** Zeros ahead of the journal: a sync of octets inside the file need not wait for a change of its size. */
  #makeRoom(end: number): void {
    if (end <= this.#room) return;
    const room = end + ROOM;
    this.#medium.write(this.#fd, new Uint8Array(room - this.#room), this.#room);
    this.#room = room;
  }

  /** A new file of everything in memory, what waits included, takes the old one's place. */
  async #fold(): Promise<void> {
    const container = Container.create(this.#keys.master, this.#keys.derivation, this.#schema);
    const snapshot = container.seal(0, encodeBatch(entries(this.#records)));
    const aside = `${this.#path}.new`;
    removeIfThere(aside);
    const fd = openPrivate(aside, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL);
    try {
      this.#medium.write(fd, container.header, 0);
      this.#medium.write(fd, snapshot, HEADER_SIZE);
      await this.#medium.sync(fd);
      renameSync(aside, this.#path);
      syncDirectory(dirname(this.#path));
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = fd;
    this.#container = container;
    this.#sequence = 1;
    this.#position = HEADER_SIZE + snapshot.length;
    this.#snapshotSize = this.#position;
    this.#room = this.#position;
  }
}

const DISK: Medium = {
  write(fd, bytes, position) {
    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done, position + done);
  },
  sync: (fd) => new Promise((resolve, reject) => fdatasync(fd, (error) => (error ? reject(error) : resolve()))),
  syncInPlace: fdatasyncSync,
};

function* entries(records: ReadonlyMap<string, Uint8Array>): Generator<RecordChange> {
  for (const [key, value] of records) yield { key, value };
}

function migrate(
  records: Map<string, Uint8Array>,
  from: number,
  path: string,
  options: Pick<FileStoreOptions, 'schema' | 'migrate'>,
): void {
  const schema = options.schema ?? 1;
  if (from === schema) return;
  if (from > schema || options.migrate === undefined) {
    throw new StoreError('VERSION', path, `is of version ${from}, this program reads ${schema}: use a newer program`);
  }
  options.migrate(records, from);
}

/** A key without its state means that the state was lost, not that this is a new directory. */
function refuseLostState(directory: string, path: string): void {
  if (readPrivate(join(directory, KEY)) === undefined) return;
  throw new StoreError(
    'CORRUPT',
    path,
    'is missing though its key is there: restore it, or remove the key to begin anew',
  );
}

function removeIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}

function syncDirectory(directory: string): void {
  const fd = openDirectory(directory);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
