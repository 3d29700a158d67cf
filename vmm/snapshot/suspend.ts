/**
 * Suspend and resume a partition with its TPM. A counter that only rises makes each snapshot good for one resumption:
 * suspending raises it and seals its value; resuming demands that value and raises it again. So no one can take back
 * an NV counter, a failed authorization or a sealed value by restoring an older file, or the same one twice.
 */
import type { Engine, Vm, VmSpec } from '../engine.ts';
import { EngineError } from '../engine.ts';
import { SnapshotError } from './error.ts';
import { openSnapshot, type Snapshot, type SnapshotSeal, sealSnapshot, type TpmState } from './format.ts';

/** A counter of the platform: durable, never falling. */
export interface FreshnessCounter {
  read(): Promise<bigint>;
  /** Raises by one and gives the new value, which is durable when it resolves. */
  increment(): Promise<bigint>;
}

/** The part of a TPM that moves with its partition. */
export interface MovableTpm {
  exportPermanent(): Uint8Array;
  exportVolatile(): Uint8Array;
  /** Powered off; a volatile part is taken by the next power-on. */
  restore(state: TpmState): Promise<void>;
  powerOn(): void;
  powerOff(): void;
}

export type SealingIdentity = Omit<SnapshotSeal, 'counter'>;

/** A command that a TPM executes ends within this many looks. */
const SAVE_ATTEMPTS = 100;
const SAVE_EVERY_MS = 20;

/**
 * Pause the partition and give it as a sealed file; it does not run on. Throws SnapshotError E_SNAPSHOT_BUSY when its
 * TPM does not come to rest, EngineError when the engine cannot save.
 */
export async function suspend(
  vm: Vm,
  seal: SealingIdentity,
  counter: FreshnessCounter,
  tpm?: MovableTpm,
): Promise<Uint8Array> {
  await vm.pause();
  const state = await saveWhenQuiet(vm);
  const moved = tpm && { permanent: tpm.exportPermanent(), volatile: tpm.exportVolatile() };
  const snapshot: Snapshot = { vm: state, ...(moved && { tpm: moved }) };
  // The value is taken before the file exists: a crash in between loses this snapshot, never freshness.
  const file = await sealSnapshot(snapshot, { ...seal, counter: await counter.increment() });
  await vm.stop();
  tpm?.powerOff();
  return file;
}

/** Continue a partition from a sealed file. The machine is made and stands paused; `start` runs it. */
export async function resume(
  engine: Engine,
  spec: Omit<VmSpec, 'snapshot' | 'segments' | 'entry' | 'firmware'>,
  file: Uint8Array,
  seal: SealingIdentity,
  counter: FreshnessCounter,
  tpm?: MovableTpm,
): Promise<Vm> {
  const { vm: snapshot, tpm: state } = await openSnapshot(file, { ...seal, counter: await counter.read() });
  await counter.increment();
  if (tpm && state) {
    await tpm.restore(state);
    tpm.powerOn();
  }
  return engine.create({ ...spec, segments: [], snapshot });
}

async function saveWhenQuiet(vm: Vm) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await vm.save();
    } catch (error) {
      const busy = error instanceof EngineError && error.code === 'ENGINE_BUSY';
      if (!busy) throw error;
      if (attempt === SAVE_ATTEMPTS) {
        throw new SnapshotError('E_SNAPSHOT_BUSY', error.message, 'try again when the partition is idle', {
          cause: error,
        });
      }
      await new Promise((resolve) => setTimeout(resolve, SAVE_EVERY_MS));
    }
  }
}
