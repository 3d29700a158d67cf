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
  WINDOW_BASE,
} from '../../vmm/index.ts';
import { CALLS, errorName, KIND_STANDARD, KIND_TRUSTED, P_FREE, P_STOPPED, state } from '../core/index.ts';
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
import type { PartitionConfig } from './config.ts';
import { ConsoleLines } from './console-lines.ts';
import { HostError } from './errors.ts';
import type { HostObserver } from './events.ts';
import type { Machine } from './machine.ts';

const PAGE_SIZE = 4096;
const PERM_ALL = PERM_READ | PERM_WRITE;
/** Exchange-pool pages that each partition owns, at the first pages of its window. */
export const SHARED_PAGES = 16;
const WINDOW_FIRST = WINDOW_BASE / PAGE_SIZE;
/** Page numbers of those pages. */
const SHARED: readonly number[] = Array.from({ length: SHARED_PAGES }, (_, page) => WINDOW_FIRST + page);

/** Refusals of one partition that are told one by one; its exit tells how many there were. */
const REFUSALS_TOLD = 1000;

/** What `nexus ps` shows. */
export interface PartitionStatus {
  readonly name: string;
  readonly id: number;
  readonly type: 'trusted' | 'standard';
  readonly state: 'running' | 'stopped' | 'crashed';
  readonly memoryBytes: number;
  readonly hypercalls: number;
  readonly codeIdentity?: string;
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

export class Partition {
  readonly config: PartitionConfig;
  readonly id: number;
  private readonly context: PartitionContext;
  private readonly services: PartitionServices;
  private readonly code: TrustedCode | undefined;
  /** Its private memory, by page. */
  private readonly frames: readonly number[];
  private readonly console: ConsoleLines;
  private vm: Vm | undefined;
  private exit: VmExit | undefined;
  private hypercalls = 0;
  private refusals = 0;

  private constructor(
    config: PartitionConfig,
    id: number,
    context: PartitionContext,
    code: TrustedCode | undefined,
    frames: readonly number[],
  ) {
    this.config = config;
    this.id = id;
    this.context = context;
    this.code = code;
    this.frames = frames;
    this.services = new PartitionServices(config.name, code, context.platform, context.relay);
    this.console = new ConsoleLines((line) => context.observe({ kind: 'console', name: config.name, line }));
  }

  /**
   * Load, check, measure, and give its memory to the core; sealed, so that nothing of it can change any more, but not
   * yet running. Throws HostError E_IMAGE, ManifestError, or E_CORE_REFUSED.
   */
  static async launch(config: PartitionConfig, context: PartitionContext): Promise<Partition> {
    const { machine, observe } = context;
    const loaded = load(config, context.allowDebug);
    const id = machine.freePartition();
    const pages = config.memoryBytes / PAGE_SIZE;
    const frames = machine.takeFrames(pages);
    const shared = machine.takePoolFrames(SHARED_PAGES);
    machine.root('partitionCreate', id, config.kind === 'trusted' ? KIND_TRUSTED : KIND_STANDARD, 0);
    frames.forEach((frame, page) => {
      machine.root('frameAssign', frame, id, page, PERM_ALL);
    });
    shared.forEach((frame, page) => {
      machine.root('frameAssign', frame, id, SHARED[page] ?? 0, PERM_ALL);
    });
    if (loaded.code) for (const { page } of loaded.frames) machine.root('frameMeasure', frames[page] ?? 0);
    const partition = new Partition(config, id, context, loaded.code, frames);
    // The engine gets the bytes that were measured, not the file again.
    const vm = await machine.engine.create({
      name: config.name,
      memoryBytes: config.memoryBytes,
      segments: loaded.frames.map(({ page, content }) => ({ gpa: page * PAGE_SIZE, bytes: content })),
      entry: loaded.entry,
      onHypercall: (call) => partition.hypercall(call),
      onConsole: (bytes) => partition.console.push(bytes),
      onExit: (exit) => partition.ended(exit),
    });
    partition.vm = vm;
    machine.attach(id, vm);
    machine.root('partitionSeal', id);
    observe({
      kind: 'partition',
      name: config.name,
      id,
      type: config.kind,
      memoryBytes: config.memoryBytes,
      populatedFrames: loaded.frames.length,
      engine: machine.engine.name,
      ...describe(loaded.code),
    });
    return partition;
  }

  /** Let the core know it as running: from here on it may be a party to channels and grants. */
  admit(): void {
    const { machine } = this.context;
    machine.root('partitionRun', this.id);
    machine.carryOutAll(this.id, SHARED);
  }

  /** Execute its first instruction. */
  async start(): Promise<void> {
    await this.vm?.start();
  }

  /** Bytes typed on its console. */
  input(bytes: Uint8Array): void {
    this.vm?.input(bytes);
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

  /** Stop it if it runs, destroy it in the core, and scrub what it had. Idempotent. */
  async destroy(): Promise<void> {
    await this.vm?.stop();
    const { machine } = this.context;
    if (state.partitionState[this.id] === P_FREE) return;
    if (state.partitionState[this.id] !== P_STOPPED) machine.root('partitionStop', this.id);
    machine.destroy(this.id, this.frames);
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
    const now = state.partitionState[this.id];
    if (now !== P_STOPPED && now !== P_FREE) this.context.machine.root('partitionStop', this.id);
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

function load(config: PartitionConfig, allowDebug: boolean): Loaded {
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
