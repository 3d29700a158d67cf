/**
 * What both TPM register models (FIFO and CRB) are made of: localities that compete for the TPM, and one command at a
 * time that is executed elsewhere and later. PC Client Platform TPM Profile 1.05, sections 6.2 and 6.5.
 */
import type { Locality } from '../../tpm/device.ts';
import {
  DeviceStateError,
  guestLocality,
  RESPONSE_FAILURE,
  TPM_BASE,
  TPM_LOCALITIES,
  TPM_LOCALITY_SIZE,
  type TpmBackend,
  type TpmRegisters,
} from './tpm-backend.ts';

/** States of the profile's state diagrams; both interfaces have the same. */
export type TpmInterfaceState = 'idle' | 'ready' | 'reception' | 'execution' | 'completion';
/** Locality 4 is not there for a guest. */
export type GuestLocality = Exclude<Locality, 4>;

const LOCALITIES = 4;
const NONE = -1;

/** What a snapshot holds of the localities. */
export interface SavedLocalities {
  readonly active: number;
  readonly seized: readonly boolean[];
}

/** Who holds the TPM, and from whom it was taken. */
export class Localities {
  #active: GuestLocality | undefined;
  readonly #seized: boolean[] = new Array<boolean>(LOCALITIES).fill(false);

  get active(): GuestLocality | undefined {
    return this.#active;
  }

  wasSeized(locality: GuestLocality): boolean {
    return this.#seized[locality] === true;
  }

  grant(locality: GuestLocality): void {
    this.#active = locality;
  }

  release(): void {
    this.#active = undefined;
  }

  forgetSeizure(locality: GuestLocality): void {
    this.#seized[locality] = false;
  }

  /** A free TPM, or one that a lower locality holds, goes to `locality`; `giveUp` ends what that one was doing. */
  seize(locality: GuestLocality, giveUp: () => void): boolean {
    if (this.#active !== undefined) {
      if (locality <= this.#active) return false;
      this.#seized[this.#active] = true;
      giveUp();
    }
    this.#active = locality;
    return true;
  }

  reset(): void {
    this.#active = undefined;
    this.#seized.fill(false);
  }

  save(): SavedLocalities {
    return { active: this.#active ?? NONE, seized: [...this.#seized] };
  }

  load({ active, seized }: SavedLocalities): void {
    this.#active = guestLocality(active * TPM_LOCALITY_SIZE);
    for (let l = 0; l < LOCALITIES; l++) this.#seized[l] = seized[l] === true;
  }
}

/** One command at a time; a reply that nobody waits for any more is dropped. */
export class Execution {
  readonly #tpm: TpmBackend;
  /** The command that is waited for; replies of others are stale. */
  #ticket = 0;
  #running: Promise<void> | undefined;
  #whenFree: (() => void) | undefined;

  constructor(tpm: TpmBackend) {
    this.#tpm = tpm;
  }

  /** A command is with the TPM, waited for or not. */
  get busy(): boolean {
    return this.#running !== undefined;
  }

  async idle(): Promise<void> {
    while (this.#running) await this.#running;
  }

  /** Execute; `done` gets a response of up to `limit` bytes, unless the command is abandoned before it comes. */
  start(command: Uint8Array, locality: GuestLocality, limit: number, done: (response: Uint8Array) => void): void {
    const ticket = ++this.#ticket;
    this.#running = this.#tpm
      .execute(command, locality)
      // The way to the TPM failed: to the guest, the chip did.
      .catch(() => RESPONSE_FAILURE)
      .then((response) => {
        this.#running = undefined;
        if (ticket === this.#ticket) done(response.length <= limit ? response : RESPONSE_FAILURE);
        const next = this.#whenFree;
        this.#whenFree = undefined;
        next?.();
      });
  }

  /** Ask the TPM to end the command early; its response is still waited for. */
  cancel(): void {
    this.#tpm.cancel();
  }

  /** Wait for the command no longer. */
  abandon(): void {
    this.#ticket++;
    this.#whenFree = undefined;
  }

  /** Whether `next` still waits for an abandoned command to end. */
  get awaited(): boolean {
    return this.#whenFree !== undefined;
  }

  /** Call `next` once no command is with the TPM: now, or when the abandoned one has ended. */
  whenFree(next: () => void): void {
    if (this.#running) this.#whenFree = next;
    else next();
  }
}

/** A register model, but for its registers. */
export abstract class TpmModel implements TpmRegisters {
  readonly base = TPM_BASE;
  readonly size = TPM_LOCALITIES * TPM_LOCALITY_SIZE;
  protected readonly tpm: TpmBackend;
  protected readonly execution: Execution;
  protected readonly localities = new Localities();
  /** Where the state diagram stands; the model alone moves it. */
  state: TpmInterfaceState = 'idle';

  constructor(tpm: TpmBackend) {
    this.tpm = tpm;
    this.execution = new Execution(tpm);
  }

  /** The locality that holds the TPM, if one does. */
  get activeLocality(): GuestLocality | undefined {
    return this.localities.active;
  }

  get busy(): boolean {
    return this.execution.busy;
  }

  idle(): Promise<void> {
    return this.execution.idle();
  }

  read8(offset: number): number {
    const locality = guestLocality(offset);
    return locality === undefined ? 0xff : this.readRegister(locality, offset % TPM_LOCALITY_SIZE);
  }

  write8(offset: number, value: number): void {
    const locality = guestLocality(offset);
    if (locality !== undefined) this.writeRegister(locality, offset % TPM_LOCALITY_SIZE, value);
  }

  abstract reset(): void;
  abstract save(): unknown;
  abstract load(state: unknown): void;
  /** One byte of a locality's page. */
  protected abstract readRegister(locality: GuestLocality, register: number): number;
  protected abstract writeRegister(locality: GuestLocality, register: number, value: number): void;
}

export const stateFault = (what: string): DeviceStateError =>
  new DeviceStateError('DEVICE_STATE', `Saved TPM registers: ${what}.`);

/** Refuse to save while a command is with the TPM. Throws DeviceStateError DEVICE_BUSY. */
export function requireRest({ busy }: Execution): void {
  if (busy) throw new DeviceStateError('DEVICE_BUSY', 'The TPM executes a command; wait for idle() before saving.');
}

/** What both models save, checked. Throws DeviceStateError DEVICE_STATE. */
export function checkShared<Saved extends SavedLocalities & { readonly version: 1; readonly state: TpmInterfaceState }>(
  value: unknown,
): Partial<Saved> & SavedLocalities & { readonly state: TpmInterfaceState } {
  const saved = value as Partial<Saved> | null; // every field is checked here, the model's own by the model
  if (typeof saved !== 'object' || saved === null || saved.version !== 1) throw stateFault('unknown version');
  const { state, active, seized } = saved;
  if (state !== 'idle' && state !== 'ready' && state !== 'reception' && state !== 'completion') {
    throw stateFault(`impossible state ${String(state)}`);
  }
  const integer = typeof active === 'number' && Number.isInteger(active);
  if (!integer || active < NONE || active >= LOCALITIES) throw stateFault('locality');
  if (!Array.isArray(seized)) throw stateFault('seized localities');
  return { ...saved, state, active, seized };
}
