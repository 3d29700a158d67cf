/** `nexus tpm serve` attends to a busy client in place; nobody else may notice. */
import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openWire, type Wire } from '../bench/measure.ts';
import { type NexusTpm, startNexusTpm } from './support/nexus-tpm.ts';

const STARTUP = Uint8Array.of(0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x44, 0, 0);
const GET_RANDOM = Uint8Array.of(0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7b, 0, 8);

let tpm: NexusTpm;
let first: Wire;

beforeAll(async () => {
  tpm = await startNexusTpm();
  first = await openWire(tpm.port);
  await first.send(STARTUP);
});

afterAll(async () => {
  first.close();
  await tpm.kill();
});

/** Send one command after another until told to stop; resolves with how many were answered. */
function hammer(wire: Wire): { answered: () => number; stop: () => Promise<void> } {
  let answered = 0;
  let stopped = false;
  const running = (async () => {
    for (; !stopped; answered++) expect((await wire.send(GET_RANDOM)).length).toBe(20);
  })();
  return {
    answered: () => answered,
    stop() {
      stopped = true;
      return running;
    },
  };
}

test('a client that never pauses gets no more turns than another', async () => {
  const busy = hammer(first);
  while (busy.answered() < 100) await pause(1);
  const second = await openWire(tpm.port); // its connection is taken while the first goes on
  const before = busy.answered();
  for (let i = 0; i < 200; i++) await second.send(GET_RANDOM);
  const meanwhile = busy.answered() - before;
  await busy.stop();
  second.close();
  expect(meanwhile).toBeGreaterThan(0);
  expect(meanwhile).toBeLessThan(2000);
});

test('the control channel answers while a client never pauses', async () => {
  const busy = hammer(first);
  const control = connect(tpm.port + 1, '127.0.0.1');
  control.write(Uint8Array.of(0, 0, 0, 1));
  const capabilities = await once(control);
  await busy.stop();
  control.destroy();
  expect(capabilities.length).toBe(8);
});

test('half a command, a torn connection and a silent one hold up nobody', async () => {
  const half = connect(tpm.port, '127.0.0.1');
  half.write(GET_RANDOM.subarray(0, 7));
  const torn = connect(tpm.port, '127.0.0.1');
  torn.on('error', () => {});
  torn.write(GET_RANDOM, () => torn.resetAndDestroy());
  const silent = connect(tpm.port, '127.0.0.1');
  for (let i = 0; i < 500; i++) expect((await first.send(GET_RANDOM)).length).toBe(20);
  half.write(GET_RANDOM.subarray(7));
  expect((await once(half)).length).toBe(20);
  silent.write(GET_RANDOM);
  expect((await once(silent)).length).toBe(20);
  half.destroy();
  silent.destroy();
});

test('commands sent in one piece, and in pieces, are answered in order', async () => {
  const socket = connect(tpm.port, '127.0.0.1');
  let got = 0;
  const done = new Promise<void>((resolve) => {
    socket.on('data', (chunk) => {
      got += chunk.length;
      if (got === 20 * 64) resolve();
    });
  });
  const bytes = Buffer.concat(Array.from({ length: 64 }, () => GET_RANDOM));
  for (let at = 0; at < bytes.length; at += 31) {
    socket.write(bytes.subarray(at, at + 31));
    await new Promise(setImmediate);
  }
  await done;
  socket.destroy();
});

test('a signal ends it while a client is connected', async () => {
  const other = await startNexusTpm();
  const wire = await openWire(other.port);
  await wire.send(STARTUP);
  expect(await other.stop()).toBe(0);
});

function once(socket: Socket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    socket.once('data', resolve);
    socket.once('close', () => reject(new Error('closed without an answer')));
  });
}
