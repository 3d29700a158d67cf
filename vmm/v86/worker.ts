/**
 * A partition's Worker: one v86 machine, its hypercall port, window, console and devices. A hypercall blocks this
 * thread until the host has answered; messages of the host are served meanwhile, so that the host may read or write
 * the memory of a partition whose call it is handling.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { Device, DeviceFactory } from '../device.ts';
import type { VmSnapshot, VmStop } from '../engine.ts';
import { registerHypercallPort } from '../hypercall-port.ts';
import { createEmulator } from './cpu.ts';
import { setEntryState } from './entry.ts';
import {
  CONSOLE_WINDOW,
  CONTROL,
  type HostMessage,
  type HostRequest,
  type WorkerConfig,
  type WorkerMessage,
} from './protocol.ts';
import { type Machine, restoreMachine, saveMachine } from './snapshot.ts';
import { registerWindow } from './window.ts';

if (parentPort === null) throw new Error('vmm/v86/worker must run as a Worker');
const port = parentPort;
const send = (message: WorkerMessage, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer);
// The host thread is the only one that starts this module, with this value.
const config = workerData as WorkerConfig;
const control = new Int32Array(config.control);

// v86 explains its failures on the console. Keep the end of it for the crash report, away from the host's terminal.
let complaint = '';
console.log = console.error = (...words: unknown[]) => {
  complaint = `${complaint}${words.join(' ')}\n`.slice(-1000);
};
process.on('uncaughtException', (error) => {
  // v86 throws strings and WebAssembly errors too.
  const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const words = complaint === '' ? reason : `${reason} (${complaint.trim()})`;
  finish({ kind: 'crashed', reason: words.replaceAll(/\s+/g, ' ') });
});

const emulator = await createEmulator(config);
const { cpu } = emulator.v86;

/** Last word of this thread. Never returns: the host terminates it. */
function finish(message: WorkerMessage): never {
  send(message);
  for (;;) Atomics.wait(control, CONTROL.NEVER, 0);
}

function stop(by: VmStop): never {
  flushConsole();
  finish({ kind: 'stopped', by });
}
cpu.reboot_internal = () => stop('reset');
// Sent when the processor halts with interrupts off, from which nothing wakes it.
emulator.add_listener('cpu-event-halt', () => stop('halt'));

// Pause and resume. `inGuest` holds while a guest instruction waits in `suspendGuest`.
let paused = true;
let inGuest = false;
let pauseWaiters: (() => void)[] = [];
/** A save that waits for the guest to leave its instruction: it runs on to the end of the time slice first. */
let saveOutside: (() => void) | undefined;
function pauseReached(): void {
  flushConsole();
  for (const confirm of pauseWaiters) confirm();
  pauseWaiters = [];
}
emulator.add_listener('emulator-stopped', () => {
  pauseReached();
  saveOutside?.();
  saveOutside = undefined;
});

/** Keep the guest inside its current instruction, serving the host, until `condition` holds and it may run. */
function suspendGuest(condition: () => boolean): void {
  inGuest = true;
  pauseReached();
  for (;;) {
    const bell = Atomics.load(control, CONTROL.BELL);
    for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) {
      receive(next.message as HostMessage); // sent by our own host thread
    }
    if (condition() && (!paused || saveOutside !== undefined)) break;
    Atomics.wait(control, CONTROL.BELL, bell);
  }
  inGuest = false;
}

// Console: bytes are gathered until a line ends, the buffer is full, or the guest yields.
const line = new Uint8Array(1024);
let lineLength = 0;
function flushConsole(): void {
  if (lineLength === 0) return;
  const bytes = line.slice(0, lineLength);
  lineLength = 0;
  Atomics.add(control, CONTROL.CONSOLE_PENDING, bytes.length);
  send({ kind: 'console', bytes }, [bytes.buffer]);
}
const consoleHasRoom = () => Atomics.load(control, CONTROL.CONSOLE_PENDING) <= CONSOLE_WINDOW;
emulator.add_listener('serial0-output-byte', (byte: number) => {
  if (lineLength === 0) setImmediate(flushConsole);
  line[lineLength++] = byte;
  if (byte !== 0x0a && lineLength < line.length) return;
  flushConsole();
  if (!consoleHasRoom()) suspendGuest(consoleHasRoom);
});

let reply: { result: number; output?: Uint8Array } | undefined;
const hypercalls = registerHypercallPort(cpu, (call, args, input) => {
  flushConsole();
  reply = undefined;
  send({ kind: 'hypercall', call, args, input }, input.length > 0 ? [input.buffer] : []);
  suspendGuest(() => reply !== undefined);
  return reply ?? { result: 0 };
});
registerWindow(cpu.io, new Int32Array(config.windowTable), control, config.pool);

const devices = new Map<string, Device>();
const deviceInputs = new Map<string, (message: unknown) => void>();
for (const { name, module, config: deviceConfig } of config.devices) {
  const { default: create } = (await import(module)) as { default: DeviceFactory };
  const host = {
    cpu,
    send: (message: unknown) => send({ kind: 'device', name, message }),
    onMessage: (handler: (message: unknown) => void) => void deviceInputs.set(name, handler),
    powerOff: () => stop('halt'),
  };
  devices.set(name, await create(host, deviceConfig));
}

const machine: Machine = { emulator, hypercallRegisters: hypercalls.registers, devices };
if (config.snapshot !== undefined) {
  restoreMachine(machine, config.snapshot);
} else {
  for (const segment of config.segments) cpu.write_blob(segment.bytes, segment.gpa);
  if (config.entry !== undefined) setEntryState(cpu, config.entry);
}

// Everything here is synchronous: no promise settles while the guest is suspended inside an instruction.
function receive(message: HostMessage): void {
  switch (message.kind) {
    case 'request':
      try {
        serve(message.id, message.request);
      } catch (error) {
        send({ kind: 'failed', id: message.id, reason: error instanceof Error ? error.message : String(error) });
      }
      return;
    case 'reply':
      reply = message;
      return;
    case 'input':
      for (const byte of message.bytes) emulator.bus.send('serial0-input', byte);
      return;
    case 'device':
      deviceInputs.get(message.name)?.(message.message);
  }
}

function serve(id: number, request: HostRequest): void {
  const done = (value?: Uint8Array | VmSnapshot) =>
    send({ kind: 'done', id, ...(value === undefined ? {} : { value }) });
  switch (request.kind) {
    case 'run':
      paused = false;
      pauseReached(); // a pause not reached yet is overtaken
      emulator.v86.run();
      done();
      return;
    case 'pause':
      paused = true;
      emulator.v86.stop();
      if (inGuest || !emulator.v86.running) done();
      else pauseWaiters.push(done);
      return;
    case 'read':
      done(cpu.mem8.slice(request.gpa, request.gpa + request.length));
      return;
    case 'write':
      cpu.write_blob(request.bytes, request.gpa);
      done();
      return;
    case 'save':
      if (!paused) throw new Error('the partition runs; pause it first');
      if (inGuest) saveOutside = () => done(saveMachine(machine));
      else done(saveMachine(machine));
  }
}

port.on('message', receive);
send({ kind: 'ready' });
