/** Which engine runs partitions here: named, or the best that this machine offers. */
import type { Engine } from './engine.ts';
import { createKvmEngine } from './kvm/engine.ts';
import { type KvmReport, probeKvm } from './kvm/probe.ts';
import { createV86Engine } from './v86/engine.ts';

export type EngineChoice = 'auto' | 'v86' | 'kvm';

export interface EngineReport {
  readonly engine: 'v86' | 'kvm';
  readonly usable: boolean;
  /** Why it is not usable, or what it is good for. */
  readonly reason: string;
  readonly extensions?: KvmReport['extensions'];
}

const EMULATING = '/dev/kvm is itself virtual and emulates kernel code slowly';

/** All engines with what they can do on this machine, the one that `auto` takes first. */
export async function probeEngines(): Promise<EngineReport[]> {
  const kvm = await probeKvm();
  const hardware: EngineReport = {
    engine: 'kvm',
    usable: kvm.usable,
    reason: kvm.usable ? (kvm.emulating ? EMULATING : 'hardware virtualization through /dev/kvm') : kvm.reason,
    extensions: kvm.extensions,
  };
  const emulation: EngineReport = {
    engine: 'v86',
    usable: true,
    reason: 'emulation in WebAssembly; runs anywhere, 32-bit guests',
  };
  return kvm.usable && !kvm.emulating ? [hardware, emulation] : [emulation, hardware];
}

/**
 * Open an engine. `auto` takes KVM where the processor runs its guests and otherwise v86, with the reason.
 * Throws EngineError when the engine named is not usable.
 */
export async function openEngine(choice: EngineChoice): Promise<{ engine: Engine; reason: string }> {
  if (choice === 'v86') return { engine: await createV86Engine(), reason: 'asked for' };
  if (choice === 'kvm') return { engine: await createKvmEngine(), reason: 'asked for' };
  const kvm = await probeKvm();
  if (kvm.usable && !kvm.emulating) return { engine: await createKvmEngine(), reason: '/dev/kvm is usable' };
  return { engine: await createV86Engine(), reason: kvm.usable ? EMULATING : `no KVM: ${kvm.reason}` };
}
