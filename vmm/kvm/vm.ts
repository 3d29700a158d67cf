/** The host thread's side of one partition on KVM: memory slots, the vCPU's Worker, kicks and the end. */
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
  WINDOW_BASE,
  WINDOW_PAGES,
} from '../engine.ts';
import type { Hypercall } from '../hypercall.ts';
import {
  entryRegisters,
  KVM,
  MEM_READONLY,
  memoryRegion,
  RUN,
  SREGS_SIZE,
  setFlatSegments,
  TSS_ADDRESS,
} from './abi.ts';
import { type Libc, SIGUSR2 } from './libc.ts';
import { type KvmMachine, restoreMachineState, saveMachineState } from './machine-state.ts';
import { type KvmPool, MappedMemory } from './memory.ts';
import { type BoardState, CONTROL, type HostMessage, type WorkerConfig, type WorkerMessage } from './protocol.ts';
import { joinMachine, splitSnapshot } from './snapshot.ts';

const MEBIBYTE = 1024 * 1024;
const MEMORY_MAX = 2048 * MEBIBYTE;
/** Slot 0 is RAM; a window page has the slot after its number. */
const RAM_SLOT = 0;
const WINDOW_SLOT = 1;
/** The page below, which KVM wants too. */
const IDENTITY_MAP_ADDRESS = 0xfffbc000n;
/** A kick that meets the instant between two runs is repeated; a vCPU that ignores them this long has failed. */
const KICK_EVERY_MS = 5;
const KICK_LIMIT = 1000;
const CPUID_ENTRIES = 256;

export class KvmVm implements Vm {
  readonly spec: VmSpec;
  readonly #libc: Libc;
  readonly #pool: KvmPool;
  readonly #onEnd: (vm: KvmVm) => void;
  readonly #vmFd: number;
  readonly #vcpuFd: number;
  readonly #ram: MappedMemory;
  readonly #run: { readonly address: bigint; readonly length: number; readonly bytes: Uint8Array };
  readonly #control = new Int32Array(new SharedArrayBuffer(CONTROL.WORDS * 4));
  readonly #worker: Worker;
  readonly #requests = new Map<number, { resolve(state?: BoardState): void; reject(error: EngineError): void }>();
  readonly #machine: KvmMachine;
  #ready: (() => void) | undefined;
  #tid = 0;
  #nextId = 1;
  #workerGone = false;
  #exit: VmExit | undefined;
  #gone: Promise<void> | undefined;

  static async create(
    spec: VmSpec,
    libc: Libc,
    kvm: number,
    pool: KvmPool,
    onEnd: (vm: KvmVm) => void,
  ): Promise<KvmVm> {
    checkSpec(spec);
    const vm = new KvmVm(spec, libc, kvm, pool, onEnd);
    await new Promise<void>((resolve) => {
      vm.#ready = resolve;
    });
    if (vm.#exit !== undefined) throw vm.#ended();
    return vm;
  }

  private constructor(spec: VmSpec, libc: Libc, kvm: number, pool: KvmPool, onEnd: (vm: KvmVm) => void) {
    this.spec = spec;
    this.#libc = libc;
    this.#pool = pool;
    this.#onEnd = onEnd;
    const need = (what: string, result: number): number => {
      if (result >= 0) return result;
      throw this.#error('ENGINE_FAILED', `${what} failed with errno ${libc.errno()}`);
    };
    const saved = spec.snapshot && splitSnapshot(spec, spec.snapshot);
    this.#vmFd = need('creating the machine', libc.ioctl(kvm, KVM.CREATE_VM, 0));
    const irqchip = spec.acpi === true;
    need('KVM_SET_TSS_ADDR', libc.ioctl(this.#vmFd, KVM.SET_TSS_ADDR, TSS_ADDRESS));
    const identity = new Uint8Array(8);
    new DataView(identity.buffer).setBigUint64(0, IDENTITY_MAP_ADDRESS, true);
    need('KVM_SET_IDENTITY_MAP_ADDR', libc.ioctl(this.#vmFd, KVM.SET_IDENTITY_MAP_ADDR, identity));
    if (irqchip) {
      need('KVM_CREATE_IRQCHIP', libc.ioctl(this.#vmFd, KVM.CREATE_IRQCHIP, 0));
      // Flag 1: port 0x61, which gates the timer's third channel, is served in the kernel, too.
      need('KVM_CREATE_PIT2', libc.ioctl(this.#vmFd, KVM.CREATE_PIT2, Uint8Array.of(1, ...new Uint8Array(63))));
    }
    this.#ram = new MappedMemory(libc, `nexus-${spec.name}`, spec.memoryBytes);
    if (saved) this.#ram.bytes.set(saved.ram);
    else for (const { gpa, bytes } of spec.segments) this.#ram.bytes.set(bytes, gpa);
    this.#setSlot(RAM_SLOT, 0, 0, spec.memoryBytes, this.#ram.address);
    this.#vcpuFd = need('creating the processor', libc.ioctl(this.#vmFd, KVM.CREATE_VCPU, 0));
    const length = need('KVM_GET_VCPU_MMAP_SIZE', libc.ioctl(kvm, KVM.GET_VCPU_MMAP_SIZE, 0));
    const address = libc.map(this.#vcpuFd, length);
    this.#run = { address, length, bytes: new Uint8Array(libc.view(address, length)) };

    const cpuid = new Uint8Array(8 + 40 * CPUID_ENTRIES);
    new DataView(cpuid.buffer).setUint32(0, CPUID_ENTRIES, true);
    need('KVM_GET_SUPPORTED_CPUID', libc.ioctl(kvm, KVM.GET_SUPPORTED_CPUID, cpuid));
    need('KVM_SET_CPUID2', libc.ioctl(this.#vcpuFd, KVM.SET_CPUID2, cpuid));
    this.#machine = { kvmFd: kvm, vmFd: this.#vmFd, vcpuFd: this.#vcpuFd, irqchip };
    if (saved) {
      restoreMachineState(libc, this.#machine, saved.state);
    } else if (spec.entry !== undefined) {
      const sregs = new Uint8Array(SREGS_SIZE);
      need('KVM_GET_SREGS', libc.ioctl(this.#vcpuFd, KVM.GET_SREGS, sregs));
      setFlatSegments(sregs);
      need('KVM_SET_SREGS', libc.ioctl(this.#vcpuFd, KVM.SET_SREGS, sregs));
      need('KVM_SET_REGS', libc.ioctl(this.#vcpuFd, KVM.SET_REGS, entryRegisters(spec.entry)));
    }

    const config: WorkerConfig = {
      vmFd: this.#vmFd,
      vcpuFd: this.#vcpuFd,
      run: { address, length },
      ram: { address: this.#ram.address, length: this.#ram.length },
      irqchip,
      ...(saved && { saved: saved.board }),
      control: this.#control.buffer as SharedArrayBuffer, // made as one above
      devices: (spec.devices ?? []).map(({ name, module, config }) => ({ name, module: module.href, config })),
    };
    this.#worker = new Worker(new URL('./worker.js', import.meta.url), {
      name: `partition ${spec.name}`,
      workerData: config,
    });
    this.#worker.on('message', (message: WorkerMessage) => this.#receive(message));
    this.#worker.on('error', (error) => this.#end({ kind: 'crashed', reason: describe(error) }));
    this.#worker.on('exit', (code) => {
      this.#workerGone = true;
      this.#end({ kind: 'crashed', reason: `its Worker ended with code ${code}` });
    });
  }

  async start(): Promise<void> {
    this.#post({ kind: 'run' });
  }

  async resume(): Promise<void> {
    this.#post({ kind: 'run' });
  }

  async pause(): Promise<void> {
    if (this.#exit !== undefined) throw this.#ended();
    await this.#request('pause');
  }

  async stop(): Promise<void> {
    this.#end({ kind: 'stopped', by: 'host' });
    await this.#gone;
  }

  async save(): Promise<VmSnapshot> {
    if (this.#exit !== undefined) throw this.#ended();
    const board = await this.#request('save');
    if (board === undefined || this.#exit !== undefined) throw this.#ended();
    const state = saveMachineState(this.#libc, this.#machine);
    const { memoryBytes } = this.spec;
    return { engine: 'kvm', memoryBytes, machine: joinMachine(board, state, this.#ram.bytes), devices: board.devices };
  }

  input(bytes: Uint8Array): void {
    this.#post({ kind: 'input', bytes });
  }

  async readMemory(gpa: number, length: number): Promise<Uint8Array> {
    this.#checkRange(gpa, length);
    return this.#ram.bytes.slice(gpa, gpa + length);
  }

  async writeMemory(gpa: number, bytes: Uint8Array): Promise<void> {
    this.#checkRange(gpa, bytes.length);
    this.#ram.bytes.set(bytes, gpa);
  }

  map(page: number, frame: number, permission: number): void {
    if (!Number.isInteger(frame) || frame < 0 || frame >= this.#pool.frames) {
      throw this.#error('ENGINE_RANGE', `frame ${frame} is not in the exchange pool`);
    }
    if ((permission & ~(PERM_READ | PERM_WRITE)) !== 0 || permission === 0) {
      throw this.#error('ENGINE_RANGE', `permission ${permission} is not made of PERM_READ and PERM_WRITE`);
    }
    const flags = (permission & PERM_WRITE) === 0 ? MEM_READONLY : 0;
    // A slot cannot change its backing or its rights: it goes, and comes back.
    this.#setWindowSlot(page, 0, 0, 0n);
    this.#setWindowSlot(page, flags, PAGE_SIZE, this.#pool.address(frame));
  }

  unmap(page: number): void {
    this.#setWindowSlot(page, 0, 0, 0n);
  }

  #setWindowSlot(page: number, flags: number, size: number, host: bigint): void {
    if (!Number.isInteger(page) || page < 0 || page >= WINDOW_PAGES) {
      throw this.#error('ENGINE_RANGE', `page ${page} is not in the window`);
    }
    if (this.#exit !== undefined) return;
    this.#setSlot(WINDOW_SLOT + page, flags, WINDOW_BASE + page * PAGE_SIZE, size, host);
  }

  /** In force when it returns: KVM takes the pages from every processor before the call ends (A1). */
  #setSlot(slot: number, flags: number, gpa: number, size: number, host: bigint): void {
    const result = this.#libc.ioctl(this.#vmFd, KVM.SET_USER_MEMORY_REGION, memoryRegion(slot, flags, gpa, size, host));
    const ENOENT = 2;
    const EINVAL = 22;
    // Removing what is not there is done already.
    const absent = size === 0 && [ENOENT, EINVAL].includes(this.#libc.errno());
    if (result < 0 && !absent) {
      throw this.#error('ENGINE_FAILED', `memory slot ${slot} failed with errno ${this.#libc.errno()}`);
    }
  }

  #receive(message: WorkerMessage): void {
    if (message.kind === 'ready') {
      this.#tid = message.tid;
      this.#ready?.();
    }
    if (this.#exit !== undefined) return;
    switch (message.kind) {
      case 'paused':
      case 'saved':
        this.#requests.get(message.id)?.resolve(message.kind === 'saved' ? message.state : undefined);
        this.#requests.delete(message.id);
        return;
      case 'busy':
        this.#requests.get(message.id)?.reject(this.#error('ENGINE_BUSY', message.reason));
        this.#requests.delete(message.id);
        return;
      case 'console':
        this.spec.onConsole(message.bytes);
        Atomics.sub(this.#control, CONTROL.CONSOLE_PENDING, message.bytes.length);
        this.#ring();
        return;
      case 'hypercall':
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
    try {
      const answer = this.spec.onHypercall(call);
      const reply = answer instanceof Promise ? await answer : answer;
      this.#send({ kind: 'reply', ...reply });
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

  /** Ask the Worker, which leaves the guest first. What is saved comes back; a pause has no answer but its end. */
  #request(kind: 'pause' | 'save'): Promise<BoardState | undefined> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#requests.set(id, { resolve, reject });
      this.#post({ kind, id });
      this.#kickUntil(() => !this.#requests.has(id));
    });
  }

  /** To a Worker that waits. */
  #send(message: HostMessage): void {
    if (this.#workerGone) return;
    this.#worker.postMessage(message);
    this.#ring();
  }

  /** To a Worker that may be inside the guest. */
  #post(message: HostMessage): void {
    this.#send(message);
    this.#kick();
  }

  #ring(): void {
    Atomics.add(this.#control, CONTROL.BELL, 1);
    Atomics.notify(this.#control, CONTROL.BELL);
  }

  #kick(): void {
    if (this.#workerGone || this.#tid === 0) return;
    this.#run.bytes[RUN.IMMEDIATE_EXIT] = 1;
    this.#libc.signalThread(this.#tid, SIGUSR2);
  }

  #kickUntil(done: () => boolean): void {
    let kicks = 0;
    const timer = setInterval(() => {
      if (done() || ++kicks > KICK_LIMIT) clearInterval(timer);
      else this.#kick();
    }, KICK_EVERY_MS);
    timer.unref();
  }

  /** The first caller decides how the partition ended; the rest is ignored. */
  #end(exit: VmExit): void {
    if (this.#exit !== undefined) return;
    this.#exit = exit;
    this.#gone = this.#leave().then(() => {
      for (const request of this.#requests.values()) request.reject(this.#ended());
      this.#requests.clear();
      this.#onEnd(this);
      this.spec.onExit(exit);
      this.#ready?.();
    });
  }

  /** The thread leaves the guest by a kick, not by force: it holds the processor. */
  async #leave(): Promise<void> {
    if (!this.#workerGone) {
      const gone = new Promise<void>((resolve) => {
        this.#worker.once('exit', () => resolve());
      });
      this.#post({ kind: 'end' });
      this.#kickUntil(() => this.#workerGone);
      await gone;
    }
    this.#libc.unmap(this.#run.address, this.#run.length);
    this.#libc.close(this.#vcpuFd);
    this.#libc.close(this.#vmFd);
    this.#ram.free();
  }

  #ended(): EngineError {
    const how = this.#exit?.kind === 'crashed' ? `crashed: ${this.#exit.reason}` : 'has stopped';
    return this.#error('ENGINE_ENDED', `${how}; create it again`);
  }

  #checkRange(gpa: number, length: number): void {
    if (this.#exit !== undefined) throw this.#ended();
    const fits = Number.isInteger(gpa) && Number.isInteger(length) && gpa >= 0 && length >= 0;
    if (!fits || gpa + length > this.spec.memoryBytes) {
      throw this.#error('ENGINE_RANGE', `${length} bytes at ${gpa} are not in its memory`);
    }
  }

  #error(code: EngineError['code'], message: string): EngineError {
    return new EngineError(code, `partition ${this.spec.name}: ${message}`);
  }
}

const describe = (error: unknown) => (error instanceof Error ? `${error.name}: ${error.message}` : String(error));

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
  if (spec.entry === undefined && spec.snapshot === undefined) {
    refuse('the kvm engine starts at an entry state or a snapshot; firmware needs v86');
  }
  if (spec.hda || spec.cdrom || spec.firmware) refuse('the kvm engine has no drives or firmware; use v86 for those');
}
