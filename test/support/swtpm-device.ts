/** The distribution's swtpm as the TPM of a machine: commands over its data channel, power over its control channel. */
import type { TpmDevice, TpmTransport } from '../../tpm/device.ts';
import { swtpmTransport } from '../../tpm/transports/index.ts';
import { StreamClient } from '../../tpm/transports/stream-client.ts';
import { startSwtpm } from './swtpm.ts';

const CMD_INIT = 2;
const RESULT_BYTES = 4;

/** Start swtpm on fresh state. `close` ends it and its state. */
export async function swtpmDevice(): Promise<TpmDevice> {
  const peer = await startSwtpm();
  const transport = await swtpmTransport({ data: { port: peer.port } });
  return new SwtpmDevice(peer, transport);
}

class SwtpmDevice implements TpmDevice {
  readonly established = false;
  readonly #peer: Awaited<ReturnType<typeof startSwtpm>>;
  readonly #transport: TpmTransport;
  #powered: Promise<unknown> = Promise.resolve();

  constructor(peer: Awaited<ReturnType<typeof startSwtpm>>, transport: TpmTransport) {
    this.#peer = peer;
    this.#transport = transport;
  }

  powerOn(): void {
    this.#powered = this.#init();
  }

  async #init(): Promise<void> {
    const control = await StreamClient.open({ port: this.#peer.port + 1 });
    await control.exchange(Uint8Array.of(0, 0, 0, CMD_INIT, 0, 0, 0, 0), (queue) => queue.take(RESULT_BYTES));
    await control.close();
  }

  powerOff(): void {}

  async execute(command: Uint8Array): Promise<Uint8Array> {
    await this.#powered;
    return await this.#transport.send(command);
  }

  hashStart(): void {}
  hashData(): void {}
  hashEnd(): void {}
  cancel(): void {}

  resetEstablished(): boolean {
    return false;
  }

  async close(): Promise<void> {
    await this.#transport.close();
    this.#peer.stop();
  }
}
