/**
 * The command response buffer of a TPM 2.0 as registers in memory. Engine-independent: an engine routes loads and
 * stores here.
 *
 * Source: PC Client Platform TPM Profile 1.05, section 6.5.3 (registers) and its state diagram. CTRL_START reads 1
 * while the TPM works, so a command may be executed elsewhere and later.
 */
import type { Locality } from '../../../tpm/device.ts';
import {
  DeviceStateError,
  guestLocality,
  RESPONSE_FAILURE,
  TPM_BASE,
  TPM_DEVICE_ID,
  TPM_LOCALITIES,
  TPM_LOCALITY_SIZE,
  TPM_REVISION_ID,
  TPM_VENDOR_ID,
  type TpmBackend,
  type TpmRegisters,
} from '../tpm-backend.ts';
import { BUFFER_SIZE, CTRL_REQ, CTRL_STS, INTERFACE_ID_VALUE, LOC_CTRL, LOC_STATE, LOC_STS, REG } from './registers.ts';

/** States of the profile's state diagram. */
export type CrbState = 'idle' | 'ready' | 'reception' | 'execution' | 'completion';

type GuestLocality = 0 | 1 | 2 | 3;

const NONE = -1;
const HEADER_SIZE = 10;

interface SavedState {
  readonly version: 1;
  readonly state: CrbState;
  readonly active: number;
  readonly seized: readonly boolean[];
  readonly cancel: boolean;
  readonly buffer: Uint8Array;
}

export class TpmCrb implements TpmRegisters {
  readonly base = TPM_BASE;
  readonly size = TPM_LOCALITIES * TPM_LOCALITY_SIZE;

  readonly #tpm: TpmBackend;
  #state: CrbState = 'idle';
  #active: GuestLocality | typeof NONE = NONE;
  readonly #seized = [false, false, false, false];
  /** CTRL_CANCEL as software left it. */
  #cancel = false;
  readonly #buffer = new Uint8Array(BUFFER_SIZE);
  /** The command that the TPM has; replies of others are stale. */
  #ticket = 0;
  #running: Promise<void> | undefined;
  /** cmdReady was asked while an abandoned command still ran. */
  #readyWanted = false;

  constructor(tpm: TpmBackend) {
    this.#tpm = tpm;
  }

  /** Where the state diagram stands. */
  get state(): CrbState {
    return this.#state;
  }

  /** The locality that holds the TPM, if one does. */
  get activeLocality(): Locality | undefined {
    return this.#active === NONE ? undefined : this.#active;
  }

  get busy(): boolean {
    return this.#running !== undefined;
  }

  async idle(): Promise<void> {
    while (this.#running) await this.#running;
  }

  reset(): void {
    this.#goIdle();
    this.#active = NONE;
    this.#seized.fill(false);
    this.#cancel = false;
  }

  read8(offset: number): number {
    const locality = guestLocality(offset);
    if (locality === undefined) return 0xff;
    const register = offset % TPM_LOCALITY_SIZE;
    if (register >= REG.DATA_BUFFER) {
      const readable = locality === this.#active && this.#state !== 'execution';
      return readable ? (this.#buffer[register - REG.DATA_BUFFER] ?? 0xff) : 0xff;
    }
    return (this.#read32(locality, register & ~3) >>> (8 * (register & 3))) & 0xff;
  }

  write8(offset: number, value: number): void {
    const locality = guestLocality(offset);
    if (locality === undefined) return;
    const register = offset % TPM_LOCALITY_SIZE;
    // Every field that can be written lies in the lowest byte of its register.
    if (register === REG.LOC_CTRL) this.#writeLocality(locality, value);
    else if (locality !== this.#active) return;
    else if (register >= REG.DATA_BUFFER) this.#writeBuffer(register - REG.DATA_BUFFER, value);
    else if (register === REG.CTRL_REQ) this.#request(value);
    else if (register === REG.CTRL_CANCEL) this.#writeCancel(value);
    else if (register === REG.CTRL_START && value & 1) this.#start();
  }

  save(): unknown {
    if (this.busy) {
      throw new DeviceStateError('DEVICE_BUSY', 'The TPM executes a command; wait for idle() before saving.');
    }
    const saved: SavedState = {
      version: 1,
      state: this.#state,
      active: this.#active,
      seized: [...this.#seized],
      cancel: this.#cancel,
      buffer: this.#buffer.slice(),
    };
    return saved;
  }

  load(state: unknown): void {
    const saved = checkSaved(state);
    this.reset();
    this.#state = saved.state;
    this.#active = guestLocality(saved.active * TPM_LOCALITY_SIZE) ?? NONE;
    for (let l = 0; l < this.#seized.length; l++) this.#seized[l] = saved.seized[l] === true;
    this.#cancel = saved.cancel;
    this.#buffer.set(saved.buffer);
  }

  #read32(locality: GuestLocality, register: number): number {
    switch (register) {
      case REG.LOC_STATE:
        return this.#locState();
      case REG.LOC_CTRL:
        return 0;
      case REG.LOC_STS:
        return (locality === this.#active ? LOC_STS.GRANTED : 0) | (this.#seized[locality] ? LOC_STS.BEEN_SEIZED : 0);
      case REG.INTERFACE_ID:
        return (TPM_REVISION_ID << 24) | INTERFACE_ID_VALUE;
      case REG.INTERFACE_ID_HIGH:
        return (TPM_DEVICE_ID << 16) | TPM_VENDOR_ID;
    }
    if (locality !== this.#active) return 0xffffffff;
    switch (register) {
      case REG.CTRL_REQ:
        return this.#readyWanted ? CTRL_REQ.COMMAND_READY : 0;
      case REG.CTRL_STS:
        return this.#state === 'idle' ? CTRL_STS.IDLE : 0;
      case REG.CTRL_CANCEL:
        return this.#cancel ? 1 : 0;
      case REG.CTRL_START:
        return this.#state === 'execution' ? 1 : 0;
      case REG.CMD_SIZE:
      case REG.RSP_SIZE:
        return BUFFER_SIZE;
      case REG.CMD_LADDR:
      case REG.RSP_LADDR:
        // One buffer, named as the active locality sees it.
        return this.base + locality * TPM_LOCALITY_SIZE + REG.DATA_BUFFER;
      case REG.CMD_HADDR:
      case REG.RSP_HADDR:
      case REG.CTRL_EXT:
      case REG.INT_ENABLE:
      case REG.INT_STS:
        return 0;
      default:
        return 0xffffffff;
    }
  }

  #locState(): number {
    const holder = this.#active === NONE ? 0 : LOC_STATE.ASSIGNED | (this.#active << LOC_STATE.ACTIVE_SHIFT);
    return LOC_STATE.VALID | holder | (this.#tpm.established ? 0 : LOC_STATE.NOT_ESTABLISHED);
  }

  #writeLocality(locality: GuestLocality, value: number): void {
    switch (value) {
      case LOC_CTRL.REQUEST:
        // No queue here: who is not granted asks again.
        if (this.#active === NONE) this.#activate(locality);
        return;
      case LOC_CTRL.RELINQUISH:
        if (this.#active !== locality) return;
        this.#goIdle();
        this.#active = NONE;
        return;
      case LOC_CTRL.SEIZE:
        if (this.#active === NONE) this.#activate(locality);
        else if (locality > this.#active) {
          this.#seized[this.#active] = true;
          this.#goIdle();
          this.#activate(locality);
        }
        return;
      case LOC_CTRL.RESET_ESTABLISHMENT:
        if (locality === this.#active) this.#tpm.resetEstablished(locality);
        return;
      default:
        // More than one request at once has no defined meaning.
        return;
    }
  }

  #activate(locality: GuestLocality): void {
    this.#active = locality;
    this.#seized[locality] = false;
  }

  #request(value: number): void {
    if (value === CTRL_REQ.GO_IDLE) {
      // The profile forbids both requests while a command executes; it must be cancelled first.
      if (this.#state !== 'execution') this.#goIdle();
    } else if (value === CTRL_REQ.COMMAND_READY) {
      if (this.#state === 'completion' || this.#state === 'reception') this.#clear('ready');
      else if (this.#state === 'idle' && this.#running) this.#readyWanted = true;
      else if (this.#state === 'idle') this.#state = 'ready';
    }
  }

  #clear(state: 'idle' | 'ready'): void {
    this.#state = state;
    this.#buffer.fill(0);
  }

  #goIdle(): void {
    if (this.#state === 'execution') this.#tpm.cancel();
    this.#ticket++;
    this.#readyWanted = false;
    this.#clear('idle');
  }

  #writeBuffer(index: number, value: number): void {
    if (this.#state === 'idle' || this.#state === 'execution') return;
    this.#state = 'reception';
    this.#buffer[index] = value;
  }

  #writeCancel(value: number): void {
    this.#cancel = (value & 1) === 1;
    if (this.#cancel && this.#state === 'execution') this.#tpm.cancel();
  }

  #start(): void {
    const locality = this.#active;
    if (this.#state !== 'reception' || locality === NONE) return;
    const ticket = ++this.#ticket;
    // The TPM refuses a size field that disagrees; here it only bounds the copy.
    const claimed = new DataView(this.#buffer.buffer).getUint32(2);
    const command = this.#buffer.slice(0, Math.min(Math.max(claimed, HEADER_SIZE), BUFFER_SIZE));
    this.#state = 'execution';
    this.#running = this.#tpm
      .execute(command, locality)
      // The way to the TPM failed: to the guest, the chip did.
      .catch(() => RESPONSE_FAILURE)
      .then((response) => this.#finish(ticket, response));
  }

  #finish(ticket: number, response: Uint8Array): void {
    this.#running = undefined;
    if (ticket === this.#ticket) {
      this.#buffer.fill(0);
      this.#buffer.set(response.length <= BUFFER_SIZE ? response : RESPONSE_FAILURE);
      this.#state = 'completion';
    } else if (this.#readyWanted) {
      this.#readyWanted = false;
      this.#state = 'ready';
    }
  }
}

function checkSaved(value: unknown): SavedState {
  const saved = value as Partial<SavedState> | null; // every field is checked below
  const fault = (what: string) => new DeviceStateError('DEVICE_STATE', `Saved TPM registers: ${what}.`);
  if (typeof saved !== 'object' || saved === null || saved.version !== 1) throw fault('unknown version');
  const { state, active, seized, cancel, buffer } = saved;
  if (state !== 'idle' && state !== 'ready' && state !== 'reception' && state !== 'completion') {
    throw fault(`impossible state ${String(state)}`);
  }
  if (typeof active !== 'number' || !Number.isInteger(active) || active < NONE || active > 3) throw fault('locality');
  if (!Array.isArray(seized)) throw fault('seized localities');
  if (!(buffer instanceof Uint8Array) || buffer.length !== BUFFER_SIZE) throw fault('buffer');
  return { version: 1, state, active, seized, cancel: cancel === true, buffer };
}
