/**
 * The walk of docs/agent.md, "Ten minutes without hardware", as a newcomer types it: the commands are read from the
 * page. Ports are changed to free ones, and `psql` is a stub; nothing else differs.
 */
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const SECTION = '## Ten minutes without hardware';
/** The page uses it; a machine that lacks it skips the walk. */
const withoutCurl = spawnSync('curl', ['--version']).status !== 0;
let directory: string;
let env: NodeJS.ProcessEnv;
const serving: ChildProcess[] = [];

function program(name: string, text: string): void {
  const path = join(directory, 'bin', name);
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
}

/** Commands of the section, in the order of the page. */
function commands(): string[] {
  const page = readFileSync(join(ROOT, 'docs/agent.md'), 'utf8').split(SECTION)[1]?.split('\n## ')[0] ?? '';
  const blocks = [...page.matchAll(/```console\n(.*?)```/gs)].map(([, block = '']) => block.replaceAll('\\\n', ' '));
  return blocks.flatMap((block) =>
    block
      .split('\n')
      .filter((line) => line.startsWith('$ '))
      .map((line) => line.slice(2)),
  );
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

/** Start what serves until it is stopped; resolves with its first line. */
function serve(command: string): Promise<string> {
  const child = spawn('bash', ['-c', `exec ${command}`], { cwd: directory, env, stdio: ['ignore', 'pipe', 'inherit'] });
  serving.push(child);
  return new Promise((resolve, reject) => {
    child.stdout?.once('data', (text: Buffer) => resolve(text.toString()));
    child.once('exit', (code) => reject(new Error(`${command} ended with ${code}`)));
  });
}

function run(script: string): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile('bash', ['-euc', script], { cwd: directory, env }, (error, stdout, stderr) =>
      error ? reject(new Error(`${error.message}\n${stdout}\n${stderr}`)) : resolve(stdout),
    );
  });
}

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'nexus-walk-'));
  env = { ...process.env, PATH: `${join(directory, 'bin')}:${process.env.PATH}` };
  mkdirSync(join(directory, 'bin'));
  program('nexus', `exec ${process.execPath} ${join(ROOT, 'dist/cli/main.js')} "$@"`);
  program('psql', 'echo "psql $* with $PGPASSWORD"');
});
afterAll(async () => {
  await Promise.all(
    serving.map((child) => new Promise((resolve) => (child.kill() ? child.once('exit', resolve) : resolve(undefined)))),
  );
  rmSync(directory, { recursive: true, force: true });
});

test.skipIf(withoutCurl)(
  'from nothing to a verdict and a secret, by the commands of the page',
  async () => {
    const [tpm, verifier] = [await freePort(), await freePort()];
    const page = commands().map((line) =>
      line
        .replace('--mssim 2321', `--mssim ${tpm}`)
        .replace('port=2321', `port=${tpm}`)
        .replaceAll(/(127\.0\.0\.1|localhost):8080/g, `127.0.0.1:${verifier}`)
        .replace('nexus verifier serve', `nexus verifier serve --port ${verifier}`),
    );
    const foreground: string[] = [];
    for (const line of page) {
      if (!/^nexus (tpm|verifier) serve /.test(line)) {
        foreground.push(line);
        continue;
      }
      await run(foreground.splice(0).join('\n'));
      await serve(line);
    }
    expect(serving).toHaveLength(2);
    const said = await run(foreground.join('\n'));
    expect(said).toContain('enrolled as laptop\n');
    expect(said).toContain('laptop: affirming\n');
    expect(said).toMatch(/psql -h db with hunter2\n$/);
  },
  240_000,
);
