/** A host: platform, core, engine and partitions, started from one description and stopped in order. */
import { VerifierClient } from '../../attestation/index.ts';
import { type Engine, fetchLinux, linuxCache, openEngine } from '../../vmm/index.ts';
import type { LaunchPolicy } from '../launch/index.ts';
import type { HostConfig, LinuxPartitionConfig, PartitionConfig } from './config.ts';
import { partitionConsole } from './console.ts';
import { type ControlMethods, ControlServer, textOf } from './control.ts';
import { HostError } from './errors.ts';
import type { HostObserver } from './events.ts';
import { LinuxPartition } from './linux-partition.ts';
import { Machine } from './machine.ts';
import { type HostedPartition, Partition, type PartitionStatus } from './partition.ts';
import { Platform } from './platform.ts';
import { Relay } from './relay.ts';
import { chooseReleaseKey, readReleaseKey } from './release-key.ts';
import { Restarts } from './restarts.ts';
import { VerifierLink } from './verifier-link.ts';

const ENROLMENT_TIMEOUT_MS = 10_000;

export class Host {
  readonly platform: Platform;
  private readonly machine: Machine;
  private readonly partitions: HostedPartition[] = [];
  private readonly channels: HostConfig['channels'];
  private readonly observe: HostObserver;
  private readonly restarts: Restarts;
  private control: ControlServer | undefined;
  private verifier: VerifierLink | undefined;
  private stopping: Promise<void> | undefined;

  private constructor(platform: Platform, machine: Machine, { channels }: HostConfig, observe: HostObserver) {
    this.platform = platform;
    this.machine = machine;
    this.channels = channels;
    this.observe = observe;
    this.restarts = new Restarts((name) => void this.restartCrashed(name));
  }

  /**
   * Power the platform on, launch the nexus, then every partition, sealed before the first one runs. All or nothing:
   * when a step fails, what was started is stopped. `release` is the release statement of this build, for a state that
   * another build sealed. Throws HostError, ManifestError, ReleaseError and what the TPM's store throws.
   */
  static async start(config: HostConfig, observe: HostObserver = () => {}, release?: Uint8Array): Promise<Host> {
    let engine: Engine | undefined;
    const named = config.releaseKey === undefined ? undefined : readReleaseKey(config.releaseKey);
    const choosePolicy = async (made: LaunchPolicy | undefined): Promise<LaunchPolicy> => {
      const releaseKey = chooseReleaseKey(named, made);
      // `auto` stays with the engine that this state was made on: another one is another policy, and opens nothing.
      const choice = config.engine === 'auto' ? (made?.engine ?? 'auto') : config.engine;
      ({ engine } = await openEngine(choice));
      return { allowDebug: false, engine: engine.name, ...(releaseKey !== undefined && { releaseKey }) };
    };
    const opening = Platform.open(config.stateDirectory, choosePolicy, observe, release);
    const platform = await opening.catch(async (error: unknown) => {
      await engine?.close();
      throw error;
    });
    if (engine === undefined) throw new Error('a platform opens under a policy, which names an engine');
    const host = new Host(platform, new Machine(engine), config, observe);
    try {
      await host.launch(config);
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
  partition(name: string): HostedPartition {
    const found = this.partitions.find((partition) => partition.name === name);
    if (found) return found;
    const names = this.partitions.map((partition) => partition.name).join(', ');
    throw new HostError('E_NO_PARTITION', `no partition is named "${name}"`, `the partitions are ${names}`);
  }

  /** The Linux guest of that name. Throws HostError E_NO_PARTITION, or E_PARTITION_STATE for a guest of another kind. */
  linuxPartition(name: string): LinuxPartition {
    const partition = this.partition(name);
    if (partition instanceof LinuxPartition) return partition;
    throw new HostError(
      'E_PARTITION_STATE',
      `${name} is the guest of an image, which is not suspended`,
      'name a partition that host.yaml gives `linux`',
    );
  }

  /**
   * End a partition if it runs, and start it again from its image, with its channels. Throws HostError E_NO_PARTITION,
   * E_PARTITION_STATE, and what launching it throws; it stays down then.
   */
  async restart(name: string): Promise<void> {
    await this.partition(name).restart(() => this.openChannels((pair) => pair.includes(name)));
  }

  /** Stop the partitions, then the platform in order (TPM2_Shutdown). Idempotent. */
  stop(): Promise<void> {
    this.stopping ??= (async () => {
      this.restarts.close();
      this.verifier?.close();
      await this.control?.close();
      for (const partition of this.partitions) await partition.destroy();
      await this.machine.engine.close();
      await this.platform.close();
    })();
    return this.stopping;
  }

  private async launch(config: HostConfig): Promise<void> {
    const { observe } = this;
    const { verifierUrl } = config;
    this.verifier = verifierUrl === undefined ? undefined : this.linkTo(verifierUrl);
    await this.verifier?.open();
    for (const partition of config.partitions) {
      this.partitions.push(await this.launchPartition(partition));
    }
    for (const partition of this.partitions) partition.admit();
    this.openChannels(() => true);
    this.machine.root('bootLock');
    for (const { name, console } of this.partitions) {
      await console.hub.listen(partitionConsole(config.stateDirectory, name));
    }
    this.control = await ControlServer.listen(config.stateDirectory, {
      partitions: () => this.status(),
      restart: (parameters) => this.restart(textOf(parameters, 'name')),
      ...this.platform.operatorMethods(),
      ...this.guestMethods(),
    });
    for (const partition of this.partitions) await partition.start();
    observe({ kind: 'ready' });
  }

  private linkTo(url: string): VerifierLink {
    const { platform, observe } = this;
    // A verifier that swallows requests must not hold up the start.
    const enroller = new VerifierClient(url, { timeoutMs: ENROLMENT_TIMEOUT_MS });
    return new VerifierLink({ url, client: new VerifierClient(url), enrol: () => platform.enrol(enroller), observe });
  }

  private async launchPartition(config: PartitionConfig): Promise<HostedPartition> {
    const { machine, platform } = this;
    const observe: HostObserver = (event) => {
      this.observe(event);
      const crashed = event.kind === 'exit' && event.crashed;
      if (crashed && config.restart === 'on-crash' && this.stopping === undefined) this.restarts.crashed(config.name);
    };
    if ('linux' in config) {
      requireEngine(config, machine.engine);
      const files = await fetchLinux(linuxCache(), config.linux, { tools: true });
      return LinuxPartition.launch(config, { machine, platform, files, observe });
    }
    const relay = new Relay(config, this.verifier, platform.store, observe);
    const { allowDebug } = platform.policy;
    const tpm = config.vtpm ? await platform.partitionTpm(config.name) : undefined;
    return Partition.launch(config, { machine, platform, allowDebug, relay, observe, ...(tpm && { tpm }) });
  }

  /** Each end of a channel has the channel's place in the host file as its number. One with a dead end stays closed. */
  private openChannels(which: (pair: readonly [string, string]) => boolean): void {
    this.channels.forEach(([one, other], end) => {
      const [a, b] = [this.partition(one).status(), this.partition(other).status()];
      const alive = a.state === 'running' && b.state === 'running';
      if (alive && which([one, other])) this.machine.root('channelOpen', a.id, end, b.id, end);
    });
  }

  private async restartCrashed(name: string): Promise<void> {
    try {
      await this.restart(name);
    } catch (error) {
      const reason = `could not start again: ${error instanceof Error ? error.message : String(error)}`;
      this.observe({ kind: 'exit', name, crashed: true, reason, hypercalls: 0, refusals: 0 });
    }
  }

  /** What the operator may ask about one guest. */
  private guestMethods(): ControlMethods {
    const guest = (parameters: unknown) => this.linuxPartition(textOf(parameters, 'name'));
    return {
      suspend: (parameters) => guest(parameters).suspend(textOf(parameters, 'file')),
      restore: (parameters) => guest(parameters).restore(textOf(parameters, 'file')),
      discard: (parameters) => guest(parameters).discard(),
      ekCertificate: async (parameters) =>
        Buffer.from(await this.partition(textOf(parameters, 'name')).ekCertificate()).toString('hex'),
    };
  }
}

/** Throws HostError E_ENVIRONMENT for a guest that the engine cannot run. */
function requireEngine({ name, linux }: LinuxPartitionConfig, { name: engine }: Engine): void {
  if (engine !== 'v86' || linux !== 'x86_64') return;
  const way = 'set `linux: i686`, or `engine: kvm` where `nexus engines` finds it usable';
  throw new HostError('E_ENVIRONMENT', `${name}: v86 runs 32-bit guests`, way);
}
