// `npm start`: packages, build, then the `nexus` command with the arguments given.
import { spawn } from 'node:child_process';
import { build, installPackages, root } from './setup.mjs';

installPackages();
build();
const child = spawn(process.execPath, ['dist/cli/main.js', ...process.argv.slice(2)], { cwd: root, stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(code ?? (signal ? 128 : 1)));
