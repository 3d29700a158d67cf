/**
 * The FIFO interface of a TPM 2.0 as registers in memory: five localities that compete for it, and one command and
 * response at a time. Engine-independent: an engine routes loads and stores here.
 *
 * Source: PC Client Platform TPM Profile 1.05, section 6.5.2 (registers) and its state diagram and transition table.
 * A command is executed elsewhere and later. Until its response is here, STS reads with stsValid and dataAvail clear,
 * which is how a slow chip looks to every driver.
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
import {
  ACCESS,
  FIFO_SIZE,
  INTERFACE_ID_VALUE,
  INTF_CAPABILITY_VALUE,
  REG,
  STS,
  STS3,
  XDATA_FIFO_END,
} from './registers.ts';

/** States of the profile's state diagram. */
export type FifoState = 'idle' | 'ready' | 'reception' | 'execution' | 'completion';

type GuestLocality = 0 | 1 | 2 | 3;

const NONE = -1;
const HEADER_SIZE = 10;

interface SavedState {
  readonly version: 1;
  readonly state: FifoState;
  readonly active: number;
  readonly pending: readonly boolean[];
  readonly seized: readonly boolean[];
  readonly data: Uint8Array;
  readonly position: number;
}

export class TpmTis implements TpmRegisters {
  readonly base = TPM_BASE;
  readonly size = TPM_LOCALITIES * TPM_LOCALITY_SIZE;

  readonly #tpm: TpmBackend;
  #state: FifoState = 'idle';
  #active: GuestLocality | typeof NONE = NONE;
  readonly #pending = [false, false, false, false];
  readonly #seized = [false, false, false, false];
  /** The command while it is received, then the response. */
  readonly #fifo = new Uint8Array(FIFO_SIZE);
  /** Bytes of the FIFO that hold something. */
  #length = 0;
  /** Bytes of a response already read. */
  #position = 0;
  /** The command that the TPM has; replies of others are stale. */
  #ticket = 0;
  #running: Promise<void> | undefined;
  /** commandReady was written while an aborted command still ran. */
  #readyWanted = false;

  constructor(tpm: TpmBackend) {
    this.#tpm = tpm;
  }

  /** Where the state diagram stands. */
  get state(): FifoState {
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
    this.#abort();
    this.#active = NONE;
    this.#readyWanted = false;
    this.#pending.fill(false);
    this.#seized.fill(false);
  }

  read8(offset: number): number {
    const locality = guestLocality(offset);
    if (locality === undefined) return 0xff;
    const register = offset % TPM_LOCALITY_SIZE;
    const byte = register & 3;
    if (register === REG.ACCESS) return this.#readAccess(locality);
    switch (register & ~3) {
      case REG.INTF_CAPABILITY:
        return byteOf(INTF_CAPABILITY_VALUE, byte);
      case REG.INTERFACE_ID:
        return byteOf(INTERFACE_ID_VALUE, byte);
      case REG.DID_VID:
        return byteOf((TPM_DEVICE_ID << 16) | TPM_VENDOR_ID, byte);
      case REG.RID:
        return byte === 0 ? TPM_REVISION_ID : 0xff;
      case REG.INT_ENABLE:
      case REG.INT_STATUS:
        return 0;
      case REG.INT_VECTOR:
        return byte === 0 ? 0 : 0xff;
      case REG.STS:
        return locality === this.#active ? byteOf(this.#status(), byte) : 0xff;
      default:
        return isFifo(register) && locality === this.#active ? this.#readFifo() : 0xff;
    }
  }

  write8(offset: number, value: number): void {
    const locality = guestLocality(offset);
    if (locality === undefined) return;
    const register = offset % TPM_LOCALITY_SIZE;
    if (register === REG.ACCESS) this.#writeAccess(locality, value);
    else if (locality !== this.#active) return;
    else if (register === REG.STS) this.#writeStatus(value);
    else if (register === REG.STS + 3) this.#writeControl(locality, value);
    else if (isFifo(register)) this.#writeFifo(value);
  }

  save(): unknown {
    if (this.busy) {
      throw new DeviceStateError('DEVICE_BUSY', 'The TPM executes a command; wait for idle() before saving.');
    }
    const saved: SavedState = {
      version: 1,
      state: this.#state,
      active: this.#active,
      pending: [...this.#pending],
      seized: [...this.#seized],
      data: this.#fifo.slice(0, this.#length),
      position: this.#position,
    };
    return saved;
  }

  load(state: unknown): void {
    const saved = checkSaved(state);
    this.reset();
    this.#state = saved.state;
    this.#active = guestLocality(saved.active * TPM_LOCALITY_SIZE) ?? NONE;
    for (let l = 0; l < this.#pending.length; l++) {
      this.#pending[l] = saved.pending[l] === true;
      this.#seized[l] = saved.seized[l] === true;
    }
    this.#fifo.set(saved.data);
    this.#length = saved.data.length;
    this.#position = saved.position;
  }

  // --- Locality arbitration (section 6.5.2.4, ACCESS) ---

  #readAccess(locality: GuestLocality): number {
    let value = ACCESS.VALID;
    if (!this.#tpm.established) value |= ACCESS.NOT_ESTABLISHED;
    if (this.#active === locality) value |= ACCESS.ACTIVE_LOCALITY;
    if (this.#seized[locality]) value |= ACCESS.BEEN_SEIZED;
    if (this.#pending[locality]) value |= ACCESS.REQUEST_USE;
    if (this.#pending.some((wants, other) => wants && other !== locality)) value |= ACCESS.PENDING_REQUEST;
    return value;
  }

  #writeAccess(locality: GuestLocality, value: number): void {
    switch (value) {
      case ACCESS.REQUEST_USE:
        if (this.#active === NONE) this.#activate(locality);
        else if (this.#active !== locality) this.#pending[locality] = true;
        return;
      case ACCESS.ACTIVE_LOCALITY:
        if (this.#active === locality) this.#relinquish();
        else this.#pending[locality] = false;
        return;
      case ACCESS.SEIZE:
        if (this.#active === NONE) this.#activate(locality);
        else if (locality > this.#active) {
          this.#seized[this.#active] = true;
          this.#abort();
          this.#activate(locality);
        }
        return;
      case ACCESS.BEEN_SEIZED:
        this.#seized[locality] = false;
        return;
      default:
        // Undefined bits, or more than one field set: the profile lets the TPM ignore the whole write.
        return;
    }
  }

  #activate(locality: GuestLocality): void {
    this.#active = locality;
    this.#pending[locality] = false;
  }

  /** The highest locality that waits is next. */
  #relinquish(): void {
    this.#abort();
    this.#active = NONE;
    const next = this.#pending.lastIndexOf(true);
    if (next === 0 || next === 1 || next === 2 || next === 3) this.#activate(next);
  }

  // --- Command and response (section 6.5.2.5, STS and FIFO) ---

  #expects(): boolean {
    if (this.#state !== 'reception' || this.#length === FIFO_SIZE) return false;
    return this.#length < HEADER_SIZE || this.#length < this.#sizeField();
  }

  #sizeField(): number {
    return new DataView(this.#fifo.buffer).getUint32(2);
  }

  #status(): number {
    let flags = this.#state === 'execution' ? 0 : STS.VALID | STS.SELF_TEST_DONE;
    let burst = 0;
    switch (this.#state) {
      case 'ready':
        flags |= STS.COMMAND_READY;
        burst = FIFO_SIZE;
        break;
      case 'reception':
        if (this.#expects()) flags |= STS.EXPECT;
        burst = FIFO_SIZE - this.#length;
        break;
      case 'completion':
        burst = this.#length - this.#position;
        if (burst > 0) flags |= STS.DATA_AVAIL;
        break;
    }
    return (STS3.FAMILY_TPM2 << 24) | (burst << 8) | flags;
  }

  #writeStatus(value: number): void {
    switch (value) {
      case STS.COMMAND_READY:
        this.#commandReady();
        return;
      case STS.GO:
        if (this.#state === 'reception' && !this.#expects()) this.#execute();
        return;
      case STS.RESPONSE_RETRY:
        if (this.#state === 'completion') this.#position = 0;
        return;
      default:
        // As for ACCESS: one field at a time.
        return;
    }
  }

  #writeControl(locality: GuestLocality, value: number): void {
    if (value & STS3.COMMAND_CANCEL && this.#state === 'execution') this.#tpm.cancel();
    if (value & STS3.RESET_ESTABLISHMENT) this.#tpm.resetEstablished(locality);
  }

  /**
   * What was under way is given up, and the TPM becomes Ready. The profile lets it pass through Idle unseen, and
   * firmware counts on that: it writes commandReady once after a response and waits for Ready. Only a command that
   * still runs keeps it in Idle.
   */
  #commandReady(): void {
    if (this.#state === 'ready') return;
    if (this.#state !== 'idle') this.#abort();
    if (this.#running) this.#readyWanted = true;
    else this.#state = 'ready';
  }

  #abort(): void {
    if (this.#state === 'execution') this.#tpm.cancel();
    this.#ticket++;
    this.#state = 'idle';
    this.#length = 0;
    this.#position = 0;
    this.#readyWanted = false;
    this.#fifo.fill(0);
  }

  #writeFifo(value: number): void {
    if (this.#state === 'ready') {
      this.#state = 'reception';
      this.#length = 0;
    }
    if (this.#expects()) this.#fifo[this.#length++] = value;
  }

  #readFifo(): number {
    if (this.#state !== 'completion' || this.#position === this.#length) return 0xff;
    return this.#fifo[this.#position++] ?? 0xff;
  }

  #execute(): void {
    const locality = this.#active;
    if (locality === NONE) return;
    const ticket = ++this.#ticket;
    const command = this.#fifo.slice(0, this.#length);
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
      const bytes = response.length <= FIFO_SIZE ? response : RESPONSE_FAILURE;
      this.#fifo.set(bytes);
      this.#length = bytes.length;
      this.#position = 0;
      this.#state = 'completion';
    } else if (this.#readyWanted) {
      this.#readyWanted = false;
      this.#state = 'ready';
    }
  }
}

function byteOf(word: number, index: number): number {
  return (word >>> (8 * index)) & 0xff;
}

function isFifo(register: number): boolean {
  return (register & ~3) === REG.DATA_FIFO || (register >= REG.XDATA_FIFO && register < XDATA_FIFO_END);
}

function checkSaved(value: unknown): SavedState {
  const saved = value as Partial<SavedState> | null; // every field is checked below
  const fault = (what: string) => new DeviceStateError('DEVICE_STATE', `Saved TPM registers: ${what}.`);
  if (typeof saved !== 'object' || saved === null || saved.version !== 1) throw fault('unknown version');
  const { state, active, pending, seized, data, position } = saved;
  if (state !== 'idle' && state !== 'ready' && state !== 'reception' && state !== 'completion') {
    throw fault(`impossible state ${String(state)}`);
  }
  if (typeof active !== 'number' || !Number.isInteger(active) || active < NONE || active > 3) throw fault('locality');
  if (!Array.isArray(pending) || !Array.isArray(seized)) throw fault('requests of localities');
  if (!(data instanceof Uint8Array) || data.length > FIFO_SIZE) throw fault('FIFO');
  if (typeof position !== 'number' || !Number.isInteger(position) || position < 0 || position > data.length) {
    throw fault('FIFO position');
  }
  return { version: 1, state, active, pending, seized, data, position };
}
