// `npm test`: packages, build, type check, lint, then every test. Arguments go to vitest.
import { spawnSync } from 'node:child_process';
import { build, installPackages, root, run, tool } from './setup.mjs';

installPackages();
build();
run(tool('tsc'), ['--noEmit'], 'type check');
run(tool('biome'), ['check', '--error-on-warnings', '.'], 'lint');
const tests = spawnSync(tool('vitest'), ['run', ...process.argv.slice(2)], { cwd: root, stdio: 'inherit' });
process.exit(tests.status ?? 1);
