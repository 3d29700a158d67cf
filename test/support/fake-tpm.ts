/** A stand-in for a TPM in the tests of transports: it echoes, remembers what its platform did, and moves its state. */
import type { Locality } from '../../tpm/device.ts';
import type { ServedTpm } from '../../tpm/transports/board.ts';

export interface FakeDevice extends ServedTpm {
  /** Platform signals and commands, in order. */
  readonly events: string[];
  /** Commands answer only when this resolves; one for each command, then at once. */
  readonly holds: Promise<void>[];
}

/** Answers a command with TPM_RC_SUCCESS, its own body and the locality. */
export function fakeDevice(): FakeDevice {
  const events: string[] = [];
  const holds: Promise<void>[] = [];
  let permanent = Uint8Array.of(1, 2, 3);
  let pending: Uint8Array | undefined;
  let volatile = new Uint8Array(0);
  let established = false;
  return {
    events,
    holds,
    powerOn() {
      volatile = pending ? Uint8Array.from(pending) : Uint8Array.of(9);
      pending = undefined;
      events.push(`on ${volatile.join()}`);
    },
    powerOff() {
      events.push('off');
    },
    async execute(command, locality: Locality = 0) {
      events.push(`execute ${command.length} at ${locality}`);
      await holds.shift();
      const response = new Uint8Array(command.length + 1);
      response.set(command);
      response.fill(0, 6, 10);
      new DataView(response.buffer).setUint32(2, response.length);
      response[response.length - 1] = locality;
      return response;
    },
    hashStart() {
      established = true;
      events.push('hash start');
    },
    hashData(data) {
      events.push(`hash ${data.join()}`);
    },
    hashEnd() {
      events.push('hash end');
    },
    cancel() {
      events.push('cancel');
    },
    get established() {
      return established;
    },
    resetEstablished(locality) {
      if (locality < 3) return false;
      established = false;
      return true;
    },
    async close() {},
    exportPermanent: () => permanent,
    exportVolatile: () => volatile,
    async restore(state) {
      if (state.permanent?.[0] === 0xff || state.volatile?.[0] === 0xff) throw new Error('malformed state');
      if (state.permanent) permanent = Uint8Array.from(state.permanent);
      pending = state.volatile;
      events.push('restore');
    },
  };
}
