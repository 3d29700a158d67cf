/** The engine that runs anywhere: x86 on npm's `v86`, one Worker per partition. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Engine, Vm, VmSpec } from '../engine.ts';
import { EngineError } from '../engine.ts';
import { SharedPool } from './pool.ts';
import { V86Vm } from './vm.ts';

export interface V86EngineOptions {
  /** Frames of the exchange pool. Default 1024, which is 4 MiB. */
  readonly poolFrames?: number;
}

const POOL_FRAMES = 1024;

/** Compile v86 once; every partition's Worker instantiates the same module. */
export async function createV86Engine(options: V86EngineOptions = {}): Promise<Engine> {
  const main = createRequire(import.meta.url).resolve('v86');
  const wasm = await WebAssembly.compile(await readFile(join(dirname(main), 'v86.wasm')));
  return new V86Engine(wasm, new SharedPool(options.poolFrames ?? POOL_FRAMES));
}

class V86Engine implements Engine {
  readonly name = 'v86';
  readonly pool: SharedPool;
  readonly #wasm: WebAssembly.Module;
  readonly #vms = new Set<Vm>();
  #closed = false;

  constructor(wasm: WebAssembly.Module, pool: SharedPool) {
    this.#wasm = wasm;
    this.pool = pool;
  }

  async create(spec: VmSpec): Promise<Vm> {
    if (this.#closed) throw new EngineError('ENGINE_ENDED', `partition ${spec.name}: the engine is closed`);
    const vm = await V86Vm.create(spec, this.#wasm, this.pool, (ended) => this.#vms.delete(ended));
    if (!vm.hasEnded) this.#vms.add(vm);
    return vm;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(Array.from(this.#vms, (vm) => vm.stop()));
    this.#vms.clear();
  }
}
