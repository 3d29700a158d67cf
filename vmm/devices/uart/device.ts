/** A 16550A serial port, as far as consoles need one: no timing, no modem, no line errors. */
import { FCR_ENABLE, IER, IIR, INPUT_MAX, LCR_DIVISOR, LSR, MCR_LOOPBACK, MSR_CONNECTED, REG } from './registers.ts';

const SAVED_REGISTERS = 7 * 4;

export interface UartHost {
  /** A byte that the guest sent. */
  transmit(byte: number): void;
  /** The interrupt line; called only when it changes. */
  interrupt(raised: boolean): void;
}

export class Uart {
  readonly #host: UartHost;
  #ier = 0;
  #fifoEnabled = false;
  #lcr = 0;
  #mcr = 0;
  #scratch = 0;
  #divisor = 1;
  #transmitPending = false;
  #raised = false;
  readonly #input: number[] = [];

  constructor(host: UartHost) {
    this.#host = host;
  }

  /** Its registers and what was typed and not read: seven little-endian words, then the input. */
  save(): Uint8Array {
    const words = Int32Array.of(
      this.#ier,
      Number(this.#fifoEnabled),
      this.#lcr,
      this.#mcr,
      this.#scratch,
      this.#divisor,
      Number(this.#transmitPending),
    );
    return Uint8Array.from([...new Uint8Array(words.buffer), ...this.#input]);
  }

  /** Take what `save` gave; the interrupt line follows. */
  restore(state: Uint8Array): void {
    const [ier = 0, fifo = 0, lcr = 0, mcr = 0, scratch = 0, divisor = 1, transmit = 0] = new Int32Array(
      state.slice(0, SAVED_REGISTERS).buffer,
    );
    this.#ier = ier & 0x0f;
    this.#fifoEnabled = fifo !== 0;
    this.#lcr = lcr & 0xff;
    this.#mcr = mcr & 0x1f;
    this.#scratch = scratch & 0xff;
    this.#divisor = divisor & 0xffff;
    this.#transmitPending = transmit !== 0;
    this.#input.splice(0, this.#input.length, ...state.subarray(SAVED_REGISTERS, SAVED_REGISTERS + INPUT_MAX));
    this.#update();
  }

  /** Bytes typed. */
  receive(bytes: Uint8Array): void {
    for (const byte of bytes) if (this.#input.length < INPUT_MAX) this.#input.push(byte);
    this.#update();
  }

  /** Register 0..7. */
  read(register: number): number {
    const divisor = (this.#lcr & LCR_DIVISOR) !== 0;
    switch (register) {
      case REG.DATA: {
        if (divisor) return this.#divisor & 0xff;
        const byte = this.#input.shift() ?? 0;
        this.#update();
        return byte;
      }
      case REG.IER:
        return divisor ? this.#divisor >> 8 : this.#ier;
      case REG.IIR_FCR: {
        const cause = this.#cause();
        // Reading the cause acknowledges an empty transmitter.
        if (cause === IIR.TRANSMIT_EMPTY) this.#transmitPending = false;
        this.#update();
        return cause | (this.#fifoEnabled ? IIR.FIFO_ENABLED : 0);
      }
      case REG.LCR:
        return this.#lcr;
      case REG.MCR:
        return this.#mcr;
      case REG.LSR:
        return LSR.TRANSMITTER_EMPTY | (this.#input.length > 0 ? LSR.DATA_READY : 0);
      case REG.MSR:
        // In loopback the modem outputs come back as inputs: DTR, RTS, OUT1, OUT2 as DSR, CTS, RI, DCD.
        return (this.#mcr & MCR_LOOPBACK) === 0 ? MSR_CONNECTED : loopback(this.#mcr);
      default:
        return this.#scratch;
    }
  }

  write(register: number, value: number): void {
    const divisor = (this.#lcr & LCR_DIVISOR) !== 0;
    switch (register) {
      case REG.DATA:
        if (divisor) this.#divisor = (this.#divisor & 0xff00) | value;
        else if ((this.#mcr & MCR_LOOPBACK) !== 0) this.receive(Uint8Array.of(value));
        else {
          this.#host.transmit(value);
          this.#transmitPending = true;
        }
        break;
      case REG.IER:
        if (divisor) this.#divisor = (this.#divisor & 0xff) | (value << 8);
        else {
          // Enabling the cause while the transmitter is empty raises it at once.
          if ((value & ~this.#ier & IER.TRANSMIT_EMPTY) !== 0) this.#transmitPending = true;
          this.#ier = value & 0x0f;
        }
        break;
      case REG.IIR_FCR:
        this.#fifoEnabled = (value & FCR_ENABLE) !== 0;
        break;
      case REG.LCR:
        this.#lcr = value;
        break;
      case REG.MCR:
        this.#mcr = value & 0x1f;
        break;
      case REG.SCR:
        this.#scratch = value;
        break;
    }
    this.#update();
  }

  #cause(): number {
    if ((this.#ier & IER.RECEIVED) !== 0 && this.#input.length > 0) return IIR.RECEIVED;
    if ((this.#ier & IER.TRANSMIT_EMPTY) !== 0 && this.#transmitPending) return IIR.TRANSMIT_EMPTY;
    return IIR.NONE;
  }

  #update(): void {
    const raised = this.#cause() !== IIR.NONE;
    if (raised === this.#raised) return;
    this.#raised = raised;
    this.#host.interrupt(raised);
  }
}

const loopback = (mcr: number) => ((mcr & 1) << 5) | ((mcr & 2) << 3) | ((mcr & 4) << 4) | ((mcr & 8) << 4);
