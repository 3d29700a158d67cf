import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ConsoleHub } from './console.ts';

it('who joins a console late sees what was said, then what is said, and can type; others cannot open it', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'nexus-console-'));
  const typed: string[] = [];
  const hub = new ConsoleHub((bytes) => typed.push(Buffer.from(bytes).toString()));
  try {
    const path = join(directory, 'guest.console');
    await hub.listen(path);
    expect(statSync(path).mode & 0o077).toBe(0);
    hub.show(Buffer.from('be\x1b[6nfore '));
    const socket = connect(path);
    const [first] = await once(socket, 'data');
    expect(String(first)).toBe('before ');
    hub.show(Buffer.from('after'));
    const [second] = await once(socket, 'data');
    expect(String(second)).toBe('after');
    socket.end('ls\n');
    await once(socket, 'close');
    expect(typed).toEqual(['ls\n']);
  } finally {
    await hub.close();
    rmSync(directory, { recursive: true });
  }
});

it('a viewer that does not read is dropped, and the guest’s words with it', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'nexus-console-'));
  const hub = new ConsoleHub(() => {});
  try {
    const path = join(directory, 'guest.console');
    await hub.listen(path);
    const socket = connect(path);
    socket.on('error', () => {}); // cut off while it sleeps
    await once(socket, 'connect');
    socket.pause();
    const closed = once(socket, 'close');
    for (let megabytes = 0; megabytes < 8; megabytes++) {
      hub.show(Buffer.alloc(2 ** 20, 'x'));
      await new Promise((turn) => setImmediate(turn));
    }
    socket.resume();
    await closed;
  } finally {
    await hub.close();
    rmSync(directory, { recursive: true });
  }
});
