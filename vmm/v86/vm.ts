/** The host thread's side of one partition on v86. */
import { Worker } from 'node:worker_threads';
import type { EngineError, VmExit, VmSnapshot, VmSpec } from '../engine.ts';
import { checkSpec, describe, EngineVm, type ReplyMessage } from '../vm.ts';
import type { SharedPool } from './pool.ts';
import { CONTROL, type HostMessage, type HostRequest, type WorkerConfig, type WorkerMessage } from './protocol.ts';
import { createWindowTable, remap } from './window.ts';

/** JavaScript heap of a Worker. Guest memory and compiled code live outside it; v86's own objects need about 30 MiB. */
const HEAP_MIB = 256;
/** A pause waits for the end of a time slice, some milliseconds. An emulator that never gets there has failed. */
const PAUSE_LIMIT_MS = 5000;

interface Pending {
  resolve(value: Uint8Array | VmSnapshot | undefined): void;
  reject(error: EngineError): void;
}

export class V86Vm extends EngineVm {
  readonly #control = new Int32Array(new SharedArrayBuffer(CONTROL.WORDS * 4));
  readonly #table = new Int32Array(createWindowTable());
  readonly #onEnd: (vm: V86Vm) => void;
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;

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
    super(spec, pool.frames);
    this.#onEnd = onEnd;
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
    this.#worker.on('error', (error) => this.crash(describe(error)));
    this.#worker.on('exit', (code) => this.crash(`its Worker ended with code ${code}`));
  }

  async start(): Promise<void> {
    await this.#request({ kind: 'run' });
  }

  async pause(): Promise<void> {
    const limit = setTimeout(() => this.crash(`did not pause within ${PAUSE_LIMIT_MS} ms`), PAUSE_LIMIT_MS);
    try {
      await this.#request({ kind: 'pause' });
    } finally {
      clearTimeout(limit);
    }
  }

  async resume(): Promise<void> {
    await this.#request({ kind: 'run' });
  }

  async save(): Promise<VmSnapshot> {
    const value = await this.#request({ kind: 'save' });
    if (value === undefined || value instanceof Uint8Array) throw this.error('ENGINE_FAILED', 'gave no snapshot');
    return value;
  }

  input(bytes: Uint8Array): void {
    this.post({ kind: 'input', bytes });
  }

  async readMemory(gpa: number, length: number): Promise<Uint8Array> {
    this.checkRange(gpa, length);
    const value = await this.#request({ kind: 'read', gpa, length });
    if (!(value instanceof Uint8Array) || value.length !== length) {
      throw this.error('ENGINE_FAILED', 'answered a read of its memory with something else');
    }
    return value;
  }

  async writeMemory(gpa: number, bytes: Uint8Array): Promise<void> {
    this.checkRange(gpa, bytes.length);
    await this.#request({ kind: 'write', gpa, bytes });
  }

  protected remap(page: number, frame: number, permission: number): void {
    const settled = remap(this.#table, this.#control, page, frame, permission, () => !this.hasEnded);
    if (!settled) this.crash('stuck inside an access to the window');
  }

  #receive(message: WorkerMessage): void {
    if (this.hasEnded) return;
    switch (message.kind) {
      case 'ready':
        this.#settle(READY, (pending) => pending.resolve(undefined));
        return;
      case 'done':
        this.#settle(message.id, (pending) => pending.resolve(message.value));
        return;
      case 'failed':
        this.#settle(message.id, (pending) => pending.reject(this.error('ENGINE_BUSY', message.reason)));
        return;
      case 'console':
        this.console(message.bytes);
        Atomics.sub(this.#control, CONTROL.CONSOLE_PENDING, message.bytes.length);
        this.#ring();
        return;
      case 'hypercall':
        void this.answer(message);
        return;
      case 'device':
        void this.device(message);
        return;
      case 'stopped':
      case 'crashed':
        this.end(message);
    }
  }

  #request(request: HostRequest): Promise<Uint8Array | VmSnapshot | undefined> {
    if (this.hasEnded) return Promise.reject(this.ended());
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.post({ kind: 'request', id, request });
    });
  }

  protected reply(message: ReplyMessage): void {
    this.post(message);
  }

  protected post(message: HostMessage): void {
    if (this.hasEnded) return;
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

  protected async leave(exit: VmExit): Promise<void> {
    // A partition that never got ready is told by the rejection of `create` alone.
    const wasReady = !this.#pending.has(READY);
    await this.#worker.terminate();
    for (const pending of this.#pending.values()) pending.reject(this.ended());
    this.#pending.clear();
    this.#onEnd(this);
    if (wasReady) this.spec.onExit(exit);
  }
}

/** Key of the wait for the Worker's first message, beside request ids, which begin at 1. */
const READY = 0;
