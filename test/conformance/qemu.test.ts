/** QEMU's `-tpmdev emulator` on the served TPM: firmware measures into it, and its state moves with the machine. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openWire, type Wire } from '../../bench/measure.ts';
import { type NexusTpm, startNexusTpm } from '../support/nexus-tpm.ts';
import { ALG, CC, command, open, selection, u16, u32 } from '../support/tpm-wire.ts';

const hasQemu = ['qemu-system-x86_64', 'qemu-img'].every((tool) => spawnSync(tool, ['--version']).status === 0);
const firmware = {
  seabios: { available: hasQemu, arguments: [] as string[] },
  ovmf: {
    available: hasQemu && existsSync('/usr/share/OVMF/OVMF_CODE_4M.fd'),
    arguments: ['-drive', 'if=pflash,unit=0,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd'],
  },
};

let directory: string;
let tpm: NexusTpm;
let wire: Wire;
let machine: Machine | undefined;

interface Machine {
  readonly child: ChildProcess;
  /** A command of the human monitor; resolves with what it prints. */
  monitor(line: string): Promise<string>;
  quit(): Promise<void>;
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'nexus-qemu-'));
  tpm = await startNexusTpm('--qemu', join(directory, 'control.sock'), '--state', join(directory, 'tpm'));
  wire = await openWire(tpm.port);
});

afterEach(async () => {
  machine?.child.kill('SIGKILL');
  machine = undefined;
  wire.close();
  await tpm.kill();
  rmSync(directory, { recursive: true, force: true });
});

async function boot(device: 'tpm-tis' | 'tpm-crb', more: readonly string[]): Promise<Machine> {
  // A boot sector that stops: cli, hlt, and back.
  const sector = new Uint8Array(512);
  sector.set([0xfa, 0xf4, 0xeb, 0xfd]);
  sector.set([0x55, 0xaa], 510);
  const disk = join(directory, 'disk.qcow2');
  writeFileSync(join(directory, 'disk.raw'), sector);
  if (!existsSync(disk)) {
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', join(directory, 'disk.raw'), disk]);
  }
  const child = spawn(
    'qemu-system-x86_64',
    [
      ...['-machine', 'q35,accel=tcg', '-m', '128', '-display', 'none', '-qmp', 'stdio', '-nodefaults'],
      ...['-chardev', `socket,id=chrtpm,path=${join(directory, 'control.sock')}`],
      ...['-tpmdev', 'emulator,id=tpm0,chardev=chrtpm', '-device', `${device},tpmdev=tpm0`],
      ...['-drive', `file=${disk},format=qcow2,if=ide`],
      ...more,
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const waiting: { resolve(answer: unknown): void; reject(error: Error): void }[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    const message = JSON.parse(line) as { return?: unknown; error?: { desc: string } };
    if ('return' in message) waiting.shift()?.resolve(message.return);
    if (message.error) waiting.shift()?.reject(new Error(message.error.desc));
  });
  child.once('close', (status) => {
    for (const { reject } of waiting.splice(0)) reject(new Error(`qemu-system-x86_64 ended with ${status}`));
  });
  const qmp = (request: object) =>
    new Promise<unknown>((resolve, reject) => {
      waiting.push({ resolve, reject });
      child.stdin.write(`${JSON.stringify(request)}\n`);
    });
  await qmp({ execute: 'qmp_capabilities' });
  return {
    child,
    monitor: async (line) =>
      String(await qmp({ execute: 'human-monitor-command', arguments: { 'command-line': line } })),
    async quit() {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      await qmp({ execute: 'quit' });
      await gone;
    },
  };
}

async function pcr(index: number): Promise<string> {
  const { parameters } = open(await wire.send(command(CC.PCR_Read, [], 0, selection([index]))));
  parameters.u32();
  parameters.bytes(parameters.u32() * 6);
  return parameters.u32() === 0 ? '' : Buffer.from(parameters.sized()).toString('hex');
}

const ZERO = '0'.repeat(64);

/** Wait until the firmware has measured something into a PCR, by default the boot sector into 4; PCR 0 and that one. */
async function measured(last = 4): Promise<string[]> {
  for (const deadline = Date.now() + 40_000; Date.now() < deadline; ) {
    const value = await pcr(last).catch(() => ZERO); // Not started up yet: TPM_RC_INITIALIZE.
    if (value !== ZERO && value !== '') return [await pcr(0), value];
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`the firmware did not measure into PCR ${last}`);
}

const extend = (index: number) =>
  wire.send(command(CC.PCR_Extend, [index], 1, u32(1), u16(ALG.SHA256), new Uint8Array(32)));

describe.skipIf(!firmware.seabios.available)('SeaBIOS (needs qemu-system-x86 and qemu-utils)', () => {
  test.each(['tpm-tis', 'tpm-crb'] as const)('%s: the firmware measures itself and the boot sector', async (device) => {
    machine = await boot(device, firmware.seabios.arguments);
    const [pcr0] = await measured();
    expect(pcr0).not.toBe(ZERO);
    await machine.quit();
  });

  test('savevm, loadvm: the TPM goes back with the machine', async () => {
    machine = await boot('tpm-crb', firmware.seabios.arguments);
    await measured();
    const before = await pcr(16);
    expect(await machine.monitor('savevm one')).toBe('');
    open(await extend(16));
    expect(await pcr(16)).not.toBe(before);
    expect(await machine.monitor('loadvm one')).toBe('');
    expect(await pcr(16)).toBe(before);
    expect(await machine.monitor('info status')).toContain('running');
    await machine.quit();
  });

  test('a power cycle of the machine starts the measurements anew and keeps NV', async () => {
    machine = await boot('tpm-crb', firmware.seabios.arguments);
    const first = await measured();
    open(await extend(4));
    await machine.monitor('system_reset');
    for (;;) {
      if ((await measured())[1] === first[1]) break;
    }
    await machine.quit();
  });
});

describe.skipIf(!firmware.ovmf.available)('OVMF (needs ovmf)', () => {
  test('the firmware measures itself', async () => {
    machine = await boot('tpm-tis', firmware.ovmf.arguments);
    // It measures its own volumes into PCR 0 before it looks for something to boot.
    expect(await measured(0)).not.toContain(ZERO);
    await machine.quit();
  });
});
