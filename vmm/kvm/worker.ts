/**
 * A vCPU's Worker: runs the guest until it exits, serves the exit, and runs it again. The host's messages are read
 * between two runs; a message comes with a kick (immediate_exit and a signal), which ends a run at once.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { BoardCpu, Device, DeviceFactory, DeviceHost } from '../device.ts';
import { Uart } from '../devices/uart/device.ts';
import { COM1 } from '../devices/uart/registers.ts';
import type { VmStop } from '../engine.ts';
import { registerHypercallPort } from '../hypercall-port.ts';
import { EXIT, IO_OUT, KVM, RUN } from './abi.ts';
import { assistEmulator } from './assist.ts';
import { Bus } from './bus.ts';
import { EAGAIN, EINTR, loadLibc } from './libc.ts';
import {
  type BoardState,
  CONSOLE_WINDOW,
  CONTROL,
  type HostMessage,
  type WorkerConfig,
  type WorkerMessage,
} from './protocol.ts';

if (parentPort === null) throw new Error('vmm/kvm/worker must run as a Worker');
const port = parentPort;
const send = (message: WorkerMessage, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer);
const config = workerData as WorkerConfig; // the host thread alone starts this module
const control = new Int32Array(config.control);
const libc = await loadLibc();
const runPage = libc.view(config.run.address, config.run.length);
const run = new DataView(runPage);
const runBytes = new Uint8Array(runPage);
const ram = new Uint8Array(libc.view(config.ram.address, config.ram.length));
const bus = new Bus();

let paused = true;
let ended = false;
let reply: { result: number; output?: Uint8Array } | undefined;
const deviceInputs = new Map<string, (message: unknown) => void>();
const devices = new Map<string, Device>();
/** A device has been at work: promises of it may have to settle before the guest goes on. */
let unsettled = false;
/** Requests to save that wait until the guest is outside of its instruction. */
const saves: number[] = [];

/** Last word of this thread; the host ends it. */
function finish(message: WorkerMessage): void {
  flushConsole();
  send(message);
  ended = true;
}
const stop = (by: VmStop) => finish({ kind: 'stopped', by });
const crash = (reason: string) => finish({ kind: 'crashed', reason });

// Console.
const line = new Uint8Array(1024);
let lineLength = 0;
function flushConsole(): void {
  if (lineLength === 0) return;
  const bytes = line.slice(0, lineLength);
  lineLength = 0;
  Atomics.add(control, CONTROL.CONSOLE_PENDING, bytes.length);
  send({ kind: 'console', bytes }, [bytes.buffer]);
}
/** Lines of our devices are levels, which KVM_IRQ_LINE sets; an IRQFD is an edge, for as many system calls. */
function setIrq(line: number, level: boolean): void {
  if (!config.irqchip) return;
  const request = new Uint8Array(8);
  new DataView(request.buffer).setUint32(0, line, true);
  request[4] = level ? 1 : 0;
  libc.ioctl(config.vmFd, KVM.IRQ_LINE, request);
}
const uart = new Uart({
  transmit(byte) {
    line[lineLength++] = byte;
    if (byte === 0x0a || lineLength === line.length) flushConsole();
    if (Atomics.load(control, CONTROL.CONSOLE_PENDING) > CONSOLE_WINDOW) {
      waitFor(() => Atomics.load(control, CONTROL.CONSOLE_PENDING) <= CONSOLE_WINDOW);
    }
  },
  interrupt: (level) => setIrq(COM1.irq, level),
});
for (let i = 0; i < COM1.ports; i++) {
  bus.register_read(COM1.base + i, uart, () => uart.read(i));
  bus.register_write(COM1.base + i, uart, (value) => uart.write(i, value));
}

// The keyboard controller has no keyboard; it is there for the reset line that guests pull through it.
const KEYBOARD_CONTROLLER = 0x64;
const PULSE_RESET = 0xfe;
bus.register_read(KEYBOARD_CONTROLLER, control, () => 0);
bus.register_write(KEYBOARD_CONTROLLER, control, (value) => {
  if (value === PULSE_RESET) stop('reset');
});

function writeRam(bytes: Uint8Array, address: number): void {
  ram.set(bytes, address);
}
const cpu: BoardCpu = {
  ...{ io: bus, mem8: ram, write_blob: writeRam },
  device_raise_irq: (irq) => setIrq(irq, true),
  device_lower_irq: (irq) => setIrq(irq, false),
};
const hypercalls = registerHypercallPort(cpu, (call, args, input) => {
  flushConsole();
  reply = undefined;
  send({ kind: 'hypercall', call, args, input }, input.length > 0 ? [input.buffer] : []);
  waitFor(() => reply !== undefined);
  return reply ?? { result: 0 };
});

for (const { name, module, config: deviceConfig } of config.devices) {
  const { default: create } = (await import(module)) as { default: DeviceFactory };
  const host: DeviceHost = {
    cpu,
    send: (message) => send({ kind: 'device', name, message }),
    onMessage: (handler) => void deviceInputs.set(name, handler),
    powerOff: () => stop('halt'),
  };
  devices.set(name, await create(host, deviceConfig));
}
if (config.saved !== undefined) restoreBoard(config.saved);

function receive(message: HostMessage): void {
  switch (message.kind) {
    case 'run':
      paused = false;
      return;
    case 'pause':
      paused = true;
      flushConsole();
      send({ kind: 'paused', id: message.id });
      return;
    case 'save':
      saves.push(message.id);
      return;
    case 'end':
      ended = true;
      return;
    case 'reply':
      reply = message;
      return;
    case 'input':
      uart.receive(message.bytes);
      return;
    case 'device':
      unsettled = true;
      deviceInputs.get(message.name)?.(message.message);
  }
}

function serveHost(): void {
  for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) {
    receive(next.message as HostMessage); // sent by our own host thread
  }
}

/** Keep the guest inside its current instruction, serving the host, until `condition` holds or the end. */
function waitFor(condition: () => boolean): void {
  for (;;) {
    const bell = Atomics.load(control, CONTROL.BELL);
    serveHost();
    if (ended || condition()) return;
    Atomics.wait(control, CONTROL.BELL, bell);
  }
}

function serveIo(): void {
  const width = run.getUint8(RUN.IO_SIZE);
  const ioPort = run.getUint16(RUN.IO_PORT, true);
  const count = run.getUint32(RUN.IO_COUNT, true);
  const data = Number(run.getBigUint64(RUN.IO_DATA_OFFSET, true));
  const out = run.getUint8(RUN.IO_DIRECTION) === IO_OUT;
  if (width !== 1 && width !== 2 && width !== 4) return;
  for (let i = 0; i < count && !ended; i++) {
    const at = data + i * width;
    if (out) {
      const value = width === 1 ? run.getUint8(at) : width === 2 ? run.getUint16(at, true) : run.getUint32(at, true);
      bus.portOut(ioPort, width, value);
    } else {
      const value = bus.portIn(ioPort, width);
      if (width === 1) run.setUint8(at, value);
      else if (width === 2) run.setUint16(at, value, true);
      else run.setUint32(at, value, true);
    }
  }
}

function serveMmio(): void {
  const address = Number(run.getBigUint64(RUN.MMIO_ADDRESS, true));
  const length = Math.min(run.getUint32(RUN.MMIO_LENGTH, true), 8);
  unsettled = true;
  const data = runBytes.subarray(RUN.MMIO_DATA, RUN.MMIO_DATA + length);
  if (run.getUint8(RUN.MMIO_IS_WRITE) !== 0) bus.store(address, data);
  else bus.load(address, data);
}

/** The instruction that KVM could not emulate, where it gives one. */
function failedInstruction(): Uint8Array {
  const size = run.getUint32(RUN.ERROR_WORDS, true) > 1 ? Math.min(run.getUint8(RUN.ERROR_INSTRUCTION_SIZE), 15) : 0;
  return runBytes.subarray(RUN.ERROR_INSTRUCTION_SIZE + 1, RUN.ERROR_INSTRUCTION_SIZE + 1 + size);
}

function describeInternalError(): string {
  const instruction = Buffer.from(failedInstruction()).toString('hex');
  return `KVM could not go on (suberror ${run.getUint32(RUN.DETAIL, true)}, instruction ${instruction || 'unknown'})`;
}

function serveExit(): void {
  const reason = run.getUint32(RUN.EXIT_REASON, true);
  switch (reason) {
    case EXIT.IO:
      serveIo();
      return;
    case EXIT.MMIO:
      serveMmio();
      return;
    case EXIT.HLT:
      // Without interrupt controllers nothing ever wakes a halted processor.
      stop('halt');
      return;
    case EXIT.SHUTDOWN:
      crash('triple fault');
      return;
    case EXIT.FAIL_ENTRY:
      crash(`the processor refused the guest state (0x${run.getBigUint64(RUN.DETAIL, true).toString(16)})`);
      return;
    case EXIT.INTERNAL_ERROR:
      if (!assistEmulator(libc, config.vcpuFd, ram, failedInstruction())) crash(describeInternalError());
      return;
    case EXIT.SYSTEM_EVENT:
      stop(run.getUint32(RUN.DETAIL, true) === 2 ? 'reset' : 'halt');
      return;
    case EXIT.INTR:
    case EXIT.IRQ_WINDOW_OPEN:
      return;
    default:
      crash(`an exit that no guest of ours causes (${reason})`);
  }
}

function saveBoard(): BoardState {
  const { buffer, byteOffset, byteLength } = hypercalls.registers;
  const board = Uint8Array.from(Buffer.concat([new Uint8Array(buffer, byteOffset, byteLength), uart.save()]));
  const saved: Record<string, Uint8Array> = {};
  for (const [name, device] of devices) {
    const state = device.save?.();
    if (state !== undefined) saved[name] = state;
  }
  return { board, devices: saved };
}

function restoreBoard(state: BoardState): void {
  const { byteLength } = hypercalls.registers;
  hypercalls.registers.set(new Int32Array(state.board.slice(0, byteLength).buffer));
  uart.restore(state.board.subarray(byteLength));
  for (const [name, device] of devices) {
    const saved = state.devices[name];
    if (saved !== undefined) device.restore?.(saved);
  }
}

/** An access that was served is complete only when KVM is entered again; it then returns at once (api.rst, KVM_RUN). */
function save(id: number): void {
  runBytes[RUN.IMMEDIATE_EXIT] = 1;
  while (!ended && libc.ioctl(config.vcpuFd, KVM.RUN, 0) === 0) serveExit();
  flushConsole();
  if (ended) return;
  try {
    send({ kind: 'saved', id, state: saveBoard() });
  } catch (error) {
    send({ kind: 'busy', id, reason: error instanceof Error ? error.message : String(error) });
  }
}

/** After every promise that can settle has settled, however long its chain. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

send({ kind: 'ready', tid: libc.gettid() });
for (;;) {
  // Lowered before messages are read: one that comes later raises it again, and the run below returns at once.
  runBytes[RUN.IMMEDIATE_EXIT] = 0;
  waitFor(() => !paused || saves.length > 0 || unsettled);
  if (unsettled) {
    unsettled = false;
    await settled();
  }
  for (let id = saves.shift(); id !== undefined && !ended; id = saves.shift()) save(id);
  if (ended) break;
  if (paused) continue;
  if (libc.ioctl(config.vcpuFd, KVM.RUN, 0) === 0) {
    serveExit();
  } else {
    const errno = libc.errno();
    if (errno !== EINTR && errno !== EAGAIN) crash(`KVM_RUN failed with errno ${errno}`);
    flushConsole();
  }
  if (ended) break;
}
port.close();
