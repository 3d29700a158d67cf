/**
 * What both engines have in common on the host thread: a partition's specification and ranges checked, its hypercalls
 * and devices answered, and its end, which is decided once. All that a Worker says is checked before it is used.
 */
import {
  EngineError,
  PERM_READ,
  PERM_WRITE,
  type Vm,
  type VmExit,
  type VmSnapshot,
  type VmSpec,
  WINDOW_PAGES,
} from './engine.ts';
import { ARGS, type Hypercall, SERVICE_BUFFER_MAX } from './hypercall.ts';

/** What a Worker of either engine says of its guest, and what it is told. */
export interface HypercallMessage {
  readonly kind: 'hypercall';
  readonly call: number;
  readonly args: number[];
  readonly input: Uint8Array;
}
export interface ReplyMessage {
  readonly kind: 'reply';
  readonly result: number;
  readonly output?: Uint8Array;
}
export interface DeviceMessage {
  readonly kind: 'device';
  readonly name: string;
  readonly message: unknown;
}

const MEBIBYTE = 1024 * 1024;
const MEMORY_MAX = 2048 * MEBIBYTE;

export abstract class EngineVm implements Vm {
  readonly spec: VmSpec;
  readonly #frames: number;
  #inHypercall = false;
  #exit: VmExit | undefined;
  #gone: Promise<void> | undefined;

  /** `frames` is the size of the exchange pool. */
  constructor(spec: VmSpec, frames: number) {
    this.spec = spec;
    this.#frames = frames;
  }

  abstract start(): Promise<void>;
  abstract pause(): Promise<void>;
  abstract resume(): Promise<void>;
  abstract save(): Promise<VmSnapshot>;
  abstract input(bytes: Uint8Array): void;
  abstract readMemory(gpa: number, length: number): Promise<Uint8Array>;
  abstract writeMemory(gpa: number, bytes: Uint8Array): Promise<void>;

  async stop(): Promise<void> {
    this.end({ kind: 'stopped', by: 'host' });
    await this.#gone;
  }

  map(page: number, frame: number, permission: number): void {
    if (!Number.isInteger(frame) || frame < 0 || frame >= this.#frames) {
      throw this.error('ENGINE_RANGE', `frame ${frame} is not in the exchange pool`);
    }
    if ((permission & ~(PERM_READ | PERM_WRITE)) !== 0 || permission === 0) {
      throw this.error('ENGINE_RANGE', `permission ${permission} is not made of PERM_READ and PERM_WRITE`);
    }
    this.#remap(page, frame, permission);
  }

  unmap(page: number): void {
    this.#remap(page, 0, 0);
  }

  get hasEnded(): boolean {
    return this.#exit !== undefined;
  }

  /** Show `frame` at `page`, or nothing where `permission` is 0. In force when it returns. */
  protected abstract remap(page: number, frame: number, permission: number): void;
  /** Tell a Worker that waits in a hypercall. */
  protected abstract reply(message: ReplyMessage): void;
  /** Tell a Worker, whatever it does. */
  protected abstract post(message: DeviceMessage): void;
  /** End the Worker and give everything back; resolves after `onExit` was called. */
  protected abstract leave(exit: VmExit): Promise<void>;

  /** The first caller decides how the partition ended; the rest is ignored. */
  protected end(exit: VmExit): void {
    if (this.#exit !== undefined) return;
    this.#exit = exit;
    this.#gone = this.leave(exit);
  }

  protected async answer(message: HypercallMessage): Promise<void> {
    if (this.#inHypercall || !isHypercall(message)) {
      this.crash('its Worker broke the protocol of hypercalls');
      return;
    }
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = message.args;
    const call: Hypercall = { call: message.call, args: [a, b, c, d, e, f], input: message.input };
    this.#inHypercall = true;
    try {
      // Not awaited where the answer is there already: a microtask less on the hot path.
      const answer = this.spec.onHypercall(call);
      const reply = answer instanceof Promise ? await answer : answer;
      this.#inHypercall = false;
      this.reply({ kind: 'reply', ...reply });
    } catch (error) {
      this.crash(`the host failed in hypercall 0x${message.call.toString(16)}: ${describe(error)}`);
    }
  }

  protected async device({ name, message }: DeviceMessage): Promise<void> {
    const device = this.spec.devices?.find((spec) => spec.name === name);
    try {
      await device?.onMessage?.(message, { send: (answer) => this.post({ kind: 'device', name, message: answer }) });
    } catch (error) {
      this.crash(`the host failed in device ${name}: ${describe(error)}`);
    }
  }

  protected console(bytes: Uint8Array): void {
    try {
      this.spec.onConsole(bytes);
    } catch (error) {
      this.crash(`the host failed in the console: ${describe(error)}`);
    }
  }

  protected crash(reason: string): void {
    this.end({ kind: 'crashed', reason });
  }

  protected ended(): EngineError {
    const how = this.#exit?.kind === 'crashed' ? `crashed: ${this.#exit.reason}` : 'has stopped';
    return this.error('ENGINE_ENDED', `${how}; create it again`);
  }

  protected checkRange(gpa: number, length: number): void {
    if (this.hasEnded) throw this.ended();
    const fits = Number.isInteger(gpa) && Number.isInteger(length) && gpa >= 0 && length >= 0;
    if (!fits || gpa + length > this.spec.memoryBytes) {
      throw this.error('ENGINE_RANGE', `${length} bytes at ${gpa} are not in its memory`);
    }
  }

  protected error(code: EngineError['code'], message: string): EngineError {
    return new EngineError(code, `partition ${this.spec.name}: ${message}`);
  }

  #remap(page: number, frame: number, permission: number): void {
    if (!Number.isInteger(page) || page < 0 || page >= WINDOW_PAGES) {
      throw this.error('ENGINE_RANGE', `page ${page} is not in the window`);
    }
    if (!this.hasEnded) this.remap(page, frame, permission);
  }
}

export const describe = (error: unknown): string =>
  error instanceof Error ? `${error.name}: ${error.message}` : String(error);

const isU32 = (value: unknown) => typeof value === 'number' && value >>> 0 === value;

/** Whether a Worker's message is what the port sends; a guest may have corrupted the Worker. */
function isHypercall({ call, args, input }: { call: unknown; args: unknown; input: unknown }): boolean {
  const scalars = isU32(call) && Array.isArray(args) && args.length === ARGS && args.every(isU32);
  return scalars && input instanceof Uint8Array && input.length <= SERVICE_BUFFER_MAX;
}

/** Refuse what no engine runs. Throws EngineError ENGINE_SPEC. */
export function checkSpec(spec: VmSpec): void {
  const refuse = (what: string) => {
    throw new EngineError('ENGINE_SPEC', `partition ${spec.name}: ${what}`);
  };
  const { memoryBytes } = spec;
  if (memoryBytes % MEBIBYTE !== 0 || memoryBytes < MEBIBYTE || memoryBytes >= MEMORY_MAX) {
    refuse(`memory of ${memoryBytes} bytes; give a multiple of 1 MiB from 1 MiB to 2047 MiB`);
  }
  for (const { gpa, bytes } of spec.segments) {
    if (!Number.isInteger(gpa) || gpa < 0 || gpa + bytes.length > memoryBytes) {
      refuse(`a segment of ${bytes.length} bytes at ${gpa} does not fit its ${memoryBytes / MEBIBYTE} MiB of memory`);
    }
  }
  if (spec.entry === undefined && spec.firmware === undefined && spec.snapshot === undefined) {
    refuse('nothing to start: give entry, firmware or snapshot');
  }
  const names = (spec.devices ?? []).map(({ name }) => name);
  if (new Set(names).size !== names.length) refuse(`two devices share a name (${names.join(', ')})`);
}
