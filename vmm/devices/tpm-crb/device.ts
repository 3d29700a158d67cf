/**
 * The command response buffer of a TPM 2.0 as registers in memory. Engine-independent: an engine routes loads and
 * stores here.
 *
 * Source: PC Client Platform TPM Profile 1.05, section 6.5.3 (registers) and its state diagram. CTRL_START reads 1
 * while the TPM works, so a command may be executed elsewhere and later.
 */
import { TPM_DEVICE_ID, TPM_LOCALITY_SIZE, TPM_REVISION_ID, TPM_VENDOR_ID } from '../tpm-backend.ts';
import {
  checkShared,
  type GuestLocality,
  requireRest,
  type SavedLocalities,
  stateFault,
  type TpmInterfaceState,
  TpmModel,
} from '../tpm-shared.ts';
import { BUFFER_SIZE, CTRL_REQ, CTRL_STS, INTERFACE_ID_VALUE, LOC_CTRL, LOC_STATE, LOC_STS, REG } from './registers.ts';

const HEADER_SIZE = 10;

interface SavedState extends SavedLocalities {
  readonly version: 1;
  readonly state: TpmInterfaceState;
  readonly cancel: boolean;
  readonly buffer: Uint8Array;
}

export class TpmCrb extends TpmModel {
  /** CTRL_CANCEL as software left it. */
  #cancel = false;
  readonly #buffer = new Uint8Array(BUFFER_SIZE);

  reset(): void {
    this.#goIdle();
    this.localities.reset();
    this.#cancel = false;
  }

  protected readRegister(locality: GuestLocality, register: number): number {
    if (register >= REG.DATA_BUFFER) {
      const readable = locality === this.localities.active && this.state !== 'execution';
      return readable ? (this.#buffer[register - REG.DATA_BUFFER] ?? 0xff) : 0xff;
    }
    return (this.#read32(locality, register & ~3) >>> (8 * (register & 3))) & 0xff;
  }

  protected writeRegister(locality: GuestLocality, register: number, value: number): void {
    // Every field that can be written lies in the lowest byte of its register.
    if (register === REG.LOC_CTRL) this.#writeLocality(locality, value);
    else if (locality !== this.localities.active) return;
    else if (register >= REG.DATA_BUFFER) this.#writeBuffer(register - REG.DATA_BUFFER, value);
    else if (register === REG.CTRL_REQ) this.#request(value);
    else if (register === REG.CTRL_CANCEL) this.#writeCancel(value);
    else if (register === REG.CTRL_START && value & 1) this.#start();
  }

  save(): unknown {
    requireRest(this.execution);
    const saved: SavedState = {
      version: 1,
      state: this.state,
      ...this.localities.save(),
      cancel: this.#cancel,
      buffer: this.#buffer.slice(),
    };
    return saved;
  }

  load(state: unknown): void {
    const saved = checkSaved(state);
    this.reset();
    this.state = saved.state;
    this.localities.load(saved);
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
        return (
          (locality === this.localities.active ? LOC_STS.GRANTED : 0) |
          (this.localities.wasSeized(locality) ? LOC_STS.BEEN_SEIZED : 0)
        );
      case REG.INTERFACE_ID:
        return (TPM_REVISION_ID << 24) | INTERFACE_ID_VALUE;
      case REG.INTERFACE_ID_HIGH:
        return (TPM_DEVICE_ID << 16) | TPM_VENDOR_ID;
    }
    if (locality !== this.localities.active) return 0xffffffff;
    switch (register) {
      case REG.CTRL_REQ:
        return this.execution.awaited ? CTRL_REQ.COMMAND_READY : 0;
      case REG.CTRL_STS:
        return this.state === 'idle' ? CTRL_STS.IDLE : 0;
      case REG.CTRL_CANCEL:
        return this.#cancel ? 1 : 0;
      case REG.CTRL_START:
        return this.state === 'execution' ? 1 : 0;
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
    const { active } = this.localities;
    const holder = active === undefined ? 0 : LOC_STATE.ASSIGNED | (active << LOC_STATE.ACTIVE_SHIFT);
    return LOC_STATE.VALID | holder | (this.tpm.established ? 0 : LOC_STATE.NOT_ESTABLISHED);
  }

  #writeLocality(locality: GuestLocality, value: number): void {
    switch (value) {
      case LOC_CTRL.REQUEST:
        // No queue here: who is not granted asks again.
        if (this.localities.active === undefined) this.#activate(locality);
        return;
      case LOC_CTRL.RELINQUISH:
        if (this.localities.active !== locality) return;
        this.#goIdle();
        this.localities.release();
        return;
      case LOC_CTRL.SEIZE:
        if (this.localities.seize(locality, () => this.#goIdle())) this.localities.forgetSeizure(locality);
        return;
      case LOC_CTRL.RESET_ESTABLISHMENT:
        if (locality === this.localities.active) this.tpm.resetEstablished(locality);
        return;
      default:
        // More than one request at once has no defined meaning.
        return;
    }
  }

  #activate(locality: GuestLocality): void {
    this.localities.grant(locality);
    this.localities.forgetSeizure(locality);
  }

  #request(value: number): void {
    if (value === CTRL_REQ.GO_IDLE) {
      // The profile forbids both requests while a command executes; it must be cancelled first.
      if (this.state !== 'execution') this.#goIdle();
    } else if (value === CTRL_REQ.COMMAND_READY) {
      if (this.state === 'completion' || this.state === 'reception') this.#clear('ready');
      else if (this.state === 'idle') {
        this.execution.whenFree(() => {
          this.state = 'ready';
        });
      }
    }
  }

  #clear(state: 'idle' | 'ready'): void {
    this.state = state;
    this.#buffer.fill(0);
  }

  #goIdle(): void {
    if (this.state === 'execution') this.execution.cancel();
    this.execution.abandon();
    this.#clear('idle');
  }

  #writeBuffer(index: number, value: number): void {
    if (this.state === 'idle' || this.state === 'execution') return;
    this.state = 'reception';
    this.#buffer[index] = value;
  }

  #writeCancel(value: number): void {
    this.#cancel = (value & 1) === 1;
    if (this.#cancel && this.state === 'execution') this.execution.cancel();
  }

  #start(): void {
    const locality = this.localities.active;
    if (this.state !== 'reception' || locality === undefined) return;
    // The TPM refuses a size field that disagrees; here it only bounds the copy.
    const claimed = new DataView(this.#buffer.buffer).getUint32(2);
    const command = this.#buffer.slice(0, Math.min(Math.max(claimed, HEADER_SIZE), BUFFER_SIZE));
    this.state = 'execution';
    this.execution.start(command, locality, BUFFER_SIZE, (response) => {
      this.#buffer.fill(0);
      this.#buffer.set(response);
      this.state = 'completion';
    });
  }
}

function checkSaved(value: unknown): SavedState {
  const { cancel, buffer, ...shared } = checkShared<SavedState>(value);
  if (!(buffer instanceof Uint8Array) || buffer.length !== BUFFER_SIZE) throw stateFault('buffer');
  return { ...shared, version: 1, cancel: cancel === true, buffer };
}
