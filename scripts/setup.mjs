// What both README commands need first: the locked packages and a current build. Plain JavaScript, because it runs
// before anything is installed.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

/** Run a command with its output on standard error, so that standard output stays the caller's. Exits on failure. */
export function run(command, args, why) {
  const result = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2] });
  if (result.error) fail(`${why}: cannot run ${command} (${result.error.message})`);
  if (result.status !== 0) fail(`${why}: ${command} ${args.join(' ')} ended with ${result.status ?? result.signal}`);
}

export function fail(message) {
  process.stderr.write(`nexus: ${message}\n`);
  process.exit(1);
}

/** Path of a tool that a package installs. */
export const tool = (name) => join(root, 'node_modules', '.bin', name);

/** Install the locked packages if the tree does not hold exactly them. */
export function installPackages() {
  const wanted = readFileSync(join(root, 'package-lock.json'), 'utf8');
  const installed = join(root, 'node_modules', '.package-lock.json');
  if (existsSync(installed)) {
    const have = JSON.parse(readFileSync(installed, 'utf8')).packages;
    const lock = JSON.parse(wanted).packages;
    const complete = Object.entries(lock).every(
      ([path, entry]) => path === '' || entry.optional || entry.version === have[path]?.version,
    );
    if (complete) return;
  }
  process.stderr.write('nexus: installing the locked packages (once)\n');
  run('npm', ['ci', '--loglevel=error', '--no-audit', '--no-fund', '--ignore-scripts'], 'packages');
}

/** Compile the TypeScript; the compiler is native and takes about a second. */
export function build() {
  run(tool('tsc'), ['-p', 'tsconfig.build.json'], 'build');
}

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) fail(`Node.js 20.19 or newer is needed; this is ${process.version}`);
