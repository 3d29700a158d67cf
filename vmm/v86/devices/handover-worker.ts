/** Worker side of firmware's end: the guest waits in an endless loop until the host says where it goes on. */

import type { DeviceFactory } from '../../device.ts';
import type { EntryState, Segment } from '../../engine.ts';
import type { V86Cpu } from '../cpu.ts';
import { setEntryState } from '../entry.ts';

export interface Handover {
  readonly segments: readonly Segment[];
  readonly entry: EntryState;
}

const create: DeviceFactory<{ readonly port: number }, V86Cpu> = (host, { port }) => {
  const { cpu } = host;
  const device = { name: 'handover' };
  cpu.io.register_read(port, device, () => 0);
  cpu.io.register_write(port, device, () => host.send('knock'));
  host.onMessage((message) => {
    const { segments, entry } = message as Handover; // sent by our own host thread
    for (const { gpa, bytes } of segments) cpu.write_blob(bytes, gpa);
    setEntryState(cpu, entry);
  });
  return {};
};

export default create;
