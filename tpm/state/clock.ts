/** TPM time and clock. Part 1, section 36. */
import type { TPMS_CLOCK_INFO, TPMS_TIME_INFO } from '../structures/base.ts';
import type { TpmState } from './state.ts';

/** Milliseconds between durable updates of the clock (TPM_PT_CLOCK_UPDATE): 2^22, as the reference has it. */
export const CLOCK_UPDATE_INTERVAL = 1 << 22;

/** Parts of the nominal rate that TPM2_ClockRateAdjust moves by: fine, medium, coarse; and as far as it goes. */
const NOMINAL = 30_000;
const ADJUSTMENTS = [0, 3, 30, 300] as const;
const MOST = 4_500; // 15 % of the nominal rate: Part 1, section 36.3

export class TpmClock {
  readonly #now: () => number;
  readonly #state: TpmState;
  /** Host milliseconds at which `#elapsed` milliseconds of Time had passed. */
  #at: number;
  #elapsed = 0;
  /** Clock at Time 0, adjusted by ClockSet. */
  #base = 0n;
  /** How much faster than the host's clock, in parts of NOMINAL. Nominal again at each power-on. */
  #rate = 0;
  safe = true;
  #durable = 0n;
  /** Time at which the durable clock is too old. */
  #due = 0;

  /** `now` gives milliseconds that never go back. */
  constructor(now: () => number, state: TpmState) {
    this.#now = now;
    this.#state = state;
    this.#at = now();
  }

  /** _TPM_Init: time starts at zero, clock goes on from the durable value. */
  powerOn(durableClock: bigint): void {
    this.#at = this.#now();
    this.#elapsed = 0;
    this.#rate = 0;
    this.#base = durableClock;
    this.durable = durableClock;
  }

  /** Go on from another TPM's time and clock, both in milliseconds. */
  resume(time: bigint, clock: bigint): void {
    this.#at = this.#now();
    this.#elapsed = Number(time);
    this.#base = clock - time;
    this.durable = this.#durable;
  }

  /** Clock as it was last made durable. */
  set durable(clock: bigint) {
    this.#durable = clock;
    this.#due = Number(clock - this.#base) + CLOCK_UPDATE_INTERVAL;
  }

  /** It is time to make the clock durable. */
  get isDue(): boolean {
    return this.#milliseconds() >= this.#due;
  }

  /** Milliseconds since _TPM_Init. */
  get time(): bigint {
    return BigInt(Math.max(0, Math.floor(this.#milliseconds())));
  }

  #milliseconds(): number {
    return this.#elapsed + ((this.#now() - this.#at) * (NOMINAL + this.#rate)) / NOMINAL;
  }

  /** Run faster or slower from now on by a step of TPM_CLOCK_ADJUST, -3 to 3. */
  adjust(step: number): void {
    this.#elapsed = this.#milliseconds();
    this.#at = this.#now();
    const change = Math.sign(step) * (ADJUSTMENTS[Math.abs(step)] ?? 0);
    this.#rate = Math.max(-MOST, Math.min(MOST, this.#rate + change));
  }

  get clock(): bigint {
    return this.#base + this.time;
  }

  /** Move the clock forward to `value`. */
  set(value: bigint): void {
    this.#base = value - this.time;
    this.durable = this.#durable;
  }

  get clockInfo(): TPMS_CLOCK_INFO {
    const { resetCount, restartCount } = this.#state;
    return { clock: this.clock, resetCount, restartCount, safe: this.safe };
  }

  get timeInfo(): TPMS_TIME_INFO {
    return { time: this.time, clockInfo: this.clockInfo };
  }
}
