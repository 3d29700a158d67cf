/**
 * Partitions on v86 beside their peers, in one run: QEMU's emulator with its defaults booting the same kernel,
 * initramfs and command line, and the same v86 driven bare, without Worker, TPM, hypercall port and window.
 * Run: npm run bench:vmm
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createV86Engine,
  FAST_COMMAND_LINE,
  type FreshnessCounter,
  fetchLinux,
  jitGate,
  type LinuxFiles,
  launchLinux,
  placeLinux,
  powerDevice,
  READY_MARK,
  resume,
  suspend,
  V86_INTERRUPTS,
  V86_POWER,
  type Vm,
} from 'nexus-tcb/vmm';
import { V86 } from 'v86';
import type { Emulator } from '../vmm/v86/cpu.ts';
import { setEntryState } from '../vmm/v86/entry.ts';
import { atMost, type Figure, report } from './figures.ts';

const MEMORY = 128 << 20;
const ROUNDS = 3;
const CACHE = process.env.NEXUS_CACHE ?? join(homedir(), '.cache', 'nexus', 'linux');
const PROMPT = '# ';
/** Work inside the guest: a hash over memory, and a loop of the shell. */
const WORKLOADS = {
  sha256: 'dd if=/dev/zero bs=64k count=64 2>/dev/null | sha256sum',
  shell: 'i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done',
} as const;
type Workload = keyof typeof WORKLOADS;

/** A booted guest that takes lines and shows text. */
interface Guest {
  readonly bootMs: number;
  type(line: string): void;
  readonly screen: Screen;
  stop(): Promise<void>;
}

class Screen {
  #text = '';
  #wake: (() => void) | undefined;

  show = (bytes: Uint8Array): void => {
    this.#text += Buffer.from(bytes).toString('latin1');
    this.#wake?.();
  };

  async until(text: string): Promise<void> {
    while (!this.#text.includes(text)) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#text = this.#text.slice(this.#text.indexOf(text) + text.length);
  }
}

async function booted(screen: Screen, start: number): Promise<number> {
  await screen.until(READY_MARK);
  await screen.until(PROMPT);
  return performance.now() - start;
}

async function time(guest: Guest, workload: Workload): Promise<number> {
  const start = performance.now();
  guest.type(`${WORKLOADS[workload]}; echo DO""NE`);
  await guest.screen.until('DONE');
  const elapsed = performance.now() - start;
  await guest.screen.until(PROMPT);
  return elapsed;
}

async function bootOurs(files: LinuxFiles): Promise<Guest & { vm: Vm }> {
  const screen = new Screen();
  const engine = await createV86Engine();
  const start = performance.now();
  const { vm } = await launchLinux(engine, {
    name: 'bench',
    files,
    commandLine: FAST_COMMAND_LINE,
    memoryBytes: MEMORY,
    monitorVersion: 'bench',
    encodeLog: () => new Uint8Array(0),
    onConsole: screen.show,
    onExit: () => {},
  });
  await vm.start();
  return {
    bootMs: await booted(screen, start),
    screen,
    vm,
    type: (line) => vm.input(Buffer.from(`${line}\n`)),
    stop: () => engine.close(),
  };
}

/** The same memory and entry state in v86 itself, on the main thread, its compiler as it comes. */
async function bootBare(files: LinuxFiles): Promise<Guest> {
  const screen = new Screen();
  const { segments, entry } = placeLinux({
    ...files,
    commandLine: FAST_COMMAND_LINE,
    memoryBytes: MEMORY,
    machine: { power: V86_POWER, interrupts: V86_INTERRUPTS },
  });
  const start = performance.now();
  // The published declaration of V86 hides what the engine uses.
  const emulator = new V86({
    wasm_path: join(process.cwd(), 'node_modules/v86/build/v86.wasm'),
    memory_size: MEMORY,
    vga_memory_size: 1 << 20,
    autostart: false,
    acpi: true,
    disable_keyboard: true,
    disable_mouse: true,
    disable_speaker: true,
  }) as unknown as Emulator;
  await new Promise<void>((resolve) => emulator.add_listener('emulator-loaded', () => resolve()));
  const { cpu } = emulator.v86;
  for (const { gpa, bytes } of segments) cpu.write_blob(bytes, gpa);
  setEntryState(cpu, entry);
  emulator.add_listener('serial0-output-byte', (byte: number) => screen.show(Uint8Array.of(byte)));
  emulator.v86.run();
  return {
    bootMs: await booted(screen, start),
    screen,
    type: (line) => {
      for (const byte of Buffer.from(`${line}\n`)) emulator.bus.send('serial0-input', byte);
    },
    stop: async () => emulator.v86.stop(),
  };
}

async function bootQemu(files: LinuxFiles): Promise<Guest> {
  const screen = new Screen();
  const directory = mkdtempSync(join(tmpdir(), 'nexus-bench-'));
  const [kernel, initrd] = [join(directory, 'kernel'), join(directory, 'initrd')];
  writeFileSync(kernel, files.kernel.image);
  writeFileSync(initrd, files.initrd);
  const start = performance.now();
  const child: ChildProcess = spawn('qemu-system-i386', [
    ...['-accel', 'tcg', '-m', `${MEMORY >> 20}`, '-nographic', '-no-reboot'],
    ...['-kernel', kernel, '-initrd', initrd, '-append', 'console=ttyS0 quiet'],
  ]);
  child.stdout?.on('data', screen.show);
  return {
    bootMs: await booted(screen, start),
    screen,
    type: (line) => void child.stdin?.write(`${line}\n`),
    stop: async () => {
      child.kill('SIGKILL');
      rmSync(directory, { recursive: true });
    },
  };
}

/** Time from a sealed file on to the shell's answer. */
async function resumeMs(guest: { vm: Vm }): Promise<{ suspend: number; resume: number; bytes: number }> {
  let value = 0n;
  const counter: FreshnessCounter = { read: async () => value, increment: async () => ++value };
  const seal = { key: new Uint8Array(32), partition: new Uint8Array(32) };
  let start = performance.now();
  let file = new Uint8Array();
  await suspend(guest.vm, seal, counter, (sealed) => {
    file = Uint8Array.from(sealed);
  });
  const suspended = performance.now() - start;
  const screen = new Screen();
  const engine = await createV86Engine();
  start = performance.now();
  const spec = {
    ...{ name: 'resumed', memoryBytes: MEMORY, acpi: true, devices: [powerDevice(), jitGate()] },
    ...{ onHypercall: () => ({ result: 0 }), onConsole: screen.show, onExit: () => {} },
  };
  const vm = await resume(engine, spec, file, seal, counter);
  await vm.start();
  vm.input(Buffer.from('echo AN""SWER\n'));
  await screen.until('ANSWER');
  const elapsed = performance.now() - start;
  await engine.close();
  return { suspend: suspended, resume: elapsed, bytes: file.length };
}

const best = (values: readonly number[]) => Math.min(...values);
const ms = (value: number) => `${value.toFixed(0)} ms`;

async function main(): Promise<number> {
  const hasQemu = spawnSync('qemu-system-i386', ['--version']).error === undefined;
  if (!hasQemu) console.log('no peer: qemu-system-i386 is not here; its ratios are left out');
  const files = await fetchLinux(CACHE, 'i686');
  console.log(`${files.kernelPackage}, ${MEMORY >> 20} MiB, ${ROUNDS} rounds, the best of each`);

  const boots = { ours: [] as number[], qemu: [] as number[] };
  for (let round = 0; round < ROUNDS; round++) {
    const ours = await bootOurs(files);
    boots.ours.push(ours.bootMs);
    await ours.stop();
    if (!hasQemu) continue;
    const qemu = await bootQemu(files);
    boots.qemu.push(qemu.bootMs);
    await qemu.stop();
  }
  console.log(`cold boot to the shell: ours ${boots.ours.map(ms)}; qemu ${boots.qemu.map(ms)}`);

  const [ours, bare] = [await bootOurs(files), await bootBare(files)];
  const qemu = hasQemu ? await bootQemu(files) : undefined;
  const figures: Figure[] = [
    atMost('cold boot to the shell', 8, best(boots.ours) / 1000, ' s'),
    ...(hasQemu ? [atMost('cold boot beside qemu -accel tcg', 1, best(boots.ours) / best(boots.qemu))] : []),
  ];
  for (const workload of Object.keys(WORKLOADS) as Workload[]) {
    const times = { ours: [] as number[], bare: [] as number[], qemu: [] as number[] };
    for (const guest of [ours, bare, ...(qemu ? [qemu] : [])]) await time(guest, workload); // compile
    for (let round = 0; round < 2 * ROUNDS; round++) {
      times.ours.push(await time(ours, workload));
      times.bare.push(await time(bare, workload));
      if (qemu) times.qemu.push(await time(qemu, workload));
    }
    const [a, b, c] = [best(times.ours), best(times.bare), best(times.qemu)];
    console.log(
      `${workload}: ours ${ms(a)}, bare v86 ${ms(b)}${qemu ? `, qemu ${ms(c)} (ours ${(a / c).toFixed(1)}x)` : ''}`,
    );
    figures.push(atMost(`${workload} beside bare v86`, 1.05, a / b));
  }
  const state = await resumeMs(ours);
  console.log(`suspended in ${ms(state.suspend)} to ${(state.bytes / 2 ** 20).toFixed(1)} MiB`);
  figures.push(atMost('from a sealed snapshot to an answer of the shell', 1, state.resume / 1000, ' s'));
  await Promise.all([ours.stop(), bare.stop(), qemu?.stop()]);
  return report(figures);
}

process.exit(await main());
