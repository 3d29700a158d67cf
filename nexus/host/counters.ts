/**
 * Counters of partitions. All of them are one record of the store, with a version and a tag of the nexus; the version
 * is held against a counter of the platform TPM, so that a root that edits the record, or puts an older one back, is
 * noticed.
 *
 * A record is written before the TPM's counter follows: after a crash in between it is one ahead, which is accepted.
 * Every opening writes a new version first. Otherwise a root that stops the host at that instant would hold a record
 * that comes to be as new as one that was acknowledged after it.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { HostError } from './errors.ts';
import type { NvCounter } from './nv-counter.ts';
import type { HostStore } from './store.ts';
import { Turn } from './turn.ts';

const OWNER_SIZE = 32;
const ENTRY_SIZE = OWNER_SIZE + 4 + 8;
const VERSION_SIZE = 8;
const TAG_SIZE = 32;
const WAY_OUT = 'restore the state directory as a whole from where it was intact; nothing is reset silently';

/** Owner and index -> value. */
type Values = ReadonlyMap<string, bigint>;

export class Counters {
  private readonly store: HostStore;
  private readonly key: Uint8Array;
  private readonly freshness: Pick<NvCounter, 'read' | 'increment'>;
  private version: bigint;
  private values: Values;
  private failed = false;
  /** Increments, one after another. */
  private readonly inTurn = new Turn();

  private constructor(
    store: HostStore,
    key: Uint8Array,
    freshness: Counters['freshness'],
    version: bigint,
    values: Values,
  ) {
    this.store = store;
    this.key = key;
    this.freshness = freshness;
    this.version = version;
    this.values = values;
  }

  /** The record of a new state, all counters 0; it is stored together with the root secret. */
  static async first(key: Uint8Array, freshness: Counters['freshness']): Promise<Uint8Array> {
    await freshness.increment();
    return encodeRecord(key, await freshness.read(), new Map());
  }

  /** Throws HostError E_STATE_CORRUPT for a record that is missing or changed, E_STATE_ROLLED_BACK for an old one. */
  static async open(store: HostStore, key: Uint8Array, freshness: Counters['freshness']): Promise<Counters> {
    const { version, values } = decodeRecord(key, store.counters());
    const known = await freshness.read();
    if (version !== known && version !== known + 1n) {
      throw new HostError(
        'E_STATE_ROLLED_BACK',
        `the counters in the state directory are of version ${version}, the platform TPM has seen ${known}`,
        WAY_OUT,
      );
    }
    if (version !== known) await freshness.increment();
    const counters = new Counters(store, key, freshness, version, values);
    await counters.write(values);
    return counters;
  }

  /** Value of counter `index` of `owner` (32 bytes); 0 when it was never incremented. */
  value(owner: Uint8Array, index: number): bigint {
    return this.values.get(nameOf(owner, index)) ?? 0n;
  }

  /** Its value after one increment, which is durable and beyond a rollback when this resolves. */
  increment(owner: Uint8Array, index: number): Promise<bigint> {
    return this.inTurn.take(async () => {
      const value = this.value(owner, index) + 1n;
      await this.write(new Map(this.values).set(nameOf(owner, index), value));
      return value;
    });
  }

  private async write(values: Values): Promise<void> {
    // Two records of one version must never be: after a failure it is not known which the disk and the TPM have.
    if (this.failed) throw new HostError('E_PLATFORM', 'an earlier change of a counter failed', 'start the host again');
    this.failed = true;
    const version = this.version + 1n;
    await this.store.putCounters(encodeRecord(this.key, version, values));
    await this.freshness.increment();
    this.failed = false;
    this.version = version;
    this.values = values;
  }
}

const nameOf = (owner: Uint8Array, index: number): string => {
  if (owner.length !== OWNER_SIZE) throw new RangeError(`counter owner of ${owner.length} bytes`);
  const name = Buffer.alloc(OWNER_SIZE + 4);
  name.set(owner);
  name.writeUInt32BE(index, OWNER_SIZE);
  return name.toString('hex');
};

/** u64 version; per counter owner (32 bytes), u32 index, u64 value; HMAC-SHA256. Big-endian. */
function encodeRecord(key: Uint8Array, version: bigint, values: Values): Uint8Array {
  const body = Buffer.alloc(VERSION_SIZE + ENTRY_SIZE * values.size);
  body.writeBigUInt64BE(version);
  let at = VERSION_SIZE;
  for (const [name, value] of values) {
    body.write(name, at, 'hex');
    body.writeBigUInt64BE(value, at + OWNER_SIZE + 4);
    at += ENTRY_SIZE;
  }
  return Uint8Array.from(Buffer.concat([body, tag(key, body)]));
}

function decodeRecord(key: Uint8Array, record: Uint8Array | undefined): { version: bigint; values: Values } {
  const length = (record?.length ?? 0) - TAG_SIZE;
  const body = Buffer.from(record?.subarray(0, Math.max(length, 0)) ?? []);
  const whole = length >= VERSION_SIZE && (length - VERSION_SIZE) % ENTRY_SIZE === 0;
  if (record === undefined || !whole || !timingSafeEqual(tag(key, body), record.subarray(length))) {
    const what = record === undefined ? 'is missing' : 'was changed outside the nexus';
    throw new HostError('E_STATE_CORRUPT', `the record of the partitions' counters ${what}`, WAY_OUT);
  }
  const values = new Map<string, bigint>();
  for (let at = VERSION_SIZE; at < length; at += ENTRY_SIZE) {
    const value = at + OWNER_SIZE + 4;
    values.set(body.toString('hex', at, value), body.readBigUInt64BE(value));
  }
  return { version: body.readBigUInt64BE(), values };
}

const tag = (key: Uint8Array, body: Uint8Array) =>
  createHmac('sha256', key).update('nexus-tcb counters v2\0').update(body).digest();
