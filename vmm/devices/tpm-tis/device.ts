/**
 * The FIFO interface of a TPM 2.0 as registers in memory: five localities that compete for it, and one command and
 * response at a time. Engine-independent: an engine routes loads and stores here.
 *
 * Source: PC Client Platform TPM Profile 1.05, section 6.5.2 (registers) and its state diagram and transition table.
 * A command is executed elsewhere and later. Until its response is here, STS reads with stsValid and dataAvail clear,
 * which is how a slow chip looks to every driver.
 */
import { TPM_DEVICE_ID, TPM_REVISION_ID, TPM_VENDOR_ID } from '../tpm-backend.ts';
import {
  checkShared,
  type GuestLocality,
  requireRest,
  type SavedLocalities,
  stateFault,
  type TpmInterfaceState,
  TpmModel,
} from '../tpm-shared.ts';
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

const HEADER_SIZE = 10;

interface SavedState extends SavedLocalities {
  readonly version: 1;
  readonly state: TpmInterfaceState;
  readonly pending: readonly boolean[];
  readonly data: Uint8Array;
  readonly position: number;
}

export class TpmTis extends TpmModel {
  readonly #pending = [false, false, false, false];
  /** The command while it is received, then the response. */
  readonly #fifo = new Uint8Array(FIFO_SIZE);
  /** Bytes of the FIFO that hold something. */
  #length = 0;
  /** Bytes of a response already read. */
  #position = 0;

  reset(): void {
    this.#abort();
    this.localities.reset();
    this.#pending.fill(false);
  }

  protected readRegister(locality: GuestLocality, register: number): number {
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
        return locality === this.localities.active ? byteOf(this.#status(), byte) : 0xff;
      default:
        return isFifo(register) && locality === this.localities.active ? this.#readFifo() : 0xff;
    }
  }

  protected writeRegister(locality: GuestLocality, register: number, value: number): void {
    if (register === REG.ACCESS) this.#writeAccess(locality, value);
    else if (locality !== this.localities.active) return;
    else if (register === REG.STS) this.#writeStatus(value);
    else if (register === REG.STS + 3) this.#writeControl(locality, value);
    else if (isFifo(register)) this.#writeFifo(value);
  }

  save(): unknown {
    requireRest(this.execution);
    const saved: SavedState = {
      version: 1,
      state: this.state,
      ...this.localities.save(),
      pending: [...this.#pending],
      data: this.#fifo.slice(0, this.#length),
      position: this.#position,
    };
    return saved;
  }

  load(state: unknown): void {
    const saved = checkSaved(state);
    this.reset();
    this.state = saved.state;
    this.localities.load(saved);
    for (let l = 0; l < this.#pending.length; l++) this.#pending[l] = saved.pending[l] === true;
    this.#fifo.set(saved.data);
    this.#length = saved.data.length;
    this.#position = saved.position;
  }

  // --- Locality arbitration (section 6.5.2.4, ACCESS) ---

  #readAccess(locality: GuestLocality): number {
    let value = ACCESS.VALID;
    if (!this.tpm.established) value |= ACCESS.NOT_ESTABLISHED;
    if (this.localities.active === locality) value |= ACCESS.ACTIVE_LOCALITY;
    if (this.localities.wasSeized(locality)) value |= ACCESS.BEEN_SEIZED;
    if (this.#pending[locality]) value |= ACCESS.REQUEST_USE;
    if (this.#pending.some((wants, other) => wants && other !== locality)) value |= ACCESS.PENDING_REQUEST;
    return value;
  }

  #writeAccess(locality: GuestLocality, value: number): void {
    switch (value) {
      case ACCESS.REQUEST_USE:
        if (this.localities.active === undefined) this.#activate(locality);
        else if (this.localities.active !== locality) this.#pending[locality] = true;
        return;
      case ACCESS.ACTIVE_LOCALITY:
        if (this.localities.active === locality) this.#relinquish();
        else this.#pending[locality] = false;
        return;
      case ACCESS.SEIZE:
        if (this.localities.seize(locality, () => this.#abort())) this.#pending[locality] = false;
        return;
      case ACCESS.BEEN_SEIZED:
        this.localities.forgetSeizure(locality);
        return;
      default:
        // Undefined bits, or more than one field set: the profile lets the TPM ignore the whole write.
        return;
    }
  }

  #activate(locality: GuestLocality): void {
    this.localities.grant(locality);
    this.#pending[locality] = false;
  }

  /** The highest locality that waits is next. */
  #relinquish(): void {
    this.#abort();
    this.localities.release();
    const next = this.#pending.lastIndexOf(true);
    if (next === 0 || next === 1 || next === 2 || next === 3) this.#activate(next);
  }

  // --- Command and response (section 6.5.2.5, STS and FIFO) ---

  #expects(): boolean {
    if (this.state !== 'reception' || this.#length === FIFO_SIZE) return false;
    return this.#length < HEADER_SIZE || this.#length < this.#sizeField();
  }

  #sizeField(): number {
    return new DataView(this.#fifo.buffer).getUint32(2);
  }

  #status(): number {
    let flags = this.state === 'execution' ? 0 : STS.VALID | STS.SELF_TEST_DONE;
    let burst = 0;
    switch (this.state) {
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
        if (this.state === 'reception' && !this.#expects()) this.#execute();
        return;
      case STS.RESPONSE_RETRY:
        if (this.state === 'completion') this.#position = 0;
        return;
      default:
        // As for ACCESS: one field at a time.
        return;
    }
  }

  #writeControl(locality: GuestLocality, value: number): void {
    if (value & STS3.COMMAND_CANCEL && this.state === 'execution') this.execution.cancel();
    if (value & STS3.RESET_ESTABLISHMENT) this.tpm.resetEstablished(locality);
  }

  /**
   * What was under way is given up, and the TPM becomes Ready. The profile lets it pass through Idle unseen, and
   * firmware counts on that: it writes commandReady once after a response and waits for Ready. Only a command that
   * still runs keeps it in Idle.
   */
  #commandReady(): void {
    if (this.state === 'ready') return;
    if (this.state !== 'idle') this.#abort();
    this.execution.whenFree(() => {
      this.state = 'ready';
    });
  }

  #abort(): void {
    if (this.state === 'execution') this.execution.cancel();
    this.execution.abandon();
    this.state = 'idle';
    this.#length = 0;
    this.#position = 0;
    this.#fifo.fill(0);
  }

  #writeFifo(value: number): void {
    if (this.state === 'ready') {
      this.state = 'reception';
      this.#length = 0;
    }
    if (this.#expects()) this.#fifo[this.#length++] = value;
  }

  #readFifo(): number {
    if (this.state !== 'completion' || this.#position === this.#length) return 0xff;
    return this.#fifo[this.#position++] ?? 0xff;
  }

  #execute(): void {
    const locality = this.localities.active;
    if (locality === undefined) return;
    const command = this.#fifo.slice(0, this.#length);
    this.state = 'execution';
    this.execution.start(command, locality, FIFO_SIZE, (response) => {
      this.#fifo.set(response);
      this.#length = response.length;
      this.#position = 0;
      this.state = 'completion';
    });
  }
}

function byteOf(word: number, index: number): number {
  return (word >>> (8 * index)) & 0xff;
}

function isFifo(register: number): boolean {
  return (register & ~3) === REG.DATA_FIFO || (register >= REG.XDATA_FIFO && register < XDATA_FIFO_END);
}

function checkSaved(value: unknown): SavedState {
  const { pending, data, position, ...shared } = checkShared<SavedState>(value);
  if (!Array.isArray(pending)) throw stateFault('requests of localities');
  if (!(data instanceof Uint8Array) || data.length > FIFO_SIZE) throw stateFault('FIFO');
  if (typeof position !== 'number' || !Number.isInteger(position) || position < 0 || position > data.length) {
    throw stateFault('FIFO position');
  }
  return { ...shared, version: 1, pending, data, position };
}
