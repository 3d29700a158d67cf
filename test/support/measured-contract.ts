/** A freestanding guest with a TPM: measured by the monitor, its log found as a guest finds it. Part of the engine contract. */
import { readFile } from 'node:fs/promises';
import { TPM_ALG, Tpm, TpmClient } from 'nexus-tcb/tpm';
import { type Engine, prepareMultiboot } from 'nexus-tcb/vmm';
import { expect, it } from 'vitest';
import { encodeEventLog, parseEventLog } from '../../attestation/eventlog/format.ts';
import { replayLog } from '../../attestation/eventlog/replay.ts';
import { buildGuests } from '../../guests/build.ts';
import { findLog } from '../../vmm/firmware/log-area.ts';
import { Probe } from './probe.ts';

const MEMORY = 4 << 20;
const hex = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString('hex');

/** `engine` is asked for when the tests run. */
export function measuredContract(engine: () => Engine): void {
  /** PCR 0 to 9 of a guest that was measured, started, and asked for a sign of life. */
  async function pcrsOf(image: Uint8Array, commandLine: string): Promise<string[]> {
    const tpm = await Tpm.create();
    try {
      const { spec, eventLog } = await prepareMultiboot(engine(), {
        ...{ image, name: 'probe', commandLine, memoryBytes: MEMORY, tpm },
        ...{ monitorVersion: 'test', encodeLog: encodeEventLog },
      });
      const probe = await Probe.launch(engine(), 'measured', spec);
      const memory = await probe.vm.readMemory(0, MEMORY);
      const { address, used } = findLog(memory);
      expect(hex(memory.subarray(address, address + used))).toBe(hex(eventLog));
      expect(await probe.step('read8', address)).toBe(eventLog[0]);
      const replay = replayLog(parseEventLog(eventLog), TPM_ALG.SHA256);
      const client = await TpmClient.of(tpm);
      const pcrs: string[] = [];
      for (let pcr = 0; pcr < 10; pcr++) {
        const selection = [{ hash: TPM_ALG.SHA256, pcrSelect: [pcr] }];
        const value = hex((await client.PCR_Read({ pcrSelectionIn: selection })).pcrValues[0]);
        expect(value, `PCR ${pcr}`).toBe(hex(replay[pcr]));
        pcrs.push(value);
      }
      await probe.vm.stop();
      tpm.powerOff();
      return pcrs;
    } finally {
      await tpm.close();
    }
  }

  it('has a log in memory that replays to the PCRs; image and command line change PCR 9 and 8, and no other', async () => {
    const image = new Uint8Array(await readFile((await buildGuests()).probe));
    const pcrs = await pcrsOf(image, 'one');
    const changed = (other: readonly string[]) => pcrs.flatMap((value, pcr) => (value === other[pcr] ? [] : [pcr]));
    expect(new Set([...pcrs.slice(8), '0'.repeat(64)]).size).toBe(3);
    expect(changed(await pcrsOf(image, 'two'))).toEqual([8]);
    expect(changed(await pcrsOf(Uint8Array.of(...image, 0), 'one'))).toEqual([9]);
  });
}
