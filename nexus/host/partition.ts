/** One partition of a host: launched from its description, serving its hypercalls, ended once. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { encodeEventLog } from '../../attestation/index.ts';
import { type Tpm, TpmClient } from '../../tpm/index.ts';
import {
  ERROR_BASE,
  type Hypercall,
  type HypercallReply,
  loadMultiboot,
  MultibootError,
  PERM_READ,
  PERM_WRITE,
  prepareMultiboot,
  SERVICE_BASE,
  type Vm,
  type VmExit,
} from '../../vmm/index.ts';
import { CALLS, errorName } from '../core/index.ts';
import {
  checkAgainstManifest,
  codeIdentity,
  launchMeasurement,
  type Manifest,
  type MeasuredFrame,
  parseManifest,
  populatedFrames,
} from '../launch/index.ts';
import {
  PartitionServices,
  SERVICE,
  SERVICE_ERROR,
  ServiceError,
  type ServicePlatform,
  type ServiceRelay,
  type TrustedCode,
} from '../services/index.ts';
import { Allotment } from './allotment.ts';
import type { ImagePartitionConfig } from './config.ts';
import { Console } from './console.ts';
import { HostError } from './errors.ts';
import type { HostObserver } from './events.ts';
import type { Machine } from './machine.ts';
import { MONITOR, readEkCertificate } from './tpms.ts';
import { Turn } from './turn.ts';

const PAGE_SIZE = 4096;
const PERM_ALL = PERM_READ | PERM_WRITE;
/** Refusals of one partition that are told one by one; its exit tells how many there were. */
const REFUSALS_TOLD = 1000;

/** What `nexus ps` shows. */
export interface PartitionStatus {
  readonly name: string;
  readonly id: number;
  readonly type: 'trusted' | 'standard';
  /** `suspended`: saved to a file, from which it waits to be restored. */
  readonly state: 'running' | 'stopped' | 'crashed' | 'suspended';
  readonly memoryBytes: number;
  readonly hypercalls: number;
  readonly codeIdentity?: string;
}

/** What a host does with a partition of any kind. */
export interface HostedPartition {
  readonly name: string;
  readonly console: Console;
  status(): PartitionStatus;
  /** Let the core know it as running: from here on it may be a party to channels and grants. */
  admit(): void;
  /** Execute its first instruction. */
  start(): Promise<void>;
  /**
   * End it if it runs, and start it again from its image; `connect` links what it shares with others, once the core
   * knows it. Throws what `launch` throws; it stays down then.
   */
  restart(connect: () => void): Promise<void>;
  /** Certificate of its TPM's P-256 endorsement key, DER. Throws HostError E_PARTITION_STATE while it has none. */
  ekCertificate(): Promise<Uint8Array>;
  /** Stop it if it runs, destroy it in the core, and scrub what it had. Idempotent. */
  destroy(): Promise<void>;
}

/** An image, its manifest where it is trusted, and what of them is measured: read once, checked, not yet running. */
interface Loaded {
  readonly image: Uint8Array;
  readonly entry: { readonly eip: number; readonly eax?: number; readonly ebx?: number; readonly esi?: number };
  readonly frames: readonly MeasuredFrame[];
  readonly code: TrustedCode | undefined;
}

export interface PartitionContext {
  readonly machine: Machine;
  readonly platform: ServicePlatform;
  readonly allowDebug: boolean;
  readonly relay: ServiceRelay;
  /** Its own TPM, off; it is closed with the partition. */
  readonly tpm?: Tpm;
  readonly observe: HostObserver;
}

/** What runs now, or has run. */
interface Instance {
  readonly code: TrustedCode | undefined;
  readonly allotment: Allotment;
  readonly vm: Vm;
}

export class Partition implements HostedPartition {
  readonly config: ImagePartitionConfig;
  readonly name: string;
  readonly console: Console;
  private readonly context: PartitionContext;
  private instance: Instance | undefined;
  private exit: VmExit | undefined;
  private hypercalls = 0;
  private refusals = 0;
  private destroyed = false;
  /** Restarts and the end, one after another. */
  private readonly inTurn = new Turn();

  private constructor(config: ImagePartitionConfig, context: PartitionContext) {
    this.config = config;
    this.name = config.name;
    this.context = context;
    this.console = new Console(config.name, context.observe, (bytes) => this.instance?.vm.input(bytes));
  }

  /**
   * Load, check, measure, and give its memory to the core; sealed, so that nothing of it can change any more, but not
   * yet running. Throws HostError E_IMAGE, ManifestError, or E_CORE_REFUSED.
   */
  static async launch(config: ImagePartitionConfig, context: PartitionContext): Promise<Partition> {
    const partition = new Partition(config, context);
    try {
      await partition.layOut();
    } catch (error) {
      await partition.destroy();
      throw error;
    }
    return partition;
  }

  /** Its number in the core; 0 while it has none. */
  get id(): number {
    return this.instance?.allotment.id ?? 0;
  }

  admit(): void {
    this.instance?.allotment.admit();
  }

  async start(): Promise<void> {
    await this.instance?.vm.start();
  }

  restart(connect: () => void): Promise<void> {
    return this.inTurn.take(async () => {
      if (this.destroyed) return;
      await this.giveBack();
      await this.layOut();
      this.admit();
      connect();
      await this.start();
    });
  }

  status(): PartitionStatus {
    const { instance, exit } = this;
    return {
      name: this.config.name,
      id: this.id,
      type: this.config.kind,
      state: exit ? exit.kind : instance ? 'running' : 'stopped',
      memoryBytes: this.config.memoryBytes,
      hypercalls: this.hypercalls,
      ...(instance?.code && { codeIdentity: hex(instance.code.identity) }),
    };
  }

  async ekCertificate(): Promise<Uint8Array> {
    const { tpm } = this.context;
    if (tpm && this.instance && this.exit === undefined) return readEkCertificate(await TpmClient.of(tpm));
    const why = tpm ? 'its TPM is off' : 'it has no TPM';
    throw new HostError('E_PARTITION_STATE', `${this.name}: ${why}`, 'give it `vtpm: true` in host.yaml, and start it');
  }

  destroy(): Promise<void> {
    this.destroyed = true;
    return this.inTurn.take(async () => {
      await this.giveBack();
      await this.console.close();
      await this.context.tpm?.close();
    });
  }

  private async layOut(): Promise<void> {
    const { config } = this;
    const { machine, observe, allowDebug, platform, relay } = this.context;
    const { image, code, frames: plain, entry } = load(config, allowDebug);
    const measuredBoot = await this.measure(image);
    const frames = measuredBoot ? populatedFrames(measuredBoot.segments, PERM_ALL) : plain;
    const measured = code ? frames.map(({ page }) => page) : [];
    const allotment = new Allotment(machine, config.kind, config.memoryBytes, measured);
    const services = new PartitionServices(config.name, code, platform, relay, (kind, locality) => {
      return machine.call(allotment.id, CALLS.gate.number, [kind, locality, 0, 0, 0, 0]) < ERROR_BASE;
    });
    this.exit = undefined;
    this.hypercalls = 0;
    this.refusals = 0;
    try {
      // The engine gets the bytes that were measured, not the file again.
      const vm = await machine.engine.create({
        name: config.name,
        memoryBytes: config.memoryBytes,
        segments: frames.map(({ page, content }) => ({ gpa: page * PAGE_SIZE, bytes: content })),
        entry,
        ...(measuredBoot && { acpi: true, devices: measuredBoot.devices ?? [] }),
        onHypercall: (call) => this.hypercall(allotment.id, services, call),
        onConsole: this.console.show,
        onExit: (exit) => this.ended(exit),
      });
      allotment.seal(vm);
      this.instance = { code, allotment, vm };
    } catch (error) {
      allotment.destroy();
      throw error;
    }
    observe({
      kind: 'partition',
      name: config.name,
      id: allotment.id,
      type: config.kind,
      memoryBytes: config.memoryBytes,
      populatedFrames: frames.length,
      engine: machine.engine.name,
      ...describe(code),
    });
  }

  /** Into its own TPM, where it has one: the image with tables and event log beside it. */
  private async measure(image: Uint8Array) {
    const { machine, tpm } = this.context;
    if (tpm === undefined) return undefined;
    const { name, commandLine, memoryBytes, image: file } = this.config;
    const boot = { image, name, commandLine, memoryBytes, tpm, monitorVersion: MONITOR, encodeLog: encodeEventLog };
    const { spec } = await prepareMultiboot(machine.engine, boot).catch(asImageError(file));
    return spec;
  }

  private async giveBack(): Promise<void> {
    await this.instance?.vm.stop();
    this.context.tpm?.powerOff();
    this.instance?.allotment.destroy();
    this.instance = undefined;
  }

  private async hypercall(
    id: number,
    services: PartitionServices,
    { call, args, input }: Hypercall,
  ): Promise<HypercallReply> {
    this.hypercalls++;
    if (call < SERVICE_BASE) {
      const result = this.context.machine.call(id, call, args);
      if (result >= ERROR_BASE) this.refused('core', callName(call), errorName(result) ?? `0x${result.toString(16)}`);
      return { result };
    }
    try {
      const output = await services.handle(call, input);
      return { result: output.length, output };
    } catch (error) {
      const code = error instanceof ServiceError ? error.serviceCode : SERVICE_ERROR.PLATFORM;
      const message = error instanceof Error ? error.message : String(error);
      this.refused('services', serviceName(call), `${serviceErrorName(code)} (${message})`);
      return { result: ERROR_BASE + code };
    }
  }

  private refused(layer: 'core' | 'services', call: string, code: string): void {
    // A guest that does nothing but ask for what it may not have must not keep its observer busy.
    if (++this.refusals > REFUSALS_TOLD) return;
    this.context.observe({ kind: 'refusal', name: this.config.name, layer, call, code });
  }

  private ended(exit: VmExit): void {
    this.exit = exit;
    this.console.end();
    this.instance?.allotment.stop();
    this.context.tpm?.powerOff();
    this.context.observe({
      kind: 'exit',
      name: this.config.name,
      crashed: exit.kind === 'crashed',
      reason: exit.kind === 'crashed' ? exit.reason : exit.by,
      hypercalls: this.hypercalls,
      refusals: this.refusals,
    });
  }
}

function load(config: ImagePartitionConfig, allowDebug: boolean): Loaded {
  const image = readFileSync(config.image);
  const manifest = config.manifest === undefined ? undefined : parseManifest(readFileSync(config.manifest));
  if (manifest) {
    checkAgainstManifest(manifest, { image, commandLine: config.commandLine, memoryBytes: config.memoryBytes });
    if (manifest.debug && !allowDebug) {
      throw new HostError(
        'E_MANIFEST',
        `${config.name}: the manifest sets debug, which the launch policy does not allow`,
        'sign a manifest without --debug',
      );
    }
  }
  try {
    const { segments, entry } = loadMultiboot(image, config.commandLine, config.memoryBytes);
    const frames = populatedFrames(segments, PERM_ALL);
    return { image, entry, frames, code: manifest && identify(manifest, frames, config.memoryBytes, entry) };
  } catch (error) {
    return asImageError(config.image)(error);
  }
}

const asImageError = (image: string) => (error: unknown) => {
  if (!(error instanceof MultibootError)) throw error;
  throw new HostError('E_IMAGE', `${image}: ${error.message}`, 'build the image with the guest SDK', { cause: error });
};

function identify(
  manifest: Manifest,
  frames: readonly MeasuredFrame[],
  memoryBytes: number,
  entry: Loaded['entry'],
): TrustedCode {
  const measurement = launchMeasurement(frames, memoryBytes / PAGE_SIZE, entry);
  return {
    measurement,
    identity: codeIdentity(measurement, manifest.payload),
    signer: manifest.signer,
    svn: manifest.svn,
    debug: manifest.debug,
    counterOwner: Uint8Array.from(createHash('sha256').update(manifest.signer).update(manifest.name).digest()),
  };
}

function describe(code: TrustedCode | undefined) {
  if (code === undefined) return {};
  return {
    measurement: hex(code.measurement),
    codeIdentity: hex(code.identity),
    signer: hex(code.signer),
    svn: code.svn,
  };
}

const nameIn = (table: Readonly<Record<string, number>>, value: number) =>
  Object.entries(table).find(([, number]) => number === value)?.[0] ?? `0x${value.toString(16)}`;
const CALL_NUMBERS = Object.fromEntries(Object.entries(CALLS).map(([name, { number }]) => [name, number]));
const callName = (call: number) => nameIn(CALL_NUMBERS, call);
const serviceName = (call: number) => nameIn(SERVICE, call);
const serviceErrorName = (code: number) => nameIn(SERVICE_ERROR, code);
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
