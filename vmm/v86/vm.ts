/** The host thread's side of one partition on v86. */
import { Worker } from 'node:worker_threads';
import {
  EngineError,
  PAGE_SIZE,
  PERM_READ,
  PERM_WRITE,
  type Vm,
  type VmExit,
  type VmSnapshot,
  type VmSpec,
  WINDOW_PAGES,
} from '../engine.ts';
import { ARGS, type Hypercall, SERVICE_BUFFER_MAX } from '../hypercall.ts';
import type { SharedPool } from './pool.ts';
import { CONTROL, type HostMessage, type HostRequest, type WorkerConfig, type WorkerMessage } from './protocol.ts';
import { createWindowTable, remap } from './window.ts';

const MEBIBYTE = 1024 * 1024;
const MEMORY_MAX = 2048 * MEBIBYTE;
/** JavaScript heap of a Worker. Guest memory and compiled code live outside it; v86's own objects need about 30 MiB. */
const HEAP_MIB = 256;
/** A pause waits for the end of a time slice, some milliseconds. An emulator that never gets there has failed. */
const PAUSE_LIMIT_MS = 5000;

interface Pending {
  resolve(value: Uint8Array | VmSnapshot | undefined): void;
  reject(error: EngineError): void;
}

export class V86Vm implements Vm {
  readonly spec: VmSpec;
  readonly #pool: SharedPool;
  readonly #control = new Int32Array(new SharedArrayBuffer(CONTROL.WORDS * 4));
  readonly #table = new Int32Array(createWindowTable());
  readonly #onEnd: (vm: V86Vm) => void;
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #inHypercall = false;
  #exit: VmExit | undefined;
  #gone: Promise<void> | undefined;

  /** Checks the specification, starts the Worker and resolves when the machine is ready for its first instruction. */
  static async create(
    spec: VmSpec,
    wasm: WebAssembly.Module,
    pool: SharedPool,
    onEnd: (vm: V86Vm) => void,
  ): Promise<V86Vm> {
    checkSpec(spec);
    const vm = new V86Vm(spec, wasm, pool, onEnd);
    await new Promise<void>((resolve, reject) => {
      const pending = { resolve: () => resolve(), reject };
      vm.#pending.set(READY, pending);
    });
    return vm;
  }

  private constructor(spec: VmSpec, wasm: WebAssembly.Module, pool: SharedPool, onEnd: (vm: V86Vm) => void) {
    this.spec = spec;
    this.#onEnd = onEnd;
    this.#pool = pool;
    const { memoryBytes, segments, entry, firmware, hda, cdrom, snapshot } = spec;
    const config: WorkerConfig = {
      wasm,
      memoryBytes,
      segments,
      acpi: spec.acpi ?? false,
      ...(entry && { entry }),
      ...(firmware && { firmware }),
      ...(hda && { hda }),
      ...(cdrom && { cdrom }),
      ...(snapshot && { snapshot }),
      devices: (spec.devices ?? []).map(({ name, module, config }) => ({ name, module: module.href, config })),
      control: this.#control.buffer as SharedArrayBuffer, // made as one above
      windowTable: this.#table.buffer as SharedArrayBuffer,
      pool: pool.memory,
    };
    this.#worker = new Worker(new URL('./worker.js', import.meta.url), {
      name: `partition ${spec.name}`,
      workerData: config,
      env: {}, // the emulator needs none of the host's
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB },
    });
    this.#worker.on('message', (message: WorkerMessage) => this.#receive(message));
    this.#worker.on('error', (error) => this.#end({ kind: 'crashed', reason: describe(error) }));
    this.#worker.on('exit', (code) => this.#end({ kind: 'crashed', reason: `its Worker ended with code ${code}` }));
  }

  get ended(): boolean {
    return this.#exit !== undefined;
  }

  async start(): Promise<void> {
    await this.#request({ kind: 'run' });
  }

  async pause(): Promise<void> {
    const limit = setTimeout(
      () => this.#end({ kind: 'crashed', reason: `did not pause within ${PAUSE_LIMIT_MS} ms` }),
      PAUSE_LIMIT_MS,
    );
    try {
      await this.#request({ kind: 'pause' });
    } finally {
      clearTimeout(limit);
    }
  }

  async resume(): Promise<void> {
    await this.#request({ kind: 'run' });
  }

  async stop(): Promise<void> {
    this.#end({ kind: 'stopped', by: 'host' });
    await this.#gone;
  }

  async save(): Promise<VmSnapshot> {
    const value = await this.#request({ kind: 'save' });
    if (value === undefined || value instanceof Uint8Array) throw this.#error('ENGINE_FAILED', 'gave no snapshot');
    return value;
  }

  input(bytes: Uint8Array): void {
    this.#post({ kind: 'input', bytes });
  }

  async readMemory(gpa: number, length: number): Promise<Uint8Array> {
    this.#checkRange(gpa, length);
    const value = await this.#request({ kind: 'read', gpa, length });
    if (!(value instanceof Uint8Array) || value.length !== length) {
      throw this.#error('ENGINE_FAILED', 'answered a read of its memory with something else');
    }
    return value;
  }

  async writeMemory(gpa: number, bytes: Uint8Array): Promise<void> {
    this.#checkRange(gpa, bytes.length);
    await this.#request({ kind: 'write', gpa, bytes });
  }

  map(page: number, frame: number, permission: number): void {
    if (!Number.isInteger(frame) || frame < 0 || frame >= this.#pool.frames) {
      throw this.#error('ENGINE_RANGE', `frame ${frame} is not in the exchange pool`);
    }
    if ((permission & ~(PERM_READ | PERM_WRITE)) !== 0 || permission === 0) {
      throw this.#error('ENGINE_RANGE', `permission ${permission} is not made of PERM_READ and PERM_WRITE`);
    }
    this.#remap(page, frame, permission);
  }

  unmap(page: number): void {
    this.#remap(page, 0, 0);
  }

  #remap(page: number, frame: number, permission: number): void {
    if (!Number.isInteger(page) || page < 0 || page >= WINDOW_PAGES) {
      throw this.#error('ENGINE_RANGE', `page ${page} is not in the window`);
    }
    const settled = remap(this.#table, this.#control, page, frame, permission, () => this.#exit === undefined);
    if (!settled) this.#end({ kind: 'crashed', reason: 'stuck inside an access to the window' });
  }

  #receive(message: WorkerMessage): void {
    if (this.#exit !== undefined) return;
    switch (message.kind) {
      case 'ready':
        this.#settle(READY, (pending) => pending.resolve(undefined));
        return;
      case 'done':
        this.#settle(message.id, (pending) => pending.resolve(message.value));
        return;
      case 'failed':
        this.#settle(message.id, (pending) => pending.reject(this.#error('ENGINE_BUSY', message.reason)));
        return;
      case 'console':
        try {
          this.spec.onConsole(message.bytes);
        } catch (error) {
          this.#end({ kind: 'crashed', reason: `the host failed in the console: ${describe(error)}` });
        }
        Atomics.sub(this.#control, CONTROL.CONSOLE_PENDING, message.bytes.length);
        this.#ring();
        return;
      case 'hypercall':
        if (this.#inHypercall || !isHypercall(message)) {
          this.#end({ kind: 'crashed', reason: 'its Worker broke the protocol of hypercalls' });
          return;
        }
        void this.#hypercall(message);
        return;
      case 'device':
        void this.#deviceMessage(message.name, message.message);
        return;
      case 'stopped':
      case 'crashed':
        this.#end(message);
    }
  }

  async #hypercall(message: { call: number; args: number[]; input: Uint8Array }): Promise<void> {
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = message.args;
    const call: Hypercall = { call: message.call, args: [a, b, c, d, e, f], input: message.input };
    this.#inHypercall = true;
    try {
      // Not awaited where the answer is there already: a microtask less on the hot path.
      const answer = this.spec.onHypercall(call);
      const reply = answer instanceof Promise ? await answer : answer;
      this.#inHypercall = false;
      this.#post({ kind: 'reply', ...reply });
    } catch (error) {
      const number = `0x${message.call.toString(16)}`;
      this.#end({ kind: 'crashed', reason: `the host failed in hypercall ${number}: ${describe(error)}` });
    }
  }

  async #deviceMessage(name: string, message: unknown): Promise<void> {
    const device = this.spec.devices?.find((spec) => spec.name === name);
    try {
      await device?.onMessage?.(message, { send: (answer) => this.#post({ kind: 'device', name, message: answer }) });
    } catch (error) {
      this.#end({ kind: 'crashed', reason: `the host failed in device ${name}: ${describe(error)}` });
    }
  }

  #request(request: HostRequest): Promise<Uint8Array | VmSnapshot | undefined> {
    if (this.#exit !== undefined) return Promise.reject(this.#ended());
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#post({ kind: 'request', id, request });
    });
  }

  #post(message: HostMessage): void {
    if (this.#exit !== undefined) return;
    this.#worker.postMessage(message);
    this.#ring();
  }

  /** Wake the Worker where a guest instruction waits. */
  #ring(): void {
    Atomics.add(this.#control, CONTROL.BELL, 1);
    Atomics.notify(this.#control, CONTROL.BELL);
  }

  #settle(id: number, act: (pending: Pending) => void): void {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (pending !== undefined) act(pending);
  }

  /** The first caller decides how the partition ended; the rest is ignored. */
  #end(exit: VmExit): void {
    if (this.#exit !== undefined) return;
    this.#exit = exit;
    // A partition that never got ready is told by the rejection of `create` alone.
    const wasReady = !this.#pending.has(READY);
    this.#gone = this.#worker.terminate().then(() => {
      for (const pending of this.#pending.values()) pending.reject(this.#ended());
      this.#pending.clear();
      this.#onEnd(this);
      if (wasReady) this.spec.onExit(exit);
    });
  }

  #ended(): EngineError {
    const how = this.#exit?.kind === 'crashed' ? `crashed: ${this.#exit.reason}` : 'has stopped';
    return this.#error('ENGINE_ENDED', `${how}; create it again`);
  }

  #checkRange(gpa: number, length: number): void {
    const fits = Number.isInteger(gpa) && Number.isInteger(length) && gpa >= 0 && length >= 0;
    if (!fits || gpa + length > this.spec.memoryBytes) {
      throw this.#error('ENGINE_RANGE', `${length} bytes at ${gpa} are not in its memory`);
    }
  }

  #error(code: EngineError['code'], message: string): EngineError {
    return new EngineError(code, `partition ${this.spec.name}: ${message}`);
  }
}

/** Key of the wait for the Worker's first message, beside request ids, which begin at 1. */
const READY = 0;

const describe = (error: unknown) => (error instanceof Error ? `${error.name}: ${error.message}` : String(error));

const isU32 = (value: unknown) => typeof value === 'number' && value >>> 0 === value;

/** Whether a Worker's message is what the port sends; a guest may have corrupted the Worker. */
function isHypercall({ call, args, input }: { call: unknown; args: unknown; input: unknown }): boolean {
  const scalars = isU32(call) && Array.isArray(args) && args.length === ARGS && args.every(isU32);
  return scalars && input instanceof Uint8Array && input.length <= SERVICE_BUFFER_MAX;
}

function checkSpec(spec: VmSpec): void {
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
  const pages = memoryBytes / PAGE_SIZE;
  if (!Number.isInteger(pages)) refuse('memory is not whole pages');
}
