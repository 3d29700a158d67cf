/**
 * The board around a served TPM: power, locality, the established flag and the state that moves with a virtual
 * machine. Every connection of every protocol acts on one board, so that a reset on one is a reset for all.
 */
import type { Locality, TpmDevice } from '../device.ts';
import { u32At } from './bytes.ts';
import { bareResponse, TPM_RC } from './protocol.ts';

/** A TPM whose state can leave and come back. `Tpm` is one. */
export interface MigratableTpm {
  /** Everything that survives power loss. */
  exportPermanent(): Uint8Array;
  /** Everything that power loss takes. Empty while off. */
  exportVolatile(): Uint8Array;
  /**
   * Replace the state, all or nothing; durable when it resolves. Only while off. A volatile part is what the next
   * `powerOn` continues from. Throws for malformed bytes, and then nothing has changed.
   */
  restore(state: { permanent?: Uint8Array; volatile?: Uint8Array }): Promise<void>;
}

/** A TPM that has most answers at once. `Tpm` is one. */
export interface PromptTpm {
  /**
   * As `execute`, but a response that waits for nothing is returned as it is. `alone`: nobody else needs this thread,
   * so waiting for the medium in place is quicker than being told of it.
   */
  answer(command: Uint8Array, locality: Locality, alone: boolean): Uint8Array | Promise<Uint8Array>;
}

/** Wires of a TPM that only some devices have. */
export interface OptionalWires {
  setPhysicalPresence(on: boolean): void;
  /** NV memory is there (or not): without it, TPM_RC_NV_UNAVAILABLE. */
  setNvAvailable(on: boolean): void;
  /** Authenticated countdown timer: has it fired? */
  actSignaled(handle: number): boolean;
  /** Enter failure mode, as after a failed self-test. */
  enterFailureMode(): void;
}

export type ServedTpm = TpmDevice & Partial<PromptTpm> & Partial<MigratableTpm> & Partial<OptionalWires>;

/** Where CMD_STORE_VOLATILE keeps volatile state between two runs of the server. */
export interface VolatileStore {
  load(): Promise<Uint8Array | undefined>;
  save(state: Uint8Array): Promise<void>;
  remove(): Promise<void>;
}

/** A `VolatileStore` that forgets with the process. */
export function memoryVolatileStore(): VolatileStore {
  let held: Uint8Array | undefined;
  return {
    load: async () => held,
    save: async (state) => {
      held = state;
    },
    remove: async () => {
      held = undefined;
    },
  };
}

export interface BoardOptions {
  readonly volatile?: VolatileStore;
  /**
   * Send TPM2_Shutdown before a requested stop when the guest did not, so that a stop by the host does not count
   * against the dictionary-attack limit. Default true, as in swtpm 0.8 and newer.
   */
  readonly autoShutdown?: boolean;
  /** What CMD_GET_INFO tells (`TPMSpecification`, `TPMAttributes`, ...), as swtpm spells it. */
  readonly info?: Readonly<Record<string, unknown>>;
}

const CC_SHUTDOWN = 0x145;
const SHUTDOWN_STATE = Uint8Array.of(0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x45, 0, 1);

export class Board {
  readonly tpm: ServedTpm;
  readonly info: Readonly<Record<string, unknown>>;
  /** Locality of commands whose framing names none; set by CMD_SET_LOCALITY. */
  locality: Locality = 0;
  #running = false;
  #lastCommand = 0;
  readonly #volatile: VolatileStore;
  readonly #autoShutdown: boolean;

  constructor(tpm: ServedTpm, options: BoardOptions = {}) {
    this.tpm = tpm;
    this.info = options.info ?? {};
    this.#volatile = options.volatile ?? memoryVolatileStore();
    this.#autoShutdown = options.autoShutdown ?? true;
  }

  get running(): boolean {
    return this.#running;
  }

  /** Execute a command at a locality (default: the board's). Powered off: TPM_RC_FAILURE. Never rejects. */
  execute(command: Uint8Array, locality: Locality = this.locality): Promise<Uint8Array> {
    return Promise.resolve(this.answer(command, locality, false));
  }

  /** As `execute`; at once where the TPM can. For `alone` see `PromptTpm`. */
  answer(command: Uint8Array, locality: Locality, alone: boolean): Uint8Array | Promise<Uint8Array> {
    if (!this.#running) return bareResponse(TPM_RC.FAILURE);
    this.#lastCommand = u32At(command, 6);
    return this.tpm.answer ? this.tpm.answer(command, locality, alone) : this.tpm.execute(command, locality);
  }

  /**
   * Power on, or cycle the power of a running TPM (CMD_INIT). Stored volatile state is continued from;
   * `deleteVolatile` then removes it.
   */
  async init(deleteVolatile = false): Promise<void> {
    await this.stop();
    const stored = await this.#volatile.load();
    if (stored && this.tpm.restore) await this.tpm.restore({ volatile: stored });
    if (deleteVolatile) await this.#volatile.remove();
    this.powerOn();
  }

  /** Power off in an orderly way (CMD_STOP). */
  async stop(): Promise<void> {
    if (!this.#running) return;
    if (this.#autoShutdown && this.#lastCommand !== CC_SHUTDOWN && this.#lastCommand !== 0) {
      await this.execute(SHUTDOWN_STATE, 0);
    }
    this.powerOff();
  }

  /** Raw power: nothing is said to the TPM first. No effect on a running TPM. */
  powerOn(): void {
    if (this.#running) return;
    this.#lastCommand = 0;
    this.#running = true;
    this.tpm.powerOn();
  }

  powerOff(): void {
    if (!this.#running) return;
    this.#running = false;
    this.locality = 0;
    this.tpm.powerOff();
  }

  /** `_TPM_Init` of a running TPM. No effect while off. */
  reset(): void {
    if (!this.#running) return;
    this.powerOff();
    this.powerOn();
  }

  /** Keep the volatile state for the next `init` (CMD_STORE_VOLATILE). False when the TPM cannot export it. */
  async storeVolatile(): Promise<boolean> {
    if (!this.tpm.exportVolatile) return false;
    await this.#volatile.save(this.tpm.exportVolatile());
    return true;
  }

  /**
   * Put volatile state in place for the next `init` (CMD_SET_STATEBLOB, while off); empty removes what is there.
   * Throws for malformed bytes, and then nothing has changed: `init` would fail with them, now and each time after.
   */
  async setVolatile(state: Uint8Array): Promise<void> {
    if (state.length === 0) {
      await this.tpm.restore?.({});
      await this.#volatile.remove();
    } else {
      await this.tpm.restore?.({ volatile: state });
      await this.#volatile.save(state);
    }
  }
}
