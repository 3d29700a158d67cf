/** Drives the guest program `probe`: a test tells a real x86 guest, step by step, what to do next. */
import { readFile } from 'node:fs/promises';
import { type Engine, type HypercallReply, loadMultiboot, type Vm, type VmExit, type VmSpec } from 'nexus-tcb/vmm';
import { buildGuests } from '../../guests/build.ts';

const MIB = 1024 * 1024;
const SERVICE_BYTES = 0x1f0;

/** Step numbers of guests/probe/main.c. */
const STEP = {
  end: 0,
  read: 1,
  write: 2,
  in: 3,
  out: 4,
  call: 5,
  print: 6,
  echo: 7,
  spin: 8,
  fault: 9,
  reset: 10,
  hpkeOpen: 11,
  copy: 12,
  read8: 13,
  count: 14,
  counter: 15,
  in8: 16,
  out8: 17,
} as const;
/** Steps that report an outcome; the others are over when the guest asks for the next. */
const WITH_OUTCOME = new Set<number>([
  STEP.read,
  STEP.in,
  STEP.call,
  STEP.echo,
  STEP.hpkeOpen,
  STEP.read8,
  STEP.counter,
  STEP.in8,
]);

interface Step {
  readonly number: number;
  readonly operands: readonly number[];
  readonly done: (outcome: number) => void;
}

export class Probe {
  vm!: Vm; // set by `launch` before anyone has the probe
  console = '';
  readonly exits: VmExit[] = [];
  /** What the guest's own calls (step `call`) and SERVICE_BYTES get. */
  answer: (call: number, args: readonly number[], input: Uint8Array) => HypercallReply | Promise<HypercallReply> =
    () => ({ result: 0 });
  readonly ended: Promise<VmExit>;
  #resolveEnded: (exit: VmExit) => void = () => {};
  readonly #queue: Step[] = [];
  #current: Step | undefined;
  #wake: (() => void) | undefined;

  static async launch(engine: Engine, name: string, extra: Partial<VmSpec> = {}): Promise<Probe> {
    const image = await readFile((await buildGuests()).probe);
    const memoryBytes = extra.memoryBytes ?? 4 * MIB;
    const { segments, entry } = loadMultiboot(image, `name=${name}`, memoryBytes);
    const probe = new Probe();
    const decoder = new TextDecoder();
    probe.vm = await engine.create({
      name,
      memoryBytes,
      segments,
      entry,
      onHypercall: ({ call, args, input }) => probe.#hypercall(call, args, input),
      onConsole: (bytes) => {
        probe.console += decoder.decode(bytes, { stream: true });
      },
      onExit: (exit) => {
        probe.exits.push(exit);
        probe.#resolveEnded(exit);
      },
      ...extra,
    });
    await probe.vm.start();
    return probe;
  }

  private constructor() {
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
  }

  /** Do one step; resolves with its outcome, or 0 for a step without one. */
  step(name: keyof typeof STEP, ...operands: number[]): Promise<number> {
    return new Promise((done) => {
      this.#queue.push({ number: STEP[name], operands, done });
      this.#wake?.();
    });
  }

  async #hypercall(call: number, args: readonly number[], input: Uint8Array): Promise<HypercallReply> {
    if (call === 1) return { result: this.#current?.operands[args[0] ?? 0] ?? 0 };
    if (call === 2) {
      this.#current?.done(args[0] ?? 0);
      return { result: 0 };
    }
    if (call !== 0) return this.answer(call, args, input);
    if (this.#current && !WITH_OUTCOME.has(this.#current.number)) this.#current.done(0);
    this.#current = undefined;
    while (this.#queue.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#current = this.#queue.shift();
    return { result: this.#current?.number ?? 0 };
  }
}

export { SERVICE_BYTES };
