/** TPM time and clock. Part 1, section 36. */
import type { TPMS_CLOCK_INFO, TPMS_TIME_INFO } from '../structures/base.ts';
import type { TpmState } from './state.ts';

/** Milliseconds between durable updates of the clock (TPM_PT_CLOCK_UPDATE): 2^22, as the reference has it. */
export const CLOCK_UPDATE_INTERVAL = 1 << 22;

export class TpmClock {
  readonly #now: () => number;
  readonly #state: TpmState;
  #poweredOnAt: number;
  /** Clock at `#poweredOnAt`, adjusted by ClockSet. */
  #base = 0n;
  safe = true;
  /** Clock as it was last made durable. */
  durable = 0n;
  /** Adjustment of the rate in steps of ClockRateAdjust; kept for its range check only, since time is injected. */
  rate = 0;

  /** `now` gives milliseconds that never go back. */
  constructor(now: () => number, state: TpmState) {
    this.#now = now;
    this.#state = state;
    this.#poweredOnAt = now();
  }

  /** _TPM_Init: time starts at zero, clock goes on from the durable value. */
  powerOn(durableClock: bigint): void {
    this.#poweredOnAt = this.#now();
    this.#base = durableClock;
    this.durable = durableClock;
  }

  /** Go on from another TPM's time and clock, both in milliseconds. */
  resume(time: bigint, clock: bigint): void {
    this.#poweredOnAt = this.#now() - Number(time);
    this.#base = clock - time;
  }

  /** Milliseconds since _TPM_Init. */
  get time(): bigint {
    return BigInt(Math.max(0, Math.floor(this.#now() - this.#poweredOnAt)));
  }

  get clock(): bigint {
    return this.#base + this.time;
  }

  /** Move the clock forward to `value`. */
  set(value: bigint): void {
    this.#base = value - this.time;
  }

  get clockInfo(): TPMS_CLOCK_INFO {
    const { resetCount, restartCount } = this.#state;
    return { clock: this.clock, resetCount, restartCount, safe: this.safe };
  }

  get timeInfo(): TPMS_TIME_INFO {
    return { time: this.time, clockInfo: this.clockInfo };
  }
}
