/** `nexus console` at a terminal: keys go to the guest as they are pressed, and the terminal is as it was afterwards. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ConsoleHub, partitionConsole } from 'nexus-tcb/nexus/host';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { hasTerminal, Terminal } from './support/terminal.ts';
import { nexus } from './support/up.ts';

const MAIN = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const CTRL_C = '\x03';
const CTRL_RIGHT_BRACKET = '\x1d';

let directory: string;
let typed: string;
let hub: ConsoleHub;
let terminal: Terminal | undefined;
const command = (name: string) => `${process.execPath} ${MAIN} console ${name} --state ${directory}`;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'nexus-console-'));
  typed = '';
  hub = new ConsoleHub((bytes) => {
    typed += Buffer.from(bytes).toString();
    hub.show(bytes);
  });
  await hub.listen(partitionConsole(directory, 'web'));
});
afterEach(async () => {
  terminal?.close();
  await hub.close();
  rmSync(directory, { recursive: true });
});

describe.skipIf(!hasTerminal)(`nexus console${hasTerminal ? '' : ' (skipped: script is not here)'}`, () => {
  test('passes every key to the guest, Ctrl-C too; Ctrl-] leaves a terminal as it was, and the guest running', async () => {
    hub.show(Buffer.from('booted\r\n# '));
    terminal = new Terminal(
      `before=$(stty -g); ${command('web')}; echo "left $?"; [ "$before" = "$(stty -g)" ] && echo same`,
    );
    await terminal.shows(/Ctrl-\] leaves/);
    await terminal.shows(/booted/);
    terminal.type('ls\r');
    await terminal.shows(/# ls/);
    terminal.type(CTRL_C);
    terminal.type('\x1b[A');
    terminal.type('end');
    await terminal.shows(/end/);
    expect(typed).toBe(`ls\r${CTRL_C}\x1b[Aend`);
    terminal.type(CTRL_RIGHT_BRACKET);
    await terminal.shows(/left; the guest runs on/);
    await terminal.shows(/left 0/);
    await terminal.shows(/same/);
    expect(await terminal.exit()).toBe(0);
    expect(typed).not.toContain(CTRL_RIGHT_BRACKET);
  });

  test('two terminals share one console', async () => {
    terminal = new Terminal(command('web'));
    const other = new Terminal(command('web'));
    try {
      await Promise.all([terminal.shows(/leaves/), other.shows(/leaves/)]);
      terminal.type('from one');
      await other.shows(/from one/);
      other.type(' from two');
      await terminal.shows(/from one from two/);
    } finally {
      other.close();
    }
  });

  test('ends, and says so, when the guest or its host does', async () => {
    terminal = new Terminal(command('web'));
    await terminal.shows(/leaves/);
    await hub.close();
    await terminal.shows(/has ended/);
    expect(await terminal.exit()).toBe(0);
  });
});

test('where there is no such console: a code, the cause and the way out', () => {
  const { status, stderr } = nexus('console', 'nobody', '--state', directory);
  expect(status).toBe(2);
  expect(stderr).toMatch(/E_CONSOLE: no console of nobody at .*nobody\.console\n {2}way out: start it with `nexus up`/);
});
