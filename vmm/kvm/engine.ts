/** The engine for hosts with Linux's KVM: guests run on the processor itself. */
import { type Engine, EngineError, type Vm, type VmSpec } from '../engine.ts';
import { type Libc, loadLibc } from './libc.ts';
import { KvmPool } from './memory.ts';
import { probeKvm } from './probe.ts';
import { KvmVm } from './vm.ts';

export interface KvmEngineOptions {
  /** Frames of the exchange pool. Default 1024, which is 4 MiB. */
  readonly poolFrames?: number;
  /** Default /dev/kvm. */
  readonly device?: string;
}

const POOL_FRAMES = 1024;

/** Throws EngineError ENGINE_FAILED with the probe's reason where KVM cannot be used. */
export async function createKvmEngine(options: KvmEngineOptions = {}): Promise<Engine> {
  const device = options.device ?? '/dev/kvm';
  const report = await probeKvm(device);
  if (!report.usable) throw new EngineError('ENGINE_FAILED', `kvm is not usable here: ${report.reason}`);
  const libc = await loadLibc();
  return new KvmEngine(libc, libc.open(device), new KvmPool(libc, options.poolFrames ?? POOL_FRAMES));
}

/** Kicks are signals to a vCPU's thread. They must have a handler, or they would end the process. */
const onKick = () => {};

class KvmEngine implements Engine {
  readonly name = 'kvm';
  readonly pool: KvmPool;
  readonly #libc: Libc;
  readonly #kvm: number;
  readonly #vms = new Set<Vm>();
  #closed = false;

  constructor(libc: Libc, kvm: number, pool: KvmPool) {
    this.#libc = libc;
    this.#kvm = kvm;
    this.pool = pool;
    process.on('SIGUSR2', onKick);
  }

  async create(spec: VmSpec): Promise<Vm> {
    if (this.#closed) throw new EngineError('ENGINE_ENDED', `partition ${spec.name}: the engine is closed`);
    const vm = await KvmVm.create(spec, this.#libc, this.#kvm, this.pool, (ended) => this.#vms.delete(ended));
    this.#vms.add(vm);
    return vm;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.all(Array.from(this.#vms, (vm) => vm.stop()));
    this.#vms.clear();
    this.pool.memory.free();
    this.#libc.close(this.#kvm);
    process.off('SIGUSR2', onKick);
  }
}
