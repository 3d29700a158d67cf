/** Programs of the distribution, run with their output kept. */
import { spawn } from 'node:child_process';
import { LinuxGuestError } from './error.ts';

const PACKAGE_OF: Readonly<Record<string, string>> = {
  'apt-get': 'apt',
  'apt-cache': 'apt',
  'dpkg-deb': 'dpkg',
};

/** Run `tool` with `input` on its standard input. Throws LinuxGuestError LINUX_TOOL or LINUX_FETCH. */
export function runTool(
  tool: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv; readonly input?: Uint8Array } = {},
): Promise<{ stdout: Buffer }> {
  return new Promise((resolve, reject) => {
    const child = spawn(tool, args, { cwd: options.cwd, env: options.env ?? process.env });
    const out: Buffer[] = [];
    let complaint = '';
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => {
      complaint = `${complaint}${chunk.toString('utf8')}`.slice(-2000);
    });
    child.on('error', (error: NodeJS.ErrnoException) => {
      const missing = error.code === 'ENOENT';
      const way = missing ? `; install the package ${PACKAGE_OF[tool] ?? tool}` : '';
      reject(new LinuxGuestError('LINUX_TOOL', `cannot run ${tool}: ${error.message}${way}`, { cause: error }));
    });
    // A tool that reads enough and leaves closes its input early; its exit status tells whether that was right.
    child.stdin.on('error', () => {});
    child.stdin.end(options.input);
    child.on('close', (status) => {
      if (status === 0) resolve({ stdout: Buffer.concat(out) });
      else
        reject(
          new LinuxGuestError('LINUX_FETCH', `${tool} ${args.join(' ')} ended with ${status}: ${complaint.trim()}`),
        );
    });
  });
}
