// `npm test`: packages, build, type check, lint, then every test. With arguments, which go to vitest: those tests alone.
import { spawnSync } from 'node:child_process';
import { build, installPackages, root, run, tool } from './setup.mjs';

installPackages();
build();
const selected = process.argv.slice(2);
if (selected.length === 0) {
  run(tool('tsc'), ['--noEmit'], 'type check');
  run(tool('biome'), ['check', '--error-on-warnings', '.'], 'lint');
}
const tests = spawnSync(tool('vitest'), ['run', ...selected], { cwd: root, stdio: 'inherit' });
process.exit(tests.status ?? 1);
