/** What the core gives one partition: an id, its private frames, its pages of the exchange pool; from INIT to FREE. */
import { PERM_READ, PERM_WRITE, type Vm, WINDOW_BASE } from '../../vmm/index.ts';
import { KIND_STANDARD, KIND_TRUSTED, P_FREE, P_STOPPED, state } from '../core/index.ts';
import type { Machine } from './machine.ts';

const PAGE_SIZE = 4096;
const PERM_ALL = PERM_READ | PERM_WRITE;
/** Exchange-pool pages that each partition owns, at the first pages of its window. */
export const SHARED_PAGES = 16;
const WINDOW_FIRST = WINDOW_BASE / PAGE_SIZE;
/** Page numbers of those pages. */
const SHARED: readonly number[] = Array.from({ length: SHARED_PAGES }, (_, page) => WINDOW_FIRST + page);

export class Allotment {
  readonly id: number;
  private readonly machine: Machine;
  /** Its private memory, by page. */
  private readonly frames: readonly number[];

  /** Take what a partition needs; of its frames, those of `measured` pages are measured. Throws HostError E_CORE_REFUSED. */
  constructor(machine: Machine, kind: 'trusted' | 'standard', memoryBytes: number, measured: Iterable<number> = []) {
    this.machine = machine;
    this.id = machine.freePartition();
    this.frames = machine.takeFrames(memoryBytes / PAGE_SIZE);
    const shared = machine.takePoolFrames(SHARED_PAGES);
    machine.root('partitionCreate', this.id, kind === 'trusted' ? KIND_TRUSTED : KIND_STANDARD, 0);
    this.frames.forEach((frame, page) => {
      machine.root('frameAssign', frame, this.id, page, PERM_ALL);
    });
    shared.forEach((frame, page) => {
      machine.root('frameAssign', frame, this.id, SHARED[page] ?? 0, PERM_ALL);
    });
    for (const page of measured) machine.root('frameMeasure', this.frames[page] ?? 0);
  }

  /** Nothing of it can change any more; `vm` is what executes it. */
  seal(vm: Vm): void {
    this.machine.attach(this.id, vm);
    this.machine.root('partitionSeal', this.id);
  }

  /** From here on it may be a party to channels and grants. */
  admit(): void {
    this.machine.root('partitionRun', this.id);
    this.machine.carryOutAll(this.id, SHARED);
  }

  /** It executes no more. Idempotent. */
  stop(): void {
    const now = state.partitionState[this.id];
    if (now !== P_STOPPED && now !== P_FREE) this.machine.root('partitionStop', this.id);
  }

  /** Give everything back, zeroed. Idempotent. */
  destroy(): void {
    if (state.partitionState[this.id] === P_FREE) return;
    this.stop();
    this.machine.destroy(this.id, this.frames);
  }
}
