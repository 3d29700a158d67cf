/** The TPM: state, clock, randomness, cryptography and a durable store, behind `TpmDevice`. */

import { properties } from './commands/capability.ts';
import type { AnyCommand } from './commands/command.ts';
import type { Context, RecordName } from './commands/context.ts';
import { dispatch, errorResponse } from './commands/dispatch.ts';
import { isNvHandle } from './commands/handles.ts';
import { allCommands } from './commands/index.ts';
import { takeBackShutdown } from './commands/startup.ts';
import { defaultCrypto } from './crypto/default.ts';
import { HmacDrbg, PooledRandom } from './crypto/drbg.ts';
import type { CryptoProvider, HashState } from './crypto/provider.ts';
import type { Locality, TpmDevice } from './device.ts';
import { TpmClock } from './state/clock.ts';
import { isDrtmPcr, PCR_COUNT } from './state/pcr.ts';
import { encodeRecord, FIXED_RECORDS, isManufactured, loadState, newSecrets } from './state/persist.ts';
import { applyVolatile, checkVolatile, encodePermanent, encodeVolatile, permanentChanges } from './state/portable.ts';
import { PROFILES, type Profile } from './state/profile.ts';
import { encodeSaved } from './state/saved.ts';
import { TpmState } from './state/state.ts';
import { MemoryStore, type RecordChange, type RecordStore } from './state/store.ts';
import { TPM_PT, TPM_RC, TPM_RH } from './structures/constants.ts';

/** What a TPM is given. All of it has a default. */
export interface TpmOptions {
  /** Where durable state lives. Default: memory, gone with the object. An empty store is manufactured. */
  readonly store?: RecordStore;
  /** Milliseconds that never go back. Default: `performance.now`. */
  readonly clock?: () => number;
  /** Entropy: `size` octets. Default: the provider's. A fixed one makes a deterministic TPM, for tests. */
  readonly entropy?: (size: number) => Uint8Array;
  /** Default: OpenSSL on Node, noble elsewhere. */
  readonly crypto?: CryptoProvider;
  readonly profile?: Profile;
  /** Told of a fault inside this program that a command met; the client gets TPM_RC_FAILURE. */
  readonly onFault?: (fault: unknown) => void;
}

const commands: ReadonlyMap<number, AnyCommand> = new Map(
  allCommands.map((command) => [command.code, command as unknown as AnyCommand]), // handlers differ in argument types
);

/** A TPM 2.0. Make one with `Tpm.create`; it is powered off until `powerOn`. */
/** A state and a profile that do not go together. */
export class ProfileError extends Error {
  override readonly name = 'ProfileError';
  readonly code = 'E_STATE_PROFILE';
  readonly remedy = 'use the profile that the state was made under, or another state';

  constructor(algorithm: number) {
    super(
      `the state has a PCR bank of an algorithm (0x${algorithm.toString(16).padStart(4, '0')}) that the profile switches off`,
    );
  }
}

export class Tpm implements TpmDevice {
  readonly #store: RecordStore;
  readonly #options: Required<Pick<TpmOptions, 'clock' | 'entropy' | 'profile' | 'onFault'>>;
  readonly #crypto: CryptoProvider;
  readonly #dirty = new Set<RecordName>();
  #context: Context;
  #powered = false;
  #failed = false;
  /** The last commit that is under way. */
  #pending: Promise<void> | undefined;
  #hash: { alg: number; state: HashState }[] | undefined;
  #established = false;
  /** Volatile state that the next `powerOn` continues from. */
  #volatile: Uint8Array | undefined;

  private constructor(store: RecordStore, crypto: CryptoProvider, options: TpmOptions) {
    this.#store = store;
    this.#crypto = crypto;
    this.#options = {
      clock: options.clock ?? (() => performance.now()),
      entropy: options.entropy ?? ((size) => crypto.random(size)),
      profile: options.profile ?? PROFILES['pc-client'],
      onFault: options.onFault ?? (() => {}),
    };
    this.#context = this.#newContext();
  }

  /**
   * Open the TPM in a store, manufacturing it (seeds, proofs) if the store is empty. Throws `ProfileError` for a state
   * with PCR banks of algorithms that the profile switches off.
   */
  static async create(options: TpmOptions = {}): Promise<Tpm> {
    const store = options.store ?? new MemoryStore();
    const tpm = new Tpm(store, options.crypto ?? (await defaultCrypto()), options);
    if (!isManufactured(store)) await tpm.#manufacture();
    const { state } = tpm.#newContext();
    loadState(state, store);
    const off = [...state.pcr.banks.keys()].find((alg) => tpm.profile.disabledAlgorithms.has(alg));
    if (off !== undefined) throw new ProfileError(off);
    return tpm;
  }

  get profile(): Profile {
    return this.#options.profile;
  }

  /** What this TPM is, in the words of swtpm's CMD_GET_INFO. */
  get info(): Readonly<Record<string, unknown>> {
    const { FAMILY_INDICATOR, LEVEL, REVISION, MANUFACTURER, FIRMWARE_VERSION_1, VENDOR_STRING_1 } = TPM_PT;
    const fixed = new Map(properties(this.#context).map(({ property, value }) => [property, value]));
    const value = (property: number): number => fixed.get(property) ?? 0;
    const id = (property: number): string => `id:${value(property).toString(16).toUpperCase().padStart(8, '0')}`;
    const text = (first: number, words: number): string =>
      Array.from({ length: words * 4 }, (_, i) => (value(first + (i >> 2)) >>> (24 - 8 * (i & 3))) & 0xff)
        .filter((octet) => octet !== 0)
        .map((octet) => String.fromCharCode(octet))
        .join('');
    return {
      TPMSpecification: { family: text(FAMILY_INDICATOR, 1), level: value(LEVEL), revision: value(REVISION) },
      TPMAttributes: {
        manufacturer: id(MANUFACTURER),
        version: id(FIRMWARE_VERSION_1),
        model: text(VENDOR_STRING_1, 4),
      },
    };
  }

  #newContext(): Context {
    const { profile, clock, entropy } = this.#options;
    const state = new TpmState(this.#crypto, profile);
    return {
      crypto: this.#crypto,
      profile,
      state,
      random: new PooledRandom(this.#crypto, entropy(64)),
      clock: new TpmClock(clock, state),
      locality: 0,
      physicalPresence: false,
      started: false,
      startupLocality: 0,
      savedState: undefined,
      hCrtm: undefined,
      objectContexts: 0n,
      command: commands.values().next().value!, // there are commands
      sessions: [],
      markDurable: (record) => this.#dirty.add(record),
      commands,
    };
  }

  async #manufacture(): Promise<void> {
    const { state } = this.#context;
    const random = new HmacDrbg(this.#crypto, this.#options.entropy(64));
    for (const handle of [TPM_RH.OWNER, TPM_RH.ENDORSEMENT, TPM_RH.PLATFORM] as const)
      newSecrets(state.hierarchies[handle], (size) => random.bytes(size));
    for (const record of FIXED_RECORDS) this.#dirty.add(record);
    await this.#commit(false);
  }

  powerOn(): void {
    if (this.#powered) this.powerOff();
    const presence = this.#context.physicalPresence;
    this.#context = this.#newContext();
    this.#context.physicalPresence = presence;
    const { clock, saved } = loadState(this.#context.state, this.#store);
    this.#context.clock.powerOn(clock);
    this.#context.savedState = saved;
    this.#powered = true;
    this.#failed = false;
    this.#established = false;
    if (this.#volatile !== undefined) applyVolatile(this.#context, this.#volatile);
    this.#volatile = undefined;
  }

  powerOff(): void {
    this.#powered = false;
    this.#hash = undefined;
    this.#dirty.clear();
  }

  /** Everything that survives power loss, in the clear. */
  exportPermanent(): Uint8Array {
    return encodePermanent(this.#crypto, this.#store);
  }

  /** Everything that power loss takes, in the clear; empty while off. */
  exportVolatile(): Uint8Array {
    return this.#powered ? encodeVolatile(this.#context) : new Uint8Array(0);
  }

  /**
   * Replace the state while powered off; durable when it resolves. Volatile state is what the next `powerOn` continues
   * from. Throws `StateFormatError`, and then nothing has changed.
   */
  async restore(state: { readonly permanent?: Uint8Array; readonly volatile?: Uint8Array }): Promise<void> {
    if (this.#powered) throw new Error('restore needs a TPM that is powered off');
    if (state.volatile !== undefined) checkVolatile(this.#crypto, state.volatile);
    if (state.permanent !== undefined)
      await this.#store.commit(permanentChanges(this.#crypto, this.profile, this.#store, state.permanent));
    this.#volatile = state.volatile;
  }

  setPhysicalPresence(on: boolean): void {
    this.#context.physicalPresence = on;
  }

  execute(command: Uint8Array, locality: Locality = 0): Promise<Uint8Array> {
    return Promise.resolve(this.answer(command, locality, false));
  }

  /**
   * As `execute`, but a response that waits for nothing is returned as it is. `alone`: nobody else needs this thread, so
   * what must be durable is waited for in place where the store can.
   */
  answer(command: Uint8Array, locality: Locality, alone: boolean): Uint8Array | Promise<Uint8Array> {
    if (!this.#powered || this.#failed) return errorResponse(TPM_RC.FAILURE);
    const context = this.#context;
    context.locality = locality;
    let response: Uint8Array;
    try {
      response = dispatch(context, command);
      if (succeeded(response)) takeBackShutdown(context);
    } catch (fault) {
      this.#options.onFault(fault);
      response = errorResponse(TPM_RC.FAILURE);
    }
    if (context.started && context.clock.isDue) this.#dirty.add('clock');
    if (this.#dirty.size > 0) return this.#durably(response, alone);
    // What a command says about NV must not be taken back by a crash: it waits for changes under way.
    if (this.#pending !== undefined && touchesNv(command)) return this.#after(this.#pending, response);
    return response;
  }

  #durably(response: Uint8Array, alone: boolean): Uint8Array | Promise<Uint8Array> {
    try {
      const commit = this.#commit(alone);
      return commit === undefined ? response : this.#after(commit, response);
    } catch (fault) {
      return this.#fail(fault);
    }
  }

  async #after(commit: Promise<void>, response: Uint8Array): Promise<Uint8Array> {
    try {
      await commit;
      return response;
    } catch (fault) {
      return this.#fail(fault);
    }
  }

  /** What is in memory is ahead of what is on disk: no more answers until the power is cycled. */
  #fail(fault: unknown): Uint8Array {
    this.#failed = true;
    this.#options.onFault(fault);
    return errorResponse(TPM_RC.FAILURE);
  }

  /** The records that the command changed, as they are now. */
  #takeDirty(): RecordChange[] {
    const { state, clock, startupLocality } = this.#context;
    const now = this.#powered ? clock.clock : 0n;
    const batch = [...this.#dirty].map((key) => ({
      key,
      value: encodeRecord(state, key, now, this.#powered ? clock.time : 0n, () => encodeSaved(state, startupLocality)),
    }));
    if (this.#dirty.has('clock')) clock.durable = now;
    this.#dirty.clear();
    return batch;
  }

  /** Make what changed durable; undefined: it is. */
  #commit(inPlace: boolean): Promise<void> | undefined {
    const store = this.#store;
    const batch = this.#takeDirty();
    const commit = inPlace && store.commitInPlace ? store.commitInPlace(batch) : store.commit(batch);
    if (commit === undefined) return undefined;
    this.#pending = commit;
    const settle = (): void => {
      if (this.#pending === commit) this.#pending = undefined;
    };
    commit.then(settle, settle);
    return commit;
  }

  hashStart(): void {
    if (!this.#powered) return;
    this.#established = true;
    const { state, started } = this.#context;
    this.#hash = [...state.pcr.banks.keys()].map((alg) => ({ alg, state: this.#crypto.hashStart(alg) }));
    if (!started) return;
    for (let pcr = 0; pcr < PCR_COUNT; pcr++) if (isDrtmPcr(pcr)) state.pcr.set(pcr, 0);
  }

  hashData(data: Uint8Array): void {
    for (const { state } of this.#hash ?? []) state.update(data);
  }

  hashEnd(): void {
    if (this.#hash === undefined) return;
    const digests = this.#hash.map(({ alg, state }) => ({ alg, digest: state.digest() }));
    this.#hash = undefined;
    const context = this.#context;
    if (!context.started) context.hCrtm = digests;
    else for (const { alg, digest } of digests) context.state.pcr.extend(alg, 17, digest);
  }

  /** Commands are not interruptible here: each ends by itself, the longest (an RSA key) in well under a second. */
  cancel(): void {}

  get established(): boolean {
    return this.#established;
  }

  resetEstablished(locality: Locality): boolean {
    if (locality < 3) return false;
    this.#established = false;
    return true;
  }

  async close(): Promise<void> {
    await this.#pending?.catch(() => {}); // its own command has reported it
    this.#powered = false;
    await this.#store.close();
  }
}

/** The response code is TPM_RC_SUCCESS. */
const succeeded = (response: Uint8Array): boolean => (response[6]! | response[7]! | response[8]! | response[9]!) === 0; // every response has a header

function touchesNv(command: Uint8Array): boolean {
  if (command.length < 14) return false;
  const view = new DataView(command.buffer, command.byteOffset, command.byteLength);
  const first = view.getUint32(10);
  return isNvHandle(first) || first >>> 24 === 0x81 || (command.length >= 18 && isNvHandle(view.getUint32(14)));
}
