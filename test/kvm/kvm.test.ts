/** The KVM engine: the same contract as every engine, and what only hardware brings. Run by `npm run test:kvm`. */
import {
  createKvmEngine,
  type Engine,
  openEngine,
  PERM_READ,
  PERM_WRITE,
  probeKvm,
  tpmDevice,
  WINDOW_BASE,
} from 'nexus-tcb/vmm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TPM_BASE } from '../../vmm/devices/tpm-backend.ts';
import { CTRL_REQ, LOC_CTRL, REG } from '../../vmm/devices/tpm-crb/registers.ts';
import { violations } from '../support/core-invariants.ts';
import { engineContract } from '../support/engine-contract.ts';
import { Probe } from '../support/probe.ts';
import { Stage } from '../support/stage.ts';

const report = await probeKvm();
const skip = process.env.NEXUS_TEST_KVM !== '1' ? 'run by npm run test:kvm' : report.usable ? undefined : report.reason;

describe.skipIf(skip !== undefined)(`KVM${skip ? ` (skipped: ${skip})` : ''}`, () => {
  engineContract(createKvmEngine, { snapshots: false });

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

    it('a guest drives its TPM over CRB: locality, command, response', async () => {
      const response = Uint8Array.of(0x80, 1, 0, 0, 0, 10, 0, 0, 0, 0);
      const commands: Uint8Array[] = [];
      const tpm = {
        established: false,
        powerOn() {},
        powerOff() {},
        hashStart() {},
        hashData() {},
        hashEnd() {},
        cancel() {},
        resetEstablished: () => false,
        close: async () => {},
        execute: async (command: Uint8Array) => {
          commands.push(command);
          return response;
        },
      };
      const probe = await Probe.launch(engine, 'crb', { devices: [tpmDevice('crb', tpm)] });
      await probe.step('write', TPM_BASE + REG.LOC_CTRL, LOC_CTRL.REQUEST);
      await probe.step('write', TPM_BASE + REG.CTRL_REQ, CTRL_REQ.COMMAND_READY);
      // TPM2_Startup(CLEAR), twelve bytes, as three little-endian words.
      for (const [i, word] of [0x00000180, 0x00000c00, 0x00004401].entries()) {
        await probe.step('write', TPM_BASE + REG.DATA_BUFFER + 4 * i, word);
      }
      await probe.step('write', TPM_BASE + REG.CTRL_START, 1);
      while ((await probe.step('read', TPM_BASE + REG.CTRL_START)) !== 0);
      expect(await probe.step('read', TPM_BASE + REG.DATA_BUFFER)).toBe(0x00000180);
      expect(await probe.step('read8', TPM_BASE + REG.DATA_BUFFER + 5)).toBe(10);
      expect(commands).toHaveLength(1);
      await probe.vm.stop();
    });

    it('two guests share a page by a grant of the core, and lose it with the grant', async () => {
      const stage = await Stage.open(createKvmEngine);
      try {
        const frame = stage.machine.takePoolFrames(1)[0] ?? -1; // the vault's first shared page will be this frame
        const vault = await stage.launch('vault', 'vault', `share peer=2 grant=0 page=0 channel=0 frame=${frame}`);
        const neighbour = await stage.launch('neighbour', 'neighbour', 'share peer=1 grant=0 page=16 channel=0');
        stage.machine.root('channelOpen', vault.id, 0, neighbour.id, 0);
        await Promise.all([vault.start(), neighbour.start()]);
        while (stage.exits('vault').length + stage.exits('neighbour').length < 2) {
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
        expect(stage.results('vault')).toEqual(['shared heard="the neighbour says good day"']);
        expect(stage.results('neighbour')).toEqual(['shared heard="the vault says hello" after-revoke=0xffffffff']);
        expect(violations()).toEqual([]);
        await Promise.all([vault.destroy(), neighbour.destroy()]);
        expect(stage.engine.pool.read(frame, 0, 4096).every((byte) => byte === 0)).toBe(true);
      } finally {
        await stage.engine.close();
      }
    });

    it('a spinning guest is paused and stopped within a tenth of a second', async () => {
      const probe = await Probe.launch(engine, 'spinning');
      void probe.step('spin');
      const start = performance.now();
      await probe.vm.pause();
      await probe.vm.stop();
      expect(performance.now() - start).toBeLessThan(100);
    });
  });
});
