/** A client's ways to a TPM behind a socket: swtpm's channels, or the simulator's ports. */
import type { Locality, TpmTransport } from '../device.ts';
import { type ByteQueue, concat, u32At, u32s } from './bytes.ts';
import { TpmTransportError } from './errors.ts';
import type { Place } from './place.ts';
import { CMD, PTM_RES, SIGNAL, TPM_HEADER } from './protocol.ts';
import { protocolError, StreamClient } from './stream-client.ts';

/** Largest response that a client accepts; a TPM's own limit is about 4 KiB. */
const MAX_RESPONSE = 1024 * 1024;

/** Where swtpm's channels are. Without `control`, only locality 0 can be used. */
export interface SwtpmPlaces {
  readonly data: Place;
  readonly control?: Place;
}

/** Talk to swtpm, to `nexus tpm serve`, or to any server of bare TPM commands. Rejects with E_TRANSPORT_CONNECT. */
export async function swtpmTransport({ data, control }: SwtpmPlaces): Promise<TpmTransport> {
  const stream = await StreamClient.open(data);
  const side = control ? await StreamClient.open(control) : undefined;
  let current: Locality = 0;
  let turn: Promise<unknown> = Promise.resolve();

  const atLocality = async (command: Uint8Array, locality: Locality) => {
    if (locality !== current) {
      if (!side) {
        throw new TpmTransportError(
          'E_TRANSPORT_LOCALITY',
          `locality ${locality} needs the control channel`,
          'name the control channel when opening the transport',
        );
      }
      const result = await side.exchange(u32s(CMD.SET_LOCALITY, locality * 0x1000000), (queue) => queue.take(4));
      if (u32At(result, 0) !== PTM_RES.SUCCESS) {
        throw new TpmTransportError(
          'E_TRANSPORT_LOCALITY',
          `the TPM refuses locality ${locality} (result ${u32At(result, 0)})`,
          'use a locality that its configuration allows',
        );
      }
      current = locality;
    }
    return await stream.exchange(command, rawResponse);
  };

  return {
    send(command, locality = 0) {
      // The locality is a state of the whole server, so a change waits for the commands before it.
      if (!side && locality === 0) return stream.exchange(command, rawResponse);
      const answer = turn.then(() => atLocality(command, locality));
      turn = answer.catch(() => {});
      return answer;
    },
    async close() {
      await Promise.all([stream.close(), side?.close()]);
    },
  };
}

function rawResponse(queue: ByteQueue): Uint8Array | undefined {
  const head = queue.peek(TPM_HEADER);
  if (!head) return undefined;
  const size = u32At(head, 2);
  if (size < TPM_HEADER || size > MAX_RESPONSE) throw protocolError(`a response header names ${size} bytes`);
  return queue.take(size);
}

/** Where the simulator's ports are. With `platform`, the TPM's power is switched on first. */
export interface SimulatorPlaces {
  readonly command: Place;
  readonly platform?: Place;
}

/** Talk to a server of the simulator's protocol. Rejects with E_TRANSPORT_CONNECT. */
export async function simulatorTransport({ command, platform }: SimulatorPlaces): Promise<TpmTransport> {
  if (platform) {
    const side = await StreamClient.open(platform);
    for (const signal of [SIGNAL.POWER_ON, SIGNAL.NV_ON]) {
      const answer = await side.exchange(u32s(signal), (queue) => queue.take(4));
      if (u32At(answer, 0) !== 0) throw protocolError(`the platform port refuses signal ${signal}`);
    }
    await side.close(u32s(SIGNAL.SESSION_END));
  }
  const stream = await StreamClient.open(command);
  return {
    send(bytes, locality = 0) {
      const head = Uint8Array.of(0, 0, 0, SIGNAL.SEND_COMMAND, locality);
      return stream.exchange(concat(head, u32s(bytes.length), bytes), simulatorAnswer);
    },
    close: () => stream.close(u32s(SIGNAL.SESSION_END)),
  };
}

function simulatorAnswer(queue: ByteQueue): Uint8Array | undefined {
  const head = queue.peek(4);
  if (!head) return undefined;
  const size = u32At(head, 0);
  if (size < TPM_HEADER || size > MAX_RESPONSE) throw protocolError(`a simulator frame names ${size} bytes`);
  return queue.take(4 + size + 4)?.subarray(4, 4 + size);
}
