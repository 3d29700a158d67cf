/** Partitions under the real core, engine and host code; the platform and the root are stand-ins without a TPM. */
import { randomBytes } from 'node:crypto';
import { reset } from 'nexus-tcb/nexus/core';
import { type HostEvent, Machine, Partition, type PartitionConfig } from 'nexus-tcb/nexus/host';
import { NexusKeys } from 'nexus-tcb/nexus/services';
import type { Tpm } from 'nexus-tcb/tpm';
import type { Engine, Vm } from 'nexus-tcb/vmm';
import { buildGuests, type GuestName } from '../../guests/build.ts';

const MEMORY = 4 * 1024 * 1024;

const platform = {
  keys: new NexusKeys(randomBytes(32)),
  random: async (count: number) => randomBytes(count),
  report: async () => new Uint8Array(100),
  readCounter: () => 0n,
  incrementCounter: async () => 1n,
};

export class Stage {
  readonly engine: Engine;
  readonly machine: Machine;
  readonly events: HostEvent[] = [];
  readonly #vms = new Map<string, Vm>();

  /** A core as at boot, over an engine of its own. */
  static async open(createEngine: () => Promise<Engine>): Promise<Stage> {
    reset();
    return new Stage(await createEngine());
  }

  private constructor(engine: Engine) {
    this.engine = engine;
    this.machine = new Machine({
      name: engine.name,
      pool: engine.pool,
      close: () => engine.close(),
      create: async (spec) => {
        const vm = await engine.create(spec);
        this.#vms.set(spec.name, vm);
        return vm;
      },
    });
  }

  /** A standard partition, admitted but not started; `tpm` is its own. */
  async launch(name: string, guest: GuestName, mode: string, tpm?: Tpm): Promise<Partition> {
    const image = (await buildGuests())[guest];
    const config: PartitionConfig = { name, kind: 'standard', image, memoryBytes: MEMORY, commandLine: '', mode };
    const relay = {
      handle: async (request: { operation: string; line?: string }) => {
        if (request.operation === 'mode') return Buffer.from(mode);
        if (request.operation === 'result') this.events.push({ kind: 'result', name, line: request.line ?? '' });
        return new Uint8Array();
      },
    };
    const observe = (event: HostEvent) => this.events.push(event);
    const context = { machine: this.machine, platform, relay, allowDebug: false, observe, ...(tpm && { tpm }) };
    const partition = await Partition.launch(config, context);
    partition.admit();
    return partition;
  }

  async start(name: string, guest: GuestName, mode: string): Promise<Partition> {
    const partition = await this.launch(name, guest, mode);
    await partition.start();
    return partition;
  }

  /** All memory of a partition. */
  async memory(name: string): Promise<Uint8Array> {
    return (await this.#vms.get(name)?.readMemory(0, MEMORY)) ?? new Uint8Array();
  }

  results(name: string): string[] {
    return this.events.flatMap((event) => (event.kind === 'result' && event.name === name ? [event.line] : []));
  }

  exits(name: string) {
    return this.events.flatMap((event) => (event.kind === 'exit' && event.name === name ? [event] : []));
  }
}
