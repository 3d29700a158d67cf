/** The command under swtpm's name and with swtpm's options, as scripts start it. */
import { execFile, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openWire } from '../bench/measure.ts';
import { freePortPair } from './support/swtpm.ts';

const GET_RANDOM = Uint8Array.of(0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7b, 0, 8);

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'nexus-as-swtpm-'));
  symlinkSync(resolve('dist/cli/main.js'), join(directory, 'swtpm'));
});

afterAll(() => rmSync(directory, { recursive: true }));

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const swtpm = (...words: string[]): Promise<Ended> =>
  new Promise((done) => {
    execFile(process.execPath, [join(directory, 'swtpm'), ...words], (error, stdout, stderr) => {
      done({ code: error ? Number(error.code) : 0, stdout, stderr });
    });
  });

test('a daemon answers when the command has ended, and its state lasts', async () => {
  const pid = join(directory, 'pid');
  const state = join(directory, 'state');
  mkdirSync(state, { mode: 0o755 });
  for (let round = 0; round < 2; round++) {
    const port = await freePortPair();
    const words = `socket --tpm2 --server type=tcp,port=${port} --ctrl type=tcp,port=${port + 1} --flags startup-clear`;
    const started = await swtpm(...words.split(' '), '--tpmstate', `dir=${state}`, '--pid', `file=${pid}`, '--daemon');
    expect(started).toEqual({ code: 0, stdout: '', stderr: '' });
    const wire = await openWire(port);
    expect(await wire.send(GET_RANDOM)).toHaveLength(20);
    wire.close();
    process.kill(Number(readFileSync(pid, 'utf8')), 'SIGTERM');
    await expect.poll(() => existsSync(pid), { timeout: 20_000 }).toBe(false);
  }
  expect(statSync(join(state, 'nexus')).mode & 0o777).toBe(0o700);
});

test('a daemon that cannot start says why, with the exit code of a start in the foreground', async () => {
  const busy = await swtpm('socket', '--tpm2', '--ctrl', `type=unixio,path=${directory}/none/s`, '--daemon');
  expect(busy.code).toBe(4);
  expect(busy.stderr).toContain('way out');
});

test('what is not supported is refused before anything starts', async () => {
  const refused = await swtpm('socket', '--tpm2', '--port', '1', '--runas', 'tss');
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain('--runas');
});

test.skipIf(spawnSync('swtpm_setup', ['--version']).error)(
  'swtpm_setup (needs swtpm-tools) makes endorsement keys over connections that it hands down, once',
  async () => {
    const program = join(directory, 'as-swtpm');
    writeFileSync(program, `#!/bin/sh\nexec ${process.execPath} ${directory}/swtpm "$@"\n`);
    chmodSync(program, 0o755);
    const state = join(directory, 'set-up');
    mkdirSync(state);
    const setUp = (...words: string[]) =>
      spawnSync('swtpm_setup', ['--tpm2', '--tpm', `${program} socket`, '--tpmstate', state, '--createek', ...words], {
        encoding: 'utf8',
      });
    const first = setUp();
    expect(first.stdout).toContain('with handle 0x81010001');
    expect(first.status).toBe(0);
    const again = setUp('--not-overwrite');
    expect(again.stdout).not.toContain('with handle');
    expect(again.status).toBe(0);
  },
);

test('a descriptor that is no connection is named', async () => {
  const { code, stderr } = await swtpm('socket', '--tpm2', '--server', 'type=tcp,fd=999');
  expect(code).toBe(4);
  expect(stderr).toContain('descriptor 999');
});
