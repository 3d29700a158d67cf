/**
 * Keeps v86's compiler off while a kernel starts. Start-up code runs once: compiling it to WebAssembly costs more than
 * interpreting it, and its compiled pages crowd out those that matter. User mode is the sign that start-up is over.
 */

import type { DeviceFactory } from '../../device.ts';
import type { V86Cpu } from '../cpu.ts';

const JIT_DISABLED = 0;
const LOOK_EVERY_MS = 20;
/** Consecutive looks that find user mode; a single one may be a helper that the kernel started for a moment. */
const LOOKS = 3;

const create: DeviceFactory<unknown, V86Cpu> = ({ cpu }) => {
  cpu.set_jit_config(JIT_DISABLED, 1);
  let seen = 0;
  const open = () => {
    clearInterval(timer);
    cpu.set_jit_config(JIT_DISABLED, 0);
  };
  const timer = setInterval(() => {
    if (cpu.cpl[0] === 3 && ++seen === LOOKS) open();
  }, LOOK_EVERY_MS);
  return { restore: open };
};

export default create;
