/**
 * The core and the engine as one machine: the core decides, and what it decided about shared pages is carried out in
 * the engine before the call returns (engine contract A1). One thread orders all calls (A4).
 *
 * Frame numbers below the pool's size are pages of the engine's exchange pool, which grants can share; those above are
 * private memory of one partition, which lives inside its engine instance. A guest's call that would change who reaches
 * a private frame is refused before the core is asked: the engine could not carry it out.
 */
import { type Engine, type Vm, WINDOW_BASE, WINDOW_PAGES } from '../../vmm/index.ts';
import {
  accessFrame,
  CALLS,
  type CallName,
  dispatch,
  E,
  ERROR_BASE,
  errorName,
  F_FREE,
  FRAMES,
  G_MAPPED,
  GRANTS,
  P_FREE,
  PARTITIONS,
  PERM_READ,
  PERM_READ_WRITE,
  state,
} from '../core/index.ts';
import { HostError } from './errors.ts';

const PAGE_SIZE = 4096;
const mebibytes = (frames: number) => `${Math.floor((frames * PAGE_SIZE) / 2 ** 20)} MiB`;
/** First guest-physical page of the window. */
const WINDOW_FIRST = WINDOW_BASE / PAGE_SIZE;

type Arguments = readonly [number, number, number, number, number, number];

/** A place in a partition's memory. */
interface Place {
  readonly partition: number;
  readonly page: number;
}

/** Calls that change who reaches a frame, with the argument that names it: for pages of the pool only. */
const PAGE_CALLS: ReadonlyMap<number, (args: Arguments) => number> = new Map([
  [CALLS.grantOffer.number, (args) => args[1]],
  [CALLS.grantLend.number, (args) => args[1]],
  [CALLS.frameDonate.number, (args) => args[1]],
  [CALLS.frameRelease.number, (args) => args[0]],
  [CALLS.frameProtect.number, (args) => args[0]],
]);

export class Machine {
  readonly engine: Engine;
  private readonly vms = new Map<number, Vm>();
  /** Next private frame that was never used, and frames that came back. */
  private nextFrame: number;
  private readonly freeFrames: number[] = [];

  constructor(engine: Engine) {
    this.engine = engine;
    this.nextFrame = engine.pool.frames;
  }

  attach(partition: number, vm: Vm): void {
    this.vms.set(partition, vm);
  }

  /** A partition id that is free. */
  freePartition(): number {
    for (let q = 1; q < PARTITIONS; q++) if (state.partitionState[q] === P_FREE) return q;
    throw new HostError('E_CORE_REFUSED', 'every partition id is in use', 'stop a partition');
  }

  /** `count` private frames for one partition's memory. */
  takeFrames(count: number): number[] {
    const left = FRAMES - this.nextFrame + this.freeFrames.length;
    if (count > left) {
      const message = `${mebibytes(count)} of memory are wanted, ${mebibytes(left)} are left for partitions`;
      throw new HostError('E_CORE_REFUSED', message, 'give partitions less memory');
    }
    const reused = this.freeFrames.splice(0, count);
    const fresh = count - reused.length;
    const first = this.nextFrame;
    this.nextFrame += fresh;
    return [...reused, ...Array.from({ length: fresh }, (_, i) => first + i)];
  }

  /** `count` frames of the exchange pool that are free. */
  takePoolFrames(count: number): number[] {
    const frames: number[] = [];
    for (let f = 0; f < this.engine.pool.frames && frames.length < count; f++) {
      if (state.frameState[f] === F_FREE) frames.push(f);
    }
    if (frames.length === count) return frames;
    throw new HostError('E_CORE_REFUSED', 'the exchange pool is used up', 'stop a partition or share fewer pages');
  }

  /** A call by the root that must succeed. Throws HostError E_CORE_REFUSED. */
  root(name: CallName, ...args: number[]): void {
    const [a0 = 0, a1 = 0, a2 = 0, a3 = 0, a4 = 0, a5 = 0] = args;
    const result = this.call(0, CALLS[name].number, [a0, a1, a2, a3, a4, a5]);
    if (result < ERROR_BASE) return;
    throw new HostError(
      'E_CORE_REFUSED',
      `${name}(${args.join(', ')}): ${errorName(result) ?? result}`,
      'this is a defect of the host or a resource that is used up',
    );
  }

  /** A call by partition `p`: judged by the core, carried out by the engine, then answered. */
  call(p: number, number: number, args: Arguments): number {
    if (this.wantsPrivateFrame(number, args)) return E.DENIED;
    const before = this.touched(p, number, args);
    const result = dispatch(number, p, ...args);
    if (result >= ERROR_BASE) return result;
    for (const place of before) this.carryOut(place);
    // After nobody can write it any more: a free frame is zero (A2).
    if (number === CALLS.frameScrub.number && args[0] < this.engine.pool.frames) this.engine.pool.scrub(args[0]);
    return result;
  }

  /**
   * Destroy a stopped partition: whoever borrowed its frames loses them at once, and they are zeroed; whoever lent it
   * frames has them back. `privateFrames` are what `takeFrames` gave it; its pages of the pool, donated ones included, are found in the core's state.
   */
  destroy(partition: number, privateFrames: readonly number[]): void {
    const pages = this.poolFramesOf(partition);
    const shared = [...pages, ...this.borrowedBy(partition)].flatMap((f) => this.placesOf(f));
    this.root('partitionDestroy', partition);
    this.vms.delete(partition);
    for (const place of shared) this.carryOut(place);
    for (const f of [...pages, ...privateFrames]) this.root('frameScrub', f);
    this.freeFrames.push(...privateFrames);
  }

  /** Frames of the pool that others have granted to a partition. */
  private borrowedBy(partition: number): number[] {
    const frames: number[] = [];
    for (let f = 0; f < this.engine.pool.frames; f++) {
      const [, borrower] = this.placesOf(f);
      if (borrower?.partition === partition) frames.push(f);
    }
    return frames;
  }

  /** Pages of the pool that bear a partition's number and present epoch, given back or not. */
  private poolFramesOf(partition: number): number[] {
    const frames: number[] = [];
    for (let f = 0; f < this.engine.pool.frames; f++) {
      const its = state.frameOwner[f] === partition && state.frameEpoch[f] === state.partitionEpoch[partition];
      if (its && state.frameState[f] !== F_FREE) frames.push(f);
    }
    return frames;
  }

  /**
   * Private memory lives inside the engine's instance: it cannot move to another partition, and its owner cannot be
   * kept from a single page of it.
   */
  private wantsPrivateFrame(number: number, args: Arguments): boolean {
    const frame = PAGE_CALLS.get(number)?.(args) ?? 0;
    return frame >= this.engine.pool.frames && frame < FRAMES;
  }

  /** Places whose mapping the call may change. Read before the call, while the state still says where things stand. */
  private touched(p: number, number: number, args: Arguments): Place[] {
    const [a0, a1, a2] = args;
    switch (number) {
      case CALLS.frameAssign.number:
        return [{ partition: a1, page: a2 }];
      case CALLS.frameProtect.number:
      case CALLS.frameRelease.number:
      case CALLS.frameScrub.number:
        return a0 < FRAMES ? this.placesOf(a0) : [];
      case CALLS.grantAccept.number:
        return [{ partition: p, page: a2 }, ...this.placesOfGrant(a0, a1)];
      case CALLS.grantRelease.number:
        return this.placesOfGrant(a0, a1);
      case CALLS.grantRevoke.number:
        return this.placesOfGrant(p, a0);
      default:
        return [];
    }
  }

  private placesOfGrant(owner: number, g: number): Place[] {
    if (owner >= PARTITIONS || g >= GRANTS) return [];
    return this.placesOf(state.grantFrame[owner * GRANTS + g] ?? 0);
  }

  /** Where frame f stands: with its owner, and with whom it is granted to. */
  private placesOf(f: number): Place[] {
    const owner = state.frameOwner[f] ?? 0;
    const places = [{ partition: owner, page: state.frameGpa[f] ?? 0 }];
    const slot = owner * GRANTS + (state.frameGrant[f] ?? 0) - 1;
    if (state.frameGrant[f] !== 0 && state.grantState[slot] === G_MAPPED) {
      places.push({ partition: state.grantTo[slot] ?? 0, page: state.grantGpa[slot] ?? 0 });
    }
    return places;
  }

  /** Make the engine's window agree with the core at one place. */
  private carryOut({ partition, page }: Place): void {
    const vm = this.vms.get(partition);
    const windowPage = page - WINDOW_FIRST;
    if (vm === undefined || windowPage < 0 || windowPage >= WINDOW_PAGES) return;
    const frame = accessFrame(partition, page, PERM_READ);
    if (frame >= ERROR_BASE) {
      vm.unmap(windowPage);
      return;
    }
    const writable = accessFrame(partition, page, PERM_READ_WRITE) < ERROR_BASE;
    vm.map(windowPage, frame, writable ? PERM_READ_WRITE : PERM_READ);
  }

  /** Map what a partition has in the window, once it runs. */
  carryOutAll(partition: number, pages: readonly number[]): void {
    for (const page of pages) this.carryOut({ partition, page });
  }
}
