// Run one of the project's own TypeScript tools (a benchmark, a fuzzer) with the arguments given:
//   node scripts/tool.mjs bench/tpm.ts --seconds 1
// The package is built first; the tool is bundled, so that relative imports of TypeScript work on Node 20, while
// packages, and `nexus-tcb/...` itself, stay imports.
import { spawn } from 'node:child_process';
import { basename, join } from 'node:path';
import { buildSync } from 'esbuild';
import { build, fail, installPackages, root } from './setup.mjs';

const [entry, ...rest] = process.argv.slice(2);
if (!entry) fail('name the tool to run');
installPackages();
build();
const outfile = join(root, 'dist', '.tools', basename(entry).replace(/\.ts$/, '.mjs'));
buildSync({
  entryPoints: [join(root, entry)],
  outfile,
  bundle: true,
  packages: 'external',
  platform: 'node',
  format: 'esm',
  target: 'node20',
  sourcemap: 'inline',
  logLevel: 'warning',
});
const child = spawn(process.execPath, ['--enable-source-maps', '--expose-gc', outfile, ...rest], {
  cwd: root,
  stdio: 'inherit',
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(code ?? (signal ? 128 : 1)));
