/** The Worker's side of the hypercall port (`vmm/hypercall.ts`). */
import {
  ARG0,
  ARGS,
  CALL,
  ERROR_BASE,
  HYPERCALL_MAGIC,
  PORT_ERROR,
  PROBE,
  SERVICE_BASE,
  SERVICE_BUFFER_MAX,
} from './hypercall.ts';
import type { V86Cpu } from './v86/cpu.ts';

/** Sends a call to the host thread and does not return before its answer. */
export type CallHost = (
  call: number,
  args: number[],
  input: Uint8Array<ArrayBuffer>,
) => { result: number; output?: Uint8Array };

const NO_INPUT = new Uint8Array(0);
const refusal = (code: number) => (ERROR_BASE + code) >>> 0;

/** Put the port on the bus. Gives access to its registers, which are part of the machine's state. */
export function registerHypercallPort(
  cpu: Pick<V86Cpu, 'io' | 'mem8' | 'write_blob'>,
  callHost: CallHost,
): { registers: Int32Array } {
  /** ARG0..ARG5, then the last result. */
  const registers = new Int32Array(ARGS + 1);
  const device = { name: 'hypercall' };
  for (let i = 0; i < ARGS; i++) {
    cpu.io.register_write(ARG0 + 4 * i, device, undefined, undefined, (value) => {
      registers[i] = value;
    });
  }
  cpu.io.register_write(CALL, device, undefined, undefined, (value) => {
    registers[ARGS] = execute(value >>> 0);
  });
  cpu.io.register_read(CALL, device, undefined, undefined, () => registers[ARGS] ?? 0);
  cpu.io.register_read(PROBE, device, undefined, undefined, () => HYPERCALL_MAGIC);
  return { registers };

  function execute(call: number): number {
    const args = Array.from(registers.subarray(0, ARGS), (value) => value >>> 0);
    if (call < SERVICE_BASE) return callHost(call, args, NO_INPUT).result;
    const [inGpa = 0, inLength = 0, outGpa = 0, outCapacity = 0] = args;
    if (!inRam(inGpa, inLength) || !inRam(outGpa, outCapacity)) return refusal(PORT_ERROR.BUFFER);
    const { result, output } = callHost(call, args, cpu.mem8.slice(inGpa, inGpa + inLength));
    if (output === undefined || output.length === 0) return result;
    if (output.length > outCapacity) return refusal(PORT_ERROR.NO_SPACE);
    cpu.write_blob(output, outGpa);
    return result;
  }

  function inRam(gpa: number, length: number): boolean {
    return length === 0 || (length <= SERVICE_BUFFER_MAX && gpa + length <= cpu.mem8.length);
  }
}
