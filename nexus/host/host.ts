/** A host: platform, core, engine and partitions, started from one description and stopped in order. */
import { VerifierClient } from '../../attestation/index.ts';
import { type Engine, openEngine } from '../../vmm/index.ts';
import type { LaunchPolicy } from '../launch/index.ts';
import type { HostConfig } from './config.ts';
import { ControlServer } from './control.ts';
import { HostError } from './errors.ts';
import type { HostObserver } from './events.ts';
import { Machine } from './machine.ts';
import { Partition, type PartitionStatus } from './partition.ts';
import { Platform } from './platform.ts';
import { Relay } from './relay.ts';

export class Host {
  readonly platform: Platform;
  private readonly machine: Machine;
  private readonly partitions: Partition[] = [];
  private control: ControlServer | undefined;
  private stopping: Promise<void> | undefined;

  private constructor(platform: Platform, machine: Machine) {
    this.platform = platform;
    this.machine = machine;
  }

  /**
   * Power the platform on, launch the nexus, then every partition, sealed before the first one runs. All or nothing:
   * when a step fails, what was started is stopped. Throws HostError, ManifestError and what the TPM's store throws.
   */
  static async start(config: HostConfig, observe: HostObserver = () => {}): Promise<Host> {
    let engine: Engine | undefined;
    const choosePolicy = async (made: LaunchPolicy | undefined): Promise<LaunchPolicy> => {
      // `auto` stays with the engine that this state was made on: another one is another policy, and opens nothing.
      const choice = config.engine === 'auto' ? (made?.engine ?? 'auto') : config.engine;
      ({ engine } = await openEngine(choice));
      return { allowDebug: false, engine: engine.name };
    };
    const platform = await Platform.open(config.stateDirectory, choosePolicy, observe).catch(async (error: unknown) => {
      await engine?.close();
      throw error;
    });
    if (engine === undefined) throw new Error('a platform opens under a policy, which names an engine');
    const host = new Host(platform, new Machine(engine));
    try {
      await host.launch(config, observe);
    } catch (error) {
      await host.stop();
      throw error;
    }
    return host;
  }

  status(): PartitionStatus[] {
    return this.partitions.map((partition) => partition.status());
  }

  /** The partition of that name. Throws HostError E_NO_PARTITION. */
  partition(name: string): Partition {
    const found = this.partitions.find(({ config }) => config.name === name);
    if (found) return found;
    const names = this.partitions.map(({ config }) => config.name).join(', ');
    throw new HostError('E_NO_PARTITION', `no partition is named "${name}"`, `the partitions are ${names}`);
  }

  /** Stop the partitions, then the platform in order (TPM2_Shutdown). Idempotent. */
  stop(): Promise<void> {
    this.stopping ??= (async () => {
      await this.control?.close();
      for (const partition of this.partitions) await partition.destroy();
      await this.machine.engine.close();
      await this.platform.close();
    })();
    return this.stopping;
  }

  private async launch(config: HostConfig, observe: HostObserver): Promise<void> {
    const verifier = config.verifierUrl === undefined ? undefined : new VerifierClient(config.verifierUrl);
    if (verifier && config.verifierUrl !== undefined) {
      const platform = await this.platform.enrol(verifier);
      observe({ kind: 'enrolled', platform, verifier: config.verifierUrl });
    }
    for (const partition of config.partitions) {
      const relay = new Relay(partition, verifier, this.platform.store, observe);
      const { machine, platform } = this;
      const context = { machine, platform, allowDebug: platform.policy.allowDebug, relay, observe };
      this.partitions.push(await Partition.launch(partition, context));
    }
    for (const partition of this.partitions) partition.admit();
    config.channels.forEach(([a, b], end) => {
      this.machine.root('channelOpen', this.partition(a).id, end, this.partition(b).id, end);
    });
    this.machine.root('bootLock');
    this.control = await ControlServer.listen(config.stateDirectory, {
      partitions: () => this.status(),
      ...this.platform.operatorMethods(),
    });
    for (const partition of this.partitions) await partition.start();
  }
}
