/** A TPM as a device of a partition. */
import type { Locality, TpmDevice } from '../../tpm/device.ts';
import type { TpmInterface } from '../acpi/machine.ts';
import type { DevicePort, DeviceSpec } from '../device.ts';

export interface TpmConfig {
  readonly interface: TpmInterface;
  readonly established: boolean;
}

export type TpmToHost =
  | { readonly kind: 'execute'; readonly id: number; readonly command: Uint8Array; readonly locality: Locality }
  | { readonly kind: 'cancel' }
  | { readonly kind: 'resetEstablished'; readonly locality: Locality };

export interface TpmFromHost {
  readonly id: number;
  readonly response: Uint8Array | undefined;
  readonly established: boolean;
}

/** The register models send no longer command; more is not from them. */
const COMMAND_MAX = 4096;

/** `tpm` at 0xFED40000. The host powers it on before the partition starts and off when it has ended. */
export function tpmDevice(kind: TpmInterface, tpm: TpmDevice): DeviceSpec {
  const config: TpmConfig = { interface: kind, established: tpm.established };
  return {
    name: 'tpm',
    module: new URL('./tpm-worker.js', import.meta.url),
    config,
    onMessage: (message, port) => serve(tpm, message, port),
  };
}

/** Messages come from a Worker that its guest may have taken over: anything unexpected ends the partition. */
async function serve(tpm: TpmDevice, message: unknown, port: DevicePort): Promise<void> {
  const request = message as Partial<Record<'kind' | 'id' | 'command' | 'locality', unknown>> | null; // checked below
  switch (request?.kind) {
    case 'execute': {
      const { id, command } = request;
      const locality = guestLocality(request.locality);
      if (typeof id !== 'number' || !(command instanceof Uint8Array) || command.length > COMMAND_MAX) break;
      const response = await tpm.execute(command, locality).catch(() => undefined);
      const reply: TpmFromHost = { id, response, established: tpm.established };
      port.send(reply);
      return;
    }
    case 'cancel':
      tpm.cancel();
      return;
    case 'resetEstablished':
      tpm.resetEstablished(guestLocality(request.locality));
      return;
  }
  throw new Error('the TPM device sent a malformed message');
}

function guestLocality(value: unknown): Locality {
  if (value === 0 || value === 1 || value === 2 || value === 3) return value;
  throw new Error('the TPM device named a locality that no guest has');
}
