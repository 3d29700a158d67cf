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

const MEBIBYTE = 2 ** 20;
/** A command that a TPM executes ends within this many looks. */
const SAVE_ATTEMPTS = 100;
const SAVE_EVERY_MS = 20;

/**
 * Pause the partition and hand it to `keep` as a sealed file; when that is durable, it has ended. It runs on when it
 * cannot be saved or kept. Throws SnapshotError E_SNAPSHOT_BUSY when its TPM does not come to rest, EngineError when
 * the engine cannot save, and what `keep` throws.
 */
export async function suspend(
  vm: Vm,
  seal: SealingIdentity,
  counter: FreshnessCounter,
  keep: (file: Uint8Array) => void | Promise<void>,
  tpm?: MovableTpm,
): Promise<void> {
  await vm.pause();
  try {
    const state = await saveWhenQuiet(vm);
    const moved = tpm && { permanent: tpm.exportPermanent(), volatile: tpm.exportVolatile() };
    const snapshot: Snapshot = { vm: state, ...(moved && { tpm: moved }) };
    // The value is taken before the file exists: a crash in between loses this snapshot, never freshness.
    await keep(await sealSnapshot(snapshot, { ...seal, counter: await counter.increment() }));
  } catch (error) {
    // What was kept in part is of a value that is demanded no more once the guest has run.
    await counter.increment();
    await vm.resume().catch(() => {}); // one that has ended did so before: that is the error
    throw error;
  }
  await vm.stop();
  tpm?.powerOff();
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
  // Looked at before the file is spent.
  if (snapshot.engine !== engine.name || snapshot.memoryBytes !== spec.memoryBytes) {
    throw new SnapshotError(
      'E_SNAPSHOT_MACHINE',
      `made on ${snapshot.engine} with ${snapshot.memoryBytes / MEBIBYTE} MiB; this is ${engine.name} with ` +
        `${spec.memoryBytes / MEBIBYTE} MiB`,
      'restore it on the engine and with the memory that it was made with',
    );
  }
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
