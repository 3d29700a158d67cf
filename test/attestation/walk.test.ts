/**
 * The walks of the documentation as a newcomer types them: commands are read from the page, and what they print is what the
 * page shows. `...` on the page stands for any text, alone on its line for any lines. Ports are changed to free ones, and
 * `psql` is a stub; nothing else differs.
 */
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
/** The pages use it; a machine that lacks it skips their walks. */
const withoutCurl = spawnSync('curl', ['--version']).status !== 0;
/** Between the outputs of two commands. */
const MARK = '\x01';
let directory: string;
let env: NodeJS.ProcessEnv;
const serving: ChildProcess[] = [];

interface Step {
  readonly command: string;
  /** What the page shows; nothing where it shows nothing. */
  readonly shows: string;
}

function program(name: string, text: string): void {
  const path = join(directory, 'bin', name);
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
}

const sectionOf = (page: string, title: string): string =>
  readFileSync(join(ROOT, 'docs', page), 'utf8')
    .split(`\n## ${title}\n`)[1]
    ?.split('\n## ')[0] ?? '';

/** Steps of a section, in the order of the page. */
function steps(page: string, title: string): Step[] {
  const blocks = [...sectionOf(page, title).matchAll(/```console\n(.*?)```/gs)].map(([, block = '']) => block);
  return blocks.flatMap((block) => block.split(/^\$ /m).slice(1).map(stepOf));
}

/** A command goes on in the next line after a backslash; what it shows follows. */
function stepOf(text: string): Step {
  const lines = text.split('\n');
  const last = lines.findIndex((line) => !line.endsWith('\\'));
  const command = lines.slice(0, last + 1).map((line) => line.replace(/\\$/, ''));
  return {
    command: command.join(' '),
    shows: lines
      .slice(last + 1)
      .join('\n')
      .trimEnd(),
  };
}

/** What the page shows, as an expression. */
function pattern(shows: string): RegExp {
  const lines = shows.split('\n').map((line) => {
    if (line === '...') return '(?:.*\n)*?';
    const text = line.split('...').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
    return `${text.join('.*')}\n`;
  });
  return new RegExp(`^${lines.join('')}$`);
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

/** Start what serves until it is stopped; resolves with as many lines as the page shows. */
function serve({ command, shows }: Step): Promise<string> {
  const child = spawn('bash', ['-c', `exec ${command}`], { cwd: directory, env, stdio: ['ignore', 'pipe', 'inherit'] });
  serving.push(child);
  const wanted = shows.split('\n').length;
  let text = '';
  return new Promise((resolve, reject) => {
    child.stdout?.on('data', (bytes: Buffer) => {
      text += bytes.toString();
      if (text.split('\n').length > wanted) resolve(text);
    });
    child.once('exit', (code) => reject(new Error(`${command} ended with ${code}\n${text}`)));
  });
}

/** Run commands in one shell, and compare what each prints. */
function run(together: readonly Step[]): Promise<void> {
  const script = together.map(({ command }) => `${command}\nprintf '${MARK}'`).join('\n');
  return new Promise((resolve, reject) => {
    execFile('bash', ['-euc', `exec 2>&1\n${script}`], { cwd: directory, env }, (error, stdout) => {
      if (error) reject(new Error(`${error.message}\n${stdout}`));
      const said = stdout.split(MARK);
      for (const [at, { command, shows }] of together.entries()) {
        // A document of curl's ends without a newline.
        const text = (said[at] ?? '').replace(/\n?$/, '\n');
        if (!pattern(shows).test(text))
          reject(new Error(`${command}\nthe page shows:\n${shows}\nit printed:\n${text}`));
      }
      resolve();
    });
  });
}

/** Walk through a section: what serves stays, and what follows talks to it. */
async function walk(page: readonly Step[]): Promise<void> {
  const foreground: Step[] = [];
  for (const step of page) {
    if (!/^nexus (tpm|verifier) serve /.test(step.command)) {
      foreground.push(step);
      continue;
    }
    await run(foreground.splice(0));
    expect(await serve(step)).toMatch(pattern(step.shows));
  }
  await run(foreground);
}

/** The page with free ports in the place of its own: of the verifier, and of the TPM and its platform. */
async function onFreePorts(page: readonly Step[]): Promise<Step[]> {
  const [tpm, verifier] = [await freePort(), await freePort()];
  const changed = (text: string) =>
    text
      .replace('--mssim 2321', `--mssim ${tpm}`)
      .replaceAll('port=2321', `port=${tpm}`)
      .replaceAll(':2321', `:${tpm}`)
      .replaceAll(':2322', `:${tpm + 1}`)
      .replaceAll(/(127\.0\.0\.1|localhost):8080/g, `127.0.0.1:${verifier}`)
      .replace('nexus verifier serve', `nexus verifier serve --port ${verifier}`);
  return page.map(({ command, shows }) => ({ command: changed(command), shows: changed(shows) }));
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'nexus-walk-'));
  env = { ...process.env, PATH: `${join(directory, 'bin')}:${process.env.PATH}` };
  mkdirSync(join(directory, 'bin'));
  program('nexus', `exec ${process.execPath} ${join(ROOT, 'dist/cli/main.js')} "$@"`);
  program('psql', '[ "$PGPASSWORD" = hunter2 ]');
});
afterEach(async () => {
  await Promise.all(
    serving
      .splice(0)
      .map((child) => new Promise((resolve) => (child.kill() ? child.once('exit', resolve) : resolve(undefined)))),
  );
  rmSync(directory, { recursive: true, force: true });
});

test.skipIf(withoutCurl).each([
  ['agent.md', 'Ten minutes without hardware', 12],
  ['verifier.md', 'From nothing to a verdict', 6],
] as const)(
  '%s, %s: from nothing to a verdict, by the commands of the page',
  async (page, title, count) => {
    const walked = await onFreePorts(steps(page, title));
    expect(walked).toHaveLength(count);
    await walk(walked);
  },
  240_000,
);

test('policy.md: the policies of the page are good, and the tests of the page pass', async () => {
  const text = readFileSync(join(ROOT, 'docs/policy.md'), 'utf8');
  const files = [...text.matchAll(/`(\w+\.yaml)`:\n\n```yaml\n(.*?)```/gs)];
  expect(files.map(([, name]) => name)).toEqual(['production.yaml', 'tests.yaml']);
  for (const [, name = '', content = ''] of files) writeFileSync(join(directory, name), content);
  const walked = steps('policy.md', 'Testing a policy');
  expect(walked).toHaveLength(3);
  await walk(walked);
}, 60_000);
