/** A guest's serial console at a terminal. */
import { connect } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { UsageError } from './errors.ts';

/** Ctrl-]: leaves the terminal, as telnet and virsh do. */
const LEAVE = 0x1d;

/** Where `nexus guest linux` offers the console of a guest. */
export function consoleSocket(name: string): string {
  if (!/^[a-z0-9][a-z0-9_-]{0,31}$/.test(name)) {
    throw new UsageError('E_NAME', `${name} is no name for a guest`, 'use up to 32 of a-z, 0-9, - and _');
  }
  return join(process.env.XDG_RUNTIME_DIR ?? join(homedir(), '.cache'), 'nexus', `${name}.console`);
}

/** Give the terminal to a guest: keys go to `type` as they are pressed; Ctrl-] calls `leave`. Undo with the result. */
export function takeTerminal(type: (bytes: Uint8Array) => void, leave: () => void): () => void {
  const { stdin } = process;
  const onData = (bytes: Buffer) => {
    const end = bytes.indexOf(LEAVE);
    if (end !== 0) type(end < 0 ? bytes : bytes.subarray(0, end));
    if (end >= 0) leave();
  };
  if (stdin.isTTY) stdin.setRawMode(true);
  stdin.on('data', onData);
  stdin.resume();
  return () => {
    stdin.off('data', onData);
    if (stdin.isTTY) stdin.setRawMode(false);
    stdin.pause();
  };
}

/** Connect this terminal to a console's socket until either side leaves. Says on standard error which it was. */
export async function attachConsole(name: string, path: string): Promise<void> {
  const socket = connect(path);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', () =>
      reject(
        new UsageError(
          'E_CONSOLE',
          `no console of ${name} at ${path}`,
          'start it with `nexus up` (and name its --state), or with `nexus guest linux --name NAME`',
        ),
      ),
    );
  });
  const say = (text: string) => process.stderr.write(`nexus: ${text}\n`);
  say(`console of ${name}; Ctrl-] leaves`);
  let left = false;
  const release = takeTerminal(
    (bytes) => socket.write(bytes),
    () => {
      left = true;
      socket.end();
    },
  );
  socket.on('data', (bytes) => process.stdout.write(bytes));
  socket.on('error', () => {}); // its close is told
  await new Promise<void>((resolve) => socket.once('close', () => resolve()));
  release();
  say(left ? 'left; the guest runs on' : 'the guest has ended, or its host');
}
