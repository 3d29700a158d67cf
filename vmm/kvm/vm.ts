/** The host thread's side of one partition on KVM: memory slots, the vCPU's Worker, kicks and the end. */
import { Worker } from 'node:worker_threads';
import {
  EngineError,
  PAGE_SIZE,
  PERM_WRITE,
  type VmExit,
  type VmSnapshot,
  type VmSpec,
  WINDOW_BASE,
} from '../engine.ts';
import { checkSpec, type DeviceMessage, describe, EngineVm, type ReplyMessage } from '../vm.ts';
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

/** Slot 0 is RAM; a window page has the slot after its number. */
const RAM_SLOT = 0;
const WINDOW_SLOT = 1;
/** The page below, which KVM wants too. */
const IDENTITY_MAP_ADDRESS = 0xfffbc000n;
/** A kick that meets the instant between two runs is repeated; a vCPU that ignores them this long has failed. */
const KICK_EVERY_MS = 5;
const KICK_LIMIT = 1000;
const CPUID_ENTRIES = 256;

export class KvmVm extends EngineVm {
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

  static async create(
    spec: VmSpec,
    libc: Libc,
    kvm: number,
    pool: KvmPool,
    onEnd: (vm: KvmVm) => void,
  ): Promise<KvmVm> {
    checkSpec(spec);
    checkHardware(spec);
    const vm = new KvmVm(spec, libc, kvm, pool, onEnd);
    await new Promise<void>((resolve) => {
      vm.#ready = resolve;
    });
    if (vm.hasEnded) throw vm.ended();
    return vm;
  }

  private constructor(spec: VmSpec, libc: Libc, kvm: number, pool: KvmPool, onEnd: (vm: KvmVm) => void) {
    super(spec, pool.frames);
    this.#libc = libc;
    this.#pool = pool;
    this.#onEnd = onEnd;
    const need = (what: string, result: number): number => {
      if (result >= 0) return result;
      throw this.error('ENGINE_FAILED', `${what} failed with errno ${libc.errno()}`);
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
    this.#worker.on('error', (error) => this.crash(describe(error)));
    this.#worker.on('exit', (code) => {
      this.#workerGone = true;
      this.crash(`its Worker ended with code ${code}`);
    });
  }

  async start(): Promise<void> {
    this.post({ kind: 'run' });
  }

  async resume(): Promise<void> {
    this.post({ kind: 'run' });
  }

  async pause(): Promise<void> {
    if (this.hasEnded) throw this.ended();
    await this.#request('pause');
  }

  async save(): Promise<VmSnapshot> {
    if (this.hasEnded) throw this.ended();
    const board = await this.#request('save');
    if (board === undefined || this.hasEnded) throw this.ended();
    const state = saveMachineState(this.#libc, this.#machine);
    const { memoryBytes } = this.spec;
    return { engine: 'kvm', memoryBytes, machine: joinMachine(board, state, this.#ram.bytes), devices: board.devices };
  }

  input(bytes: Uint8Array): void {
    this.post({ kind: 'input', bytes });
  }

  async readMemory(gpa: number, length: number): Promise<Uint8Array> {
    this.checkRange(gpa, length);
    return this.#ram.bytes.slice(gpa, gpa + length);
  }

  async writeMemory(gpa: number, bytes: Uint8Array): Promise<void> {
    this.checkRange(gpa, bytes.length);
    this.#ram.bytes.set(bytes, gpa);
  }

  protected remap(page: number, frame: number, permission: number): void {
    const slot = WINDOW_SLOT + page;
    const gpa = WINDOW_BASE + page * PAGE_SIZE;
    // A slot cannot change its backing or its rights: it goes, and comes back.
    this.#setSlot(slot, 0, gpa, 0, 0n);
    if (permission === 0) return;
    const flags = (permission & PERM_WRITE) === 0 ? MEM_READONLY : 0;
    this.#setSlot(slot, flags, gpa, PAGE_SIZE, this.#pool.address(frame));
  }

  /** In force when it returns: KVM takes the pages from every processor before the call ends (A1). */
  #setSlot(slot: number, flags: number, gpa: number, size: number, host: bigint): void {
    const result = this.#libc.ioctl(this.#vmFd, KVM.SET_USER_MEMORY_REGION, memoryRegion(slot, flags, gpa, size, host));
    const ENOENT = 2;
    const EINVAL = 22;
    // Removing what is not there is done already.
    const absent = size === 0 && [ENOENT, EINVAL].includes(this.#libc.errno());
    if (result < 0 && !absent) {
      throw this.error('ENGINE_FAILED', `memory slot ${slot} failed with errno ${this.#libc.errno()}`);
    }
  }

  #receive(message: WorkerMessage): void {
    if (message.kind === 'ready') {
      this.#tid = message.tid;
      this.#ready?.();
    }
    if (this.hasEnded) return;
    switch (message.kind) {
      case 'paused':
      case 'saved':
        this.#requests.get(message.id)?.resolve(message.kind === 'saved' ? message.state : undefined);
        this.#requests.delete(message.id);
        return;
      case 'busy':
        this.#requests.get(message.id)?.reject(this.error('ENGINE_BUSY', message.reason));
        this.#requests.delete(message.id);
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

  protected reply(message: ReplyMessage): void {
    this.#send(message);
  }

  /** Ask the Worker, which leaves the guest first. What is saved comes back; a pause has no answer but its end. */
  #request(kind: 'pause' | 'save'): Promise<BoardState | undefined> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#requests.set(id, { resolve, reject });
      this.post({ kind, id });
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
  protected post(message: HostMessage | DeviceMessage): void {
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

  protected async leave(exit: VmExit): Promise<void> {
    await this.#leaveGuest();
    for (const request of this.#requests.values()) request.reject(this.ended());
    this.#requests.clear();
    this.#onEnd(this);
    this.spec.onExit(exit);
    this.#ready?.();
  }

  /** The thread leaves the guest by a kick, not by force: it holds the processor. */
  async #leaveGuest(): Promise<void> {
    if (!this.#workerGone) {
      const gone = new Promise<void>((resolve) => {
        this.#worker.once('exit', () => resolve());
      });
      this.post({ kind: 'end' });
      this.#kickUntil(() => this.#workerGone);
      await gone;
    }
    this.#libc.unmap(this.#run.address, this.#run.length);
    this.#libc.close(this.#vcpuFd);
    this.#libc.close(this.#vmFd);
    this.#ram.free();
  }
}

/** Throws EngineError ENGINE_SPEC for what needs the other engine. */
function checkHardware({ name, hda, cdrom, firmware }: VmSpec): void {
  if (!hda && !cdrom && !firmware) return;
  throw new EngineError(
    'ENGINE_SPEC',
    `partition ${name}: the kvm engine has no drives or firmware; use v86 for those`,
  );
}
