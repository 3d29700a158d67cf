/**
 * Unmodified SeaBIOS with our ACPI tables and TPM, and another vendor's loader behind it. Run by `npm run test:linux`.
 */
import { createHash } from 'node:crypto';
import { Tpm } from 'nexus-tcb/tpm';
import {
  createV86Engine,
  FAST_COMMAND_LINE,
  fetchIpxe,
  fetchLinux,
  fetchSeaBios,
  launchBehindFirmware,
  linuxCache,
  READY_MARK,
  seaBiosMachine,
  tpmDevice,
  type Vm,
} from 'nexus-tcb/vmm';
import { expect, it } from 'vitest';
import { encodeEventLog, parseEventLog } from '../../attestation/eventlog/format.ts';
import { replayLog } from '../../attestation/eventlog/replay.ts';
import { GuestShell } from '../support/guest-shell.ts';
import { linuxSkip, linuxTitle } from '../support/linux.ts';

const SHA256 = 0x000b;
const MEMORY = 64 << 20;

/** The event log, found as an operating system finds it: through the TPM2 table in memory. */
async function eventLog(vm: Vm): Promise<Uint8Array> {
  const memory = Buffer.from(await vm.readMemory(0, MEMORY));
  // The log's address and size come last in the 76-byte table.
  for (let at = memory.indexOf('TPM2'); at >= 0; at = memory.indexOf('TPM2', at + 1)) {
    if (memory.readUInt32LE(at + 4) !== 76) continue;
    const [size, address] = [memory.readUInt32LE(at + 64), memory.readUInt32LE(at + 68)];
    if (address === 0 || address + size > MEMORY) continue;
    const area = memory.subarray(address, address + size);
    return Uint8Array.from(area.subarray(0, usedLength(area)));
  }
  throw new Error('no TPM2 table in memory');
}

/** The log ends where an event would be all zero. */
function usedLength(area: Buffer): number {
  for (let end = area.length; end > 0; end--) if (area[end - 1] !== 0) return paddedToEvent(area, end);
  return 0;
}

/** Trailing zero bytes may belong to the last event's data: take the shortest length that parses. */
function paddedToEvent(area: Buffer, end: number): number {
  for (let length = end; length < end + 64; length++) {
    try {
      parseEventLog(area.subarray(0, length));
      return length;
    } catch {
      // One byte more.
    }
  }
  throw new Error('the event log does not parse');
}

it.skipIf(linuxSkip !== undefined)(
  linuxTitle('SeaBIOS measures into our TPM, its log replays to the PCRs, and iPXE runs behind it'),
  async () => {
    const engine = await createV86Engine();
    const tpm = await Tpm.create();
    try {
      const machine = seaBiosMachine({ bios: await fetchSeaBios(linuxCache()), tpm: true });
      const shell = new GuestShell();
      tpm.powerOn();
      const vm = await engine.create({
        name: 'firmware',
        memoryBytes: MEMORY,
        ...machine,
        cdrom: await fetchIpxe(linuxCache()),
        devices: [...machine.devices, tpmDevice('tis', tpm)],
        onHypercall: () => ({ result: 0 }),
        onConsole: shell.hear,
        onExit: (exit) => shell.end(exit.kind),
      });
      await vm.start();
      await shell.waitFor(/SeaBIOS/);
      await shell.waitFor(/Booting from DVD\/CD/);
      await shell.waitFor(/iPXE.*Open Source Network Boot Firmware/s);
      await vm.pause();
      const log = parseEventLog(await eventLog(vm));
      expect(log.events.length).toBeGreaterThanOrEqual(13);
      const replay = replayLog(log, SHA256);
      for (const pcr of [0, 1, 2, 3, 4, 5, 6, 7]) {
        // TPM2_PCR_Read of one SHA-256 register.
        const select = [0, 1, 2].map((byte) => (Math.floor(pcr / 8) === byte ? 1 << (pcr % 8) : 0));
        const read = Uint8Array.of(0x80, 1, 0, 0, 0, 20, 0, 0, 1, 0x7e, 0, 0, 0, 1, 0, SHA256, 3, ...select);
        const value = (await tpm.execute(read)).slice(-32);
        expect(Buffer.from(value).toString('hex'), `PCR ${pcr}`).toBe(Buffer.from(replay[pcr] ?? []).toString('hex'));
      }
      await vm.stop();
    } finally {
      await engine.close();
      await tpm.close();
    }
  },
  120_000,
);

it.skipIf(linuxSkip !== undefined)(
  linuxTitle('stock Linux behind SeaBIOS shows one log of firmware and kernel, which replays to the PCRs'),
  async () => {
    const engine = await createV86Engine();
    const tpm = await Tpm.create();
    try {
      const files = await fetchLinux(linuxCache(), 'i686', { tools: true });
      const shell = new GuestShell();
      const vm = await launchBehindFirmware(engine, {
        name: 'behind-firmware',
        bios: await fetchSeaBios(linuxCache()),
        files,
        commandLine: FAST_COMMAND_LINE,
        memoryBytes: 2 * MEMORY,
        tpm,
        encodeLog: encodeEventLog,
        onConsole: shell.hear,
        onExit: (exit) => shell.end(exit.kind === 'crashed' ? exit.reason : exit.by),
      });
      shell.attach(vm);
      await vm.start();
      await shell.waitFor(/SeaBIOS/);
      await shell.waitFor(new RegExp(READY_MARK));
      await shell.waitFor(/# /);
      const log = parseEventLog(await shell.bytes('/sys/kernel/security/tpm0/binary_bios_measurements'));
      // Firmware's events, and behind them what SeaBIOS omits: kernel, command line, initramfs.
      expect(log.events.length).toBeGreaterThanOrEqual(15);
      expect(log.events.slice(-3).map(({ pcr }) => pcr)).toEqual([4, 9, 9]);
      const initrd = log.events.at(-1)?.digestOf(log.algorithms.indexOf(SHA256));
      expect(Buffer.from(initrd ?? [])).toEqual(createHash('sha256').update(files.initrd).digest());
      const replay = replayLog(log, SHA256);
      for (const pcr of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]) {
        const shown = await shell.ok(`cat /sys/class/tpm/tpm0/pcr-sha256/${pcr}`);
        expect(shown.trim().toLowerCase(), `PCR ${pcr}`).toBe(Buffer.from(replay[pcr] ?? []).toString('hex'));
      }
      const aggregate = createHash('sha256');
      for (const pcr of replay.slice(0, 10)) aggregate.update(pcr);
      const list = await shell.ok('cat /sys/kernel/security/ima/ascii_runtime_measurements');
      expect(list).toContain(`sha256:${aggregate.digest('hex')} boot_aggregate`);
      await vm.stop();
    } finally {
      await engine.close();
      await tpm.close();
    }
  },
  240_000,
);
