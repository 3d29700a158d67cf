/** The KVM engine: the same contract as every engine, and what only hardware brings. Run by `npm run test:kvm`. */
import { Tpm } from 'nexus-tcb/tpm';
import {
  createKvmEngine,
  type Engine,
  launchLinux,
  openEngine,
  PERM_READ,
  PERM_WRITE,
  probeEngines,
  probeKvm,
  tpmDevice,
  type VmExit,
  WINDOW_BASE,
} from 'nexus-tcb/vmm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeEventLog } from '../../attestation/eventlog/format.ts';
import { TPM_BASE } from '../../vmm/devices/tpm-backend.ts';
import { CTRL_REQ, LOC_CTRL, REG } from '../../vmm/devices/tpm-crb/registers.ts';
import { parseKernel } from '../../vmm/linux/kernel.ts';
import { engineContract } from '../support/engine-contract.ts';
import { Probe } from '../support/probe.ts';
import { asBzImage, buildSmallKernel } from '../support/small-kernel.ts';

const report = await probeKvm();
const skip = process.env.NEXUS_TEST_KVM !== '1' ? 'run by npm run test:kvm' : report.usable ? undefined : report.reason;

/** One TPM command over CRB, by the guest, from locality 0. */
async function tpmCommand(probe: Probe, ...bytes: number[]): Promise<number[]> {
  await probe.step('write', TPM_BASE + REG.CTRL_REQ, CTRL_REQ.COMMAND_READY);
  const words = new Uint32Array(Uint8Array.from({ length: (bytes.length + 3) & ~3 }, (_, i) => bytes[i] ?? 0).buffer);
  for (const [i, word] of words.entries()) await probe.step('write', TPM_BASE + REG.DATA_BUFFER + 4 * i, word);
  await probe.step('write', TPM_BASE + REG.CTRL_START, 1);
  while ((await probe.step('read', TPM_BASE + REG.CTRL_START)) !== 0);
  const response: number[] = [];
  const size = await probe.step('read8', TPM_BASE + REG.DATA_BUFFER + 5);
  for (let at = 0; at < size; at++) response.push(await probe.step('read8', TPM_BASE + REG.DATA_BUFFER + at));
  await probe.step('write', TPM_BASE + REG.CTRL_REQ, CTRL_REQ.GO_IDLE);
  return response;
}

describe.skipIf(skip !== undefined)(`KVM${skip ? ` (skipped: ${skip})` : ''}`, () => {
  engineContract(createKvmEngine, { snapshots: true });

  it("auto takes the engine that is listed first, and KVM only at a processor's speed", async () => {
    const [first] = await probeEngines();
    const { engine, reason } = await openEngine('auto');
    await engine.close();
    expect(engine.name).toBe(first?.engine);
    expect(first?.engine).toBe(report.emulating ? 'v86' : 'kvm');
    expect(reason).toMatch(report.emulating ? /emulates/ : /usable/);
  });

  describe('what only KVM does', () => {
    let engine: Engine;
    beforeAll(async () => {
      engine = (await openEngine('kvm')).engine;
    });
    afterAll(() => engine.close());

    it('a revoked page is gone from a guest that writes it without pause (A1)', async () => {
      const probe = await Probe.launch(engine, 'revoked');
      const source = 2 << 20;
      await probe.vm.writeMemory(source, new Uint8Array(4096).fill(0xab));
      for (let round = 0; round < 50; round++) {
        probe.vm.map(7, 3, PERM_READ | PERM_WRITE);
        const copying = probe.step('copy', WINDOW_BASE + 7 * 4096, source, 4096);
        probe.vm.unmap(7);
        engine.pool.scrub(3);
        await copying;
        expect(
          engine.pool.read(3, 0, 4096).every((byte) => byte === 0),
          `round ${round}`,
        ).toBe(true);
      }
      await probe.vm.stop();
    });

    it('a guest drives its TPM over CRB: locality, start-up, random bytes, also after a snapshot', async () => {
      const tpm = await Tpm.create({});
      tpm.powerOn();
      const machine = { acpi: true, devices: [tpmDevice('crb', tpm)] }; // with interrupt controllers and timer
      const probe = await Probe.launch(engine, 'crb', machine);
      await probe.step('write', TPM_BASE + REG.LOC_CTRL, LOC_CTRL.REQUEST);
      const success = (size: number) => [0x80, 1, 0, 0, 0, size, 0, 0, 0, 0];
      expect(await tpmCommand(probe, 0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0)).toEqual(success(10)); // TPM2_Startup
      const getRandom = [0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 16];
      const [first, second] = [await tpmCommand(probe, ...getRandom), await tpmCommand(probe, ...getRandom)];
      expect(first.slice(0, 12)).toEqual([...success(28), 0, 16]);
      expect(second.slice(0, 12)).toEqual([...success(28), 0, 16]);
      expect(first.slice(12)).not.toEqual(second.slice(12));

      const page = await probe.step('counter'); // anything that the guest answers: it waits for its next step then
      await probe.vm.pause();
      const snapshot = await probe.vm.save();
      const cut = { ...snapshot, machine: snapshot.machine.subarray(0, snapshot.machine.length - 1) };
      await probe.vm.stop();
      const continued = { ...machine, segments: [], entry: undefined };
      await expect(Probe.launch(engine, 'cut', { ...continued, snapshot: cut })).rejects.toThrow(/truncated/);
      const other = { ...continued, acpi: false, snapshot };
      await expect(Probe.launch(engine, 'other', other)).rejects.toThrow(/not of a machine like this/);
      const restored = await Probe.launch(engine, 'continued', { ...continued, snapshot });
      expect(await restored.step('counter')).toBe(page);
      expect((await tpmCommand(restored, ...getRandom)).slice(0, 12)).toEqual([...success(28), 0, 16]);
      await restored.vm.stop();
      await tpm.close();
    });

    it('a 64-bit kernel starts from its bzImage at its PVH entry, with command line and initramfs, and powers off', async () => {
      const kernel = await parseKernel(asBzImage(buildSmallKernel()));
      expect(kernel.elf.bits).toBe(64);
      const tpm = await Tpm.create({});
      let said = '';
      let end: (exit: VmExit) => void = () => {};
      const ended = new Promise<VmExit>((resolve) => {
        end = resolve;
      });
      const { vm } = await launchLinux(engine, {
        name: 'small',
        files: { kernel, initrd: Buffer.from('an initramfs') },
        ...{ commandLine: 'console=ttyS0 word', memoryBytes: 32 << 20, monitorVersion: 'test', tpm },
        encodeLog: encodeEventLog,
        onConsole: (bytes) => {
          said += Buffer.from(bytes).toString('latin1');
        },
        onExit: (exit) => end(exit),
      });
      await vm.start();
      expect(await ended).toEqual({ kind: 'stopped', by: 'halt' });
      expect(said).toBe('0123456789abcdef\nconsole=ttyS0 word\nan initramfs\n');
      await tpm.close();
    });

    it('a spinning guest is paused and stopped within a tenth of a second, of three times at least once', async () => {
      const times: number[] = [];
      for (let i = 0; i < 3; i++) {
        const probe = await Probe.launch(engine, 'spinning');
        void probe.step('spin');
        const start = performance.now();
        await probe.vm.pause();
        await probe.vm.stop();
        times.push(performance.now() - start);
      }
      expect(Math.min(...times)).toBeLessThan(100); // other suites run beside this one
    });
  });
});
