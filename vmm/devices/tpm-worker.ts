/** Worker side of a partition's TPM: the register model on the machine's bus, its commands sent to the host thread. */
import { decode, encode } from 'cbor-x';
import type { Locality } from '../../tpm/device.ts';
import type { DeviceFactory, DeviceHost } from '../device.ts';
import type { TpmConfig, TpmFromHost, TpmToHost } from './tpm.ts';
import { RESPONSE_FAILURE, type TpmBackend, type TpmRegisters } from './tpm-backend.ts';
import { TpmCrb } from './tpm-crb/device.ts';
import { TpmTis } from './tpm-tis/device.ts';

/** v86 hands out memory-mapped I/O in blocks of 128 KiB; the five localities lie at the start of theirs. */
const BLOCK = 128 * 1024;

class RemoteTpm implements TpmBackend {
  established: boolean;
  readonly #send: (message: TpmToHost) => void;
  readonly #waiting = new Map<number, (response: Uint8Array) => void>();
  #nextId = 1;

  constructor(host: DeviceHost, established: boolean) {
    this.established = established;
    this.#send = (message) => host.send(message);
    host.onMessage((message) => this.#receive(message as TpmFromHost)); // sent by our own host thread
  }

  execute(command: Uint8Array, locality: Locality = 0): Promise<Uint8Array> {
    const id = this.#nextId++;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#send({ kind: 'execute', id, command, locality });
    });
  }

  cancel(): void {
    this.#send({ kind: 'cancel' });
  }

  resetEstablished(locality: Locality): boolean {
    if (locality < 3) return false;
    this.established = false;
    this.#send({ kind: 'resetEstablished', locality });
    return true;
  }

  #receive(message: TpmFromHost): void {
    this.established = message.established;
    this.#waiting.get(message.id)?.(message.response ?? RESPONSE_FAILURE);
    this.#waiting.delete(message.id);
  }
}

const create: DeviceFactory<TpmConfig> = (host, config) => {
  const tpm = new RemoteTpm(host, config.established);
  const registers: TpmRegisters = config.interface === 'tis' ? new TpmTis(tpm) : new TpmCrb(tpm);
  const offset = (address: number) => (address >>> 0) - registers.base;
  host.cpu.io.mmap_register(
    registers.base,
    BLOCK,
    (address) => registers.read8(offset(address)),
    (address, value) => registers.write8(offset(address), value & 0xff),
  );
  return {
    save: () => encode(registers.save()),
    restore: (state) => registers.load(decode(state)),
  };
};

export default create;
