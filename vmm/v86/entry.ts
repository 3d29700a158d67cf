/** The processor state in which a partition without firmware starts: 32-bit protected mode, flat segments. */
import type { EntryState } from '../engine.ts';
import type { V86Cpu } from './cpu.ts';

const EAX = 0;
const EBX = 3;
const ESI = 6;
const CODE_SELECTOR = 0x08;
const DATA_SELECTOR = 0x10;
const CR0_PE = 1;
/** Bit 1 of EFLAGS always reads as one; interrupts are off. */
const EFLAGS = 2;

export function setEntryState(cpu: V86Cpu, entry: EntryState): void {
  cpu.cr[0] = CR0_PE;
  cpu.protected_mode[0] = 1;
  cpu.flags[0] = EFLAGS;
  cpu.is_32[0] = 1;
  cpu.stack_size_32[0] = 1;
  for (let segment = 0; segment < 6; segment++) {
    cpu.segment_is_null[segment] = 0;
    cpu.segment_offsets[segment] = 0;
    cpu.segment_limits[segment] = 0xffffffff;
    cpu.sreg[segment] = segment === 1 ? CODE_SELECTOR : DATA_SELECTOR; // 1 is CS in v86's order
  }
  cpu.reg32[EAX] = entry.eax ?? 0;
  cpu.reg32[EBX] = entry.ebx ?? 0;
  cpu.reg32[ESI] = entry.esi ?? 0;
  cpu.instruction_pointer[0] = (cpu.get_seg_cs() + entry.eip) | 0;
  cpu.update_state_flags();
}
