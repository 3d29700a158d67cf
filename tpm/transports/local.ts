/** A client's way to a TPM in the same process. */
import type { Locality, TpmDevice, TpmTransport } from '../device.ts';

/** Talk to a device directly. `close` leaves the device running: it is its owner's. */
export function localTransport(device: Pick<TpmDevice, 'execute'>): TpmTransport {
  return {
    send: (command: Uint8Array, locality?: Locality) => device.execute(command, locality),
    close: async () => {},
  };
}
