/** One client of the torture test: changes to NV and persistent objects, and what must be there after a crash. */
import { createHash } from 'node:crypto';
import type { Wire } from '../../bench/measure.ts';
import type { Random } from '../support/random.ts';
import { CC, command, EMPTY, nvPublic, open, RH, responseCode, sized, u16, u32 } from '../support/tpm-wire.ts';

/** What a client knows to be durable. */
interface Known {
  readonly data: string;
  readonly counter: bigint;
  readonly extended: string;
  readonly persistent: boolean;
}

interface Change {
  readonly bytes: Uint8Array;
  readonly after: Known;
}

/** OWNERWRITE, AUTHWRITE, OWNERREAD, AUTHREAD, NO_DA and the kind. */
const ATTRIBUTES = { ordinary: 0x02060006, counter: 0x02060016, extend: 0x02060046 };
const DATA_SIZE = 32;

export class TortureClient {
  readonly #indices: { readonly data: number; readonly counter: number; readonly extend: number };
  readonly #persistent: number;
  #known: Known = { data: '', counter: 0n, extended: '', persistent: false };
  /** The change that was sent and not answered when the power went. */
  #inFlight: Change | undefined;
  acknowledged = 0;

  constructor(number: number) {
    const base = 0x01500100 + 16 * number;
    this.#indices = { data: base, counter: base + 1, extend: base + 2 };
    this.#persistent = 0x81000100 + number;
  }

  /** Define the indices and give each a first value. */
  async setUp(wire: Wire): Promise<void> {
    const { data, counter, extend } = this.#indices;
    const define = (index: number, attributes: number, size: number) =>
      wire.send(command(CC.NV_DefineSpace, [RH.OWNER], 1, EMPTY, nvPublic(index, attributes, size)));
    open(await define(data, ATTRIBUTES.ordinary, DATA_SIZE));
    open(await define(counter, ATTRIBUTES.counter, 8));
    open(await define(extend, ATTRIBUTES.extend, 32));
    open(await wire.send(command(CC.NV_Write, [RH.OWNER, data], 1, sized(new Uint8Array(DATA_SIZE)), u16(0))));
    open(await wire.send(command(CC.NV_Increment, [RH.OWNER, counter], 1)));
    open(await wire.send(command(CC.NV_Extend, [RH.OWNER, extend], 1, sized(new Uint8Array(1)))));
    this.#known = await this.#read(wire);
  }

  /** Change things until the wire breaks. */
  async load(wire: Wire, random: Random, transient: number): Promise<void> {
    for (;;) {
      const change = this.#change(random, transient);
      this.#inFlight = change;
      const response = await wire.send(change.bytes).catch(() => undefined);
      if (!response) return;
      if (responseCode(response) !== 0)
        throw new Error(`a change was refused: 0x${responseCode(response).toString(16)}`);
      this.#known = change.after;
      this.#inFlight = undefined;
      this.acknowledged += 1;
    }
  }

  /** After the restart: every acknowledged change is there, and the one in flight wholly or not at all. */
  async verify(wire: Wire): Promise<void> {
    const found = await this.#read(wire);
    const same = (a: Known) =>
      a.data === found.data &&
      a.counter === found.counter &&
      a.extended === found.extended &&
      a.persistent === found.persistent;
    if (!same(this.#known) && !(this.#inFlight && same(this.#inFlight.after))) {
      const show = (known: Known | undefined) =>
        JSON.stringify(known, (_, value) => (typeof value === 'bigint' ? `${value}` : value));
      throw new Error(
        `state lost: found ${show(found)}, acknowledged ${show(this.#known)}, in flight ${show(this.#inFlight?.after)}`,
      );
    }
    this.#known = found;
    this.#inFlight = undefined;
  }

  #change(random: Random, transient: number): Change {
    const known = this.#known;
    const { data, counter, extend } = this.#indices;
    switch (random.below(4)) {
      case 0: {
        const value = random.bytes(DATA_SIZE);
        const bytes = command(CC.NV_Write, [RH.OWNER, data], 1, sized(value), u16(0));
        return { bytes, after: { ...known, data: hex(value) } };
      }
      case 1:
        return {
          bytes: command(CC.NV_Increment, [RH.OWNER, counter], 1),
          after: { ...known, counter: known.counter + 1n },
        };
      case 2: {
        const value = random.bytes(20);
        const digest = createHash('sha256').update(Buffer.from(known.extended, 'hex')).update(value).digest();
        const bytes = command(CC.NV_Extend, [RH.OWNER, extend], 1, sized(value));
        return { bytes, after: { ...known, extended: hex(digest) } };
      }
      default: {
        const object = known.persistent ? this.#persistent : transient;
        const bytes = command(CC.EvictControl, [RH.OWNER, object], 1, u32(this.#persistent));
        return { bytes, after: { ...known, persistent: !known.persistent } };
      }
    }
  }

  async #read(wire: Wire): Promise<Known> {
    const nv = async (index: number, size: number) =>
      open(await wire.send(command(CC.NV_Read, [RH.OWNER, index], 1, u16(size), u16(0)))).parameters.sized();
    const { data, counter, extend } = this.#indices;
    const present = responseCode(await wire.send(command(CC.ReadPublic, [this.#persistent], 0)));
    return {
      data: hex(await nv(data, DATA_SIZE)),
      counter: BigInt(`0x${hex(await nv(counter, 8))}`),
      extended: hex(await nv(extend, 32)),
      persistent: present === 0,
    };
  }
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
