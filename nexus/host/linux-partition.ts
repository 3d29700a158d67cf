/**
 * A stock Linux as a partition: its own TPM, whose endorsement key the nexus certifies, a measured boot, and a life of
 * its own: it may reboot, and be suspended to a file and restored. Standard, so outside the trust of the others.
 */
import { readFile } from 'node:fs/promises';
import { encodeEventLog } from '../../attestation/index.ts';
import { type Tpm, TpmClient } from '../../tpm/index.ts';
import {
  FAST_COMMAND_LINE,
  type LinuxFiles,
  linuxDevices,
  prepareLinux,
  resume,
  type SealedVolume,
  suspend,
  type Vm,
  type VmExit,
  type VmSpec,
} from '../../vmm/index.ts';
import { Allotment } from './allotment.ts';
import type { LinuxPartitionConfig } from './config.ts';
import { Console } from './console.ts';
import { HostError } from './errors.ts';
import type { HostObserver } from './events.ts';
import { writeFileAtomic } from './files.ts';
import type { Machine } from './machine.ts';
import type { HostedPartition, PartitionStatus } from './partition.ts';
import type { Platform } from './platform.ts';
import { MONITOR, partitionOwner, readEkCertificate } from './tpms.ts';
import { Turn } from './turn.ts';

export interface LinuxContext {
  readonly machine: Machine;
  readonly platform: Platform;
  readonly files: Pick<LinuxFiles, 'kernel' | 'initrd'>;
  readonly observe: HostObserver;
}

/** What runs now: a place in the core, and the engine's machine. */
interface Instance {
  readonly allotment: Allotment;
  readonly vm: Vm;
}

export class LinuxPartition implements HostedPartition {
  readonly name: string;
  readonly console: Console;
  private readonly config: LinuxPartitionConfig;
  private readonly context: LinuxContext;
  private readonly tpm: Tpm;
  private readonly volume: SealedVolume | undefined;
  private instance: Instance | undefined;
  private state: PartitionStatus['state'] = 'stopped';
  private hypercalls = 0;
  private destroyed = false;
  /** Starting, rebooting, suspending and restoring, one after another. */
  private readonly inTurn = new Turn();

  private constructor(config: LinuxPartitionConfig, context: LinuxContext, tpm: Tpm, volume: SealedVolume | undefined) {
    this.name = config.name;
    this.config = config;
    this.context = context;
    this.tpm = tpm;
    this.volume = volume;
    this.console = new Console(config.name, context.observe, (bytes) => this.instance?.vm.input(bytes));
  }

  /**
   * Open its TPM and lay it out, sealed and not yet running. One that was suspended waits for `restore` instead.
   * Throws HostError and what preparing a Linux guest throws.
   */
  static async launch(config: LinuxPartitionConfig, context: LinuxContext): Promise<LinuxPartition> {
    const { platform } = context;
    const { name, volumeBytes } = config;
    const tpm = await platform.partitionTpm(name);
    const opening = volumeBytes === undefined ? undefined : platform.partitionVolume(name, volumeBytes);
    const volume = await opening?.catch(async (error: unknown) => {
      await tpm.close();
      throw error;
    });
    const partition = new LinuxPartition(config, context, tpm, volume);
    try {
      if (platform.store.suspended(config.name)) partition.nowSuspended();
      else await partition.bootAfresh();
    } catch (error) {
      await partition.destroy();
      throw error;
    }
    return partition;
  }

  admit(): void {
    this.instance?.allotment.admit();
  }

  async start(): Promise<void> {
    await this.instance?.vm.start();
  }

  /** A suspended one is refused with HostError E_PARTITION_STATE: its snapshot must be restored or discarded. */
  restart(connect: () => void): Promise<void> {
    return this.inTurn.take(async () => {
      if (this.state === 'suspended') throw this.wrongState(`${this.name} is suspended`);
      await this.instance?.vm.stop();
      await this.reboot();
      connect();
    });
  }

  status(): PartitionStatus {
    return {
      name: this.name,
      id: this.instance?.allotment.id ?? 0,
      type: 'standard',
      state: this.state,
      memoryBytes: this.config.memoryBytes,
      hypercalls: this.hypercalls,
    };
  }

  /** Certificate of its TPM's P-256 endorsement key, DER. */
  async ekCertificate(): Promise<Uint8Array> {
    this.require('running', 'its TPM is off');
    return readEkCertificate(await TpmClient.of(this.tpm));
  }

  /**
   * Save it with its TPM to a new file and end it; it waits to be restored, also after the host has started again.
   * Throws HostError E_PARTITION_STATE, SnapshotError, EngineError, EEXIST; it runs on then.
   */
  suspend(file: string): Promise<void> {
    return this.inTurn.take(async () => {
      const { vm } = this.require('running', 'there is nothing to save');
      const { store } = this.context.platform;
      await this.sealed(({ seal, counter }) =>
        suspend(
          vm,
          seal,
          counter,
          async (bytes) => {
            writeFileAtomic(file, bytes, { exclusive: true });
            await store.setSuspended(this.name, true);
            this.nowSuspended();
          },
          this.tpm,
        ),
      );
      this.release();
    });
  }

  /** Continue it from a file. Throws HostError E_PARTITION_STATE and SnapshotError; it stays suspended then. */
  restore(file: string): Promise<void> {
    return this.inTurn.take(async () => {
      this.requireSuspended();
      const bytes = await readFile(file);
      const { machine, platform } = this.context;
      const allotment = new Allotment(machine, 'standard', this.config.memoryBytes);
      try {
        const vm = await this.sealed(({ seal, counter }) =>
          resume(
            machine.engine,
            {
              ...this.callbacks(),
              memoryBytes: this.config.memoryBytes,
              acpi: true,
              devices: linuxDevices(machine.engine, this.tpm, this.volume),
            },
            bytes,
            seal,
            counter,
            this.tpm,
          ),
        );
        this.becomes({ allotment, vm });
      } catch (error) {
        allotment.destroy();
        throw error;
      }
      await platform.store.setSuspended(this.name, false);
      this.admit();
      await this.start();
    });
  }

  /** Give its snapshot up and boot it afresh. Throws HostError E_PARTITION_STATE. */
  discard(): Promise<void> {
    return this.inTurn.take(async () => {
      this.requireSuspended();
      await this.context.platform.store.setSuspended(this.name, false);
      await this.bootAfresh();
      this.admit();
      await this.start();
    });
  }

  async destroy(): Promise<void> {
    this.destroyed = true;
    await this.inTurn.take(async () => {
      await this.instance?.vm.stop();
      this.release();
      await this.console.close();
      this.tpm.powerOff();
      await this.tpm.close();
      await this.volume?.close();
    });
  }

  /** From power-on. No snapshot of before opens any more: the TPM's state goes on from here. */
  private async bootAfresh(): Promise<void> {
    await this.context.platform.freshness('snapshot', this.name).increment();
    await this.boot();
  }

  private async boot(): Promise<void> {
    const { machine, files, observe } = this.context;
    const { memoryBytes, commandLine } = this.config;
    const { spec } = await prepareLinux(machine.engine, {
      ...{ files, memoryBytes, tpm: this.tpm, encodeLog: encodeEventLog, monitorVersion: MONITOR },
      ...(this.volume && { disk: this.volume }),
      commandLine: commandLine === '' ? FAST_COMMAND_LINE : `${FAST_COMMAND_LINE} ${commandLine}`,
    });
    const allotment = new Allotment(machine, 'standard', memoryBytes);
    try {
      this.becomes({ allotment, vm: await machine.engine.create({ ...spec, ...this.callbacks() }) });
    } catch (error) {
      allotment.destroy();
      throw error;
    }
    observe({
      ...{ kind: 'partition', name: this.name, id: allotment.id, type: 'standard', memoryBytes },
      ...{ populatedFrames: pagesOf(spec.segments), engine: machine.engine.name },
    });
  }

  private callbacks(): Pick<VmSpec, 'name' | 'onHypercall' | 'onConsole' | 'onExit'> {
    return {
      name: this.name,
      // A standard guest without services of the nexus.
      onHypercall: () => {
        this.hypercalls++;
        return { result: 0 };
      },
      onConsole: this.console.show,
      onExit: (exit) => this.ended(exit),
    };
  }

  private becomes(instance: Instance): void {
    instance.allotment.seal(instance.vm);
    this.instance = instance;
    this.state = 'running';
  }

  private nowSuspended(): void {
    this.state = 'suspended';
    this.context.observe({ kind: 'suspended', name: this.name });
  }

  private ended(exit: VmExit): void {
    this.console.end();
    if (this.state === 'suspended') return;
    this.instance?.allotment.stop();
    this.state = exit.kind;
    const crashed = exit.kind === 'crashed';
    const reason = exit.kind === 'crashed' ? exit.reason : exit.by;
    if (reason === 'reset' && !crashed && !this.destroyed) {
      void this.inTurn
        .take(() => this.reboot())
        .catch((error: unknown) => {
          this.tellExit(true, `could not start again: ${error instanceof Error ? error.message : String(error)}`);
        });
      return;
    }
    this.tpm.powerOff();
    this.tellExit(crashed, reason);
  }

  /** A reset: the platform's power stays on for nobody, its TPM least of all. */
  private async reboot(): Promise<void> {
    if (this.destroyed) return;
    this.tpm.powerOff();
    this.release();
    await this.boot();
    this.admit();
    await this.start();
  }

  private tellExit(crashed: boolean, reason: string): void {
    const { name, hypercalls } = this;
    this.context.observe({ kind: 'exit', name, crashed, reason, hypercalls, refusals: 0 });
  }

  /** Give what it had in the core back. */
  private release(): void {
    this.instance?.allotment.destroy();
    this.instance = undefined;
  }

  /** What its snapshots are sealed with, for one use. */
  private async sealed<T>(
    use: (with_: {
      readonly seal: { readonly key: Uint8Array; readonly partition: Uint8Array };
      readonly counter: ReturnType<Platform['freshness']>;
    }) => Promise<T>,
  ): Promise<T> {
    const { platform } = this.context;
    const key = platform.partitionKey('snapshot', this.name);
    try {
      const seal = { key, partition: partitionOwner(this.name) };
      return await use({ seal, counter: platform.freshness('snapshot', this.name) });
    } finally {
      key.fill(0);
    }
  }

  private require(state: 'running', why: string): Instance {
    if (this.state === state && this.instance) return this.instance;
    throw this.wrongState(`${this.name} is ${this.state}: ${why}`);
  }

  private requireSuspended(): void {
    if (this.state !== 'suspended') throw this.wrongState(`${this.name} is ${this.state}, not suspended`);
  }

  private wrongState(message: string): HostError {
    return new HostError('E_PARTITION_STATE', message, '`nexus ps` shows the states; save suspends, restore continues');
  }
}

/** Pages that segments touch. */
function pagesOf(segments: VmSpec['segments']): number {
  const pages = new Set<number>();
  for (const { gpa, bytes } of segments) {
    for (let page = gpa >>> 12; page < Math.ceil((gpa + bytes.length) / 4096); page++) pages.add(page);
  }
  return pages.size;
}
