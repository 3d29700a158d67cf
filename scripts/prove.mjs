// `npm run prove`: packages, build, then the prover. Arguments go to it; --help lists them.
import { spawnSync } from 'node:child_process';
import { build, installPackages, root } from './setup.mjs';

installPackages();
build();
const prover = spawnSync(process.execPath, ['dist/nexus/proof/main.js', ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
});
process.exit(prover.status ?? 1);
