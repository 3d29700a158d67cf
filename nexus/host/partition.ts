/** One partition of a host: launched from its description, serving its hypercalls, ended once. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import {
  ERROR_BASE,
  type Hypercall,
  type HypercallReply,
  loadMultiboot,
  MultibootError,
  PERM_READ,
  PERM_WRITE,
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
  /** Stop it if it runs, destroy it in the core, and scrub what it had. Idempotent. */
  destroy(): Promise<void>;
}

/** An image, its manifest where it is trusted, and what of them is measured: read once, checked, not yet running. */
interface Loaded {
  readonly segments: readonly { readonly gpa: number; readonly bytes: Uint8Array }[];
  readonly entry: { readonly eip: number; readonly eax?: number; readonly ebx?: number; readonly esi?: number };
  readonly frames: readonly MeasuredFrame[];
  readonly code: TrustedCode | undefined;
}

export interface PartitionContext {
  readonly machine: Machine;
  readonly platform: ServicePlatform;
  readonly allowDebug: boolean;
  readonly relay: ServiceRelay;
  readonly observe: HostObserver;
}

export class Partition implements HostedPartition {
  readonly config: ImagePartitionConfig;
  readonly name: string;
  readonly console: Console;
  private readonly context: PartitionContext;
  private readonly services: PartitionServices;
  private readonly code: TrustedCode | undefined;
  private readonly allotment: Allotment;
  private vm: Vm | undefined;
  private exit: VmExit | undefined;
  private hypercalls = 0;
  private refusals = 0;

  private constructor(
    config: ImagePartitionConfig,
    context: PartitionContext,
    code: TrustedCode | undefined,
    allotment: Allotment,
  ) {
    this.config = config;
    this.name = config.name;
    this.context = context;
    this.code = code;
    this.allotment = allotment;
    this.services = new PartitionServices(config.name, code, context.platform, context.relay);
    this.console = new Console(config.name, context.observe, (bytes) => this.vm?.input(bytes));
  }

  /**
   * Load, check, measure, and give its memory to the core; sealed, so that nothing of it can change any more, but not
   * yet running. Throws HostError E_IMAGE, ManifestError, or E_CORE_REFUSED.
   */
  static async launch(config: ImagePartitionConfig, context: PartitionContext): Promise<Partition> {
    const { machine, observe } = context;
    const loaded = load(config, context.allowDebug);
    const measured = loaded.code ? loaded.frames.map(({ page }) => page) : [];
    const allotment = new Allotment(machine, config.kind, config.memoryBytes, measured);
    const partition = new Partition(config, context, loaded.code, allotment);
    // The engine gets the bytes that were measured, not the file again.
    partition.vm = await machine.engine.create({
      name: config.name,
      memoryBytes: config.memoryBytes,
      segments: loaded.frames.map(({ page, content }) => ({ gpa: page * PAGE_SIZE, bytes: content })),
      entry: loaded.entry,
      onHypercall: (call) => partition.hypercall(call),
      onConsole: partition.console.show,
      onExit: (exit) => partition.ended(exit),
    });
    allotment.seal(partition.vm);
    observe({
      kind: 'partition',
      name: config.name,
      id: partition.id,
      type: config.kind,
      memoryBytes: config.memoryBytes,
      populatedFrames: loaded.frames.length,
      engine: machine.engine.name,
      ...describe(loaded.code),
    });
    return partition;
  }

  /** Its number in the core. */
  get id(): number {
    return this.allotment.id;
  }

  admit(): void {
    this.allotment.admit();
  }

  async start(): Promise<void> {
    await this.vm?.start();
  }

  status(): PartitionStatus {
    return {
      name: this.config.name,
      id: this.id,
      type: this.config.kind,
      state: this.exit === undefined ? 'running' : this.exit.kind,
      memoryBytes: this.config.memoryBytes,
      hypercalls: this.hypercalls,
      ...(this.code === undefined ? {} : { codeIdentity: hex(this.code.identity) }),
    };
  }

  async destroy(): Promise<void> {
    await this.vm?.stop();
    await this.console.close();
    this.allotment.destroy();
  }

  private async hypercall({ call, args, input }: Hypercall): Promise<HypercallReply> {
    this.hypercalls++;
    if (call < SERVICE_BASE) {
      const result = this.context.machine.call(this.id, call, args);
      if (result >= ERROR_BASE) this.refused('core', callName(call), errorName(result) ?? `0x${result.toString(16)}`);
      return { result };
    }
    try {
      const output = await this.services.handle(call, input);
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
    this.allotment.stop();
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
    return { segments, entry, frames, code: manifest && identify(manifest, frames, config.memoryBytes, entry) };
  } catch (error) {
    if (!(error instanceof MultibootError)) throw error;
    throw new HostError('E_IMAGE', `${config.image}: ${error.message}`, 'build the image with the guest SDK', {
      cause: error,
    });
  }
}

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
