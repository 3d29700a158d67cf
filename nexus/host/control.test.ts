import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { askHost, ControlServer } from './control.ts';
import { HostError } from './errors.ts';

let directory = '';
let server: ControlServer;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'nexus-control-'));
  server = await ControlServer.listen(directory, {
    echo: (parameters) => parameters,
    refuse: () => {
      throw new HostError('E_IMAGE', 'no such image', 'name another');
    },
  });
});
afterEach(async () => {
  await server.close();
  rmSync(directory, { recursive: true });
});

const raw = (text: string) =>
  new Promise<string>((done) => {
    const socket = createConnection(join(directory, 'control.sock'));
    let reply = '';
    socket.on('data', (data) => {
      reply += data.toString();
      if (reply.endsWith('\n')) socket.end();
    });
    socket.on('error', () => {});
    socket.on('close', () => done(reply));
    socket.write(text);
  });

test('a method is answered, a refusal keeps its code', async () => {
  expect(await askHost(directory, 'echo', { a: [1, 'x'] })).toEqual({ a: [1, 'x'] });
  await expect(askHost(directory, 'refuse')).rejects.toThrow(/E_IMAGE: no such image/);
});

test('only the owner may connect', () => {
  expect(statSync(join(directory, 'control.sock')).mode & 0o777).toBe(0o600);
});

test('malformed requests are refused and the server lives on', async () => {
  for (const line of ['{', 'null', '5', '{"method":"toString"}', '{"method":"__proto__"}', '{"method":7}']) {
    expect(JSON.parse(await raw(`${line}\n`))).toHaveProperty('error');
  }
  expect(await raw('x'.repeat(100_000))).toBe('');
  expect(await askHost(directory, 'echo', 1)).toBe(1);
});

test('requests of one connection are answered in order', async () => {
  const socket = createConnection(join(directory, 'control.sock'));
  const replies = new Promise<string>((done) => {
    let text = '';
    socket.on('data', (data) => {
      text += data.toString();
      if (text.split('\n').length === 4) done(text);
    });
  });
  socket.write([1, 2, 3].map((n) => `{"method":"echo","parameters":${n}}\n`).join(''));
  expect(await replies).toBe('{"result":1}\n{"result":2}\n{"result":3}\n');
  socket.destroy();
});

test('where no host runs, the error says how to start one', async () => {
  const error = await askHost('/nonexistent', 'echo').catch((e: unknown) => e);
  expect(error).toMatchObject({ code: 'E_NOT_RUNNING' });
});
