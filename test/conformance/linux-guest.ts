/**
 * A Linux guest in QEMU with the served TPM: `npm run conformance:linux`. Boots Debian's cloud kernel, which apt-get
 * downloads, under TCG, and checks that it finds /dev/tpm0, the firmware's event log and IMA's measurements in PCR 10.
 *
 *   npm run conformance:linux -- [--firmware seabios|ovmf] [--device tpm-tis|tpm-crb] [--peer swtpm]
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { cpio } from '../support/cpio.ts';
import { startNexusTpm } from '../support/nexus-tpm.ts';

const { values: options } = parseArgs({
  options: {
    firmware: { type: 'string', default: 'seabios' },
    device: { type: 'string', default: 'tpm-crb' },
    peer: { type: 'string' },
    timeout: { type: 'string', default: '300' },
  },
});

const INIT = `#!/bin/busybox sh
busybox mount -t proc proc /proc
busybox mount -t sysfs sys /sys
busybox mount -t devtmpfs dev /dev
busybox mount -t securityfs sec /sys/kernel/security
[ -c /dev/tpm0 ] && echo CHECK device
[ -c /dev/tpmrm0 ] && echo CHECK manager
busybox test "$(busybox cat /sys/class/tpm/tpm0/tpm_version_major)" = 2 && echo CHECK version
log=/sys/kernel/security/tpm0/binary_bios_measurements
busybox test "$(busybox wc -c <$log)" -gt 100 && echo CHECK event-log
pcr=$(busybox cat /sys/class/tpm/tpm0/pcr-sha256/10)
echo "PCR 10 $pcr"
case $pcr in *[1-9A-Fa-f]*) echo CHECK ima ;; esac
busybox grep -q boot_aggregate /sys/kernel/security/ima/ascii_runtime_measurements && echo CHECK ima-log
echo CHECK end
busybox poweroff -f
`;
const CHECKS = ['device', 'manager', 'version', 'event-log', 'ima', 'ima-log', 'end'];

const directory = mkdtempSync(join(tmpdir(), 'nexus-linux-'));
try {
  process.exitCode = await run();
} finally {
  rmSync(directory, { recursive: true, force: true });
}

async function run(): Promise<number> {
  const socket = join(directory, 'control.sock');
  const stop = options.peer === 'swtpm' ? startPeer(socket) : await startOurs(socket);
  const console_ = await boot(fetchKernel(), initialRamDisk(), socket);
  await stop();
  const missing = CHECKS.filter((check) => !console_.includes(`CHECK ${check}`));
  if (missing.length > 0) process.stdout.write(console_);
  console.log(missing.length === 0 ? `all ${CHECKS.length} checks passed` : `missed: ${missing.join(', ')}`);
  return missing.length === 0 ? 0 : 1;
}

async function startOurs(socket: string): Promise<() => Promise<unknown>> {
  const tpm = await startNexusTpm('--qemu', socket, '--state', join(directory, 'tpm'));
  return () => tpm.stop();
}

function startPeer(socket: string): () => Promise<unknown> {
  const child = spawn('swtpm', [
    'socket',
    '--tpm2',
    '--ctrl',
    `type=unixio,path=${socket}`,
    '--tpmstate',
    `dir=${directory}`,
  ]);
  return async () => child.kill();
}

/** Path of Debian's kernel for virtual machines. */
function fetchKernel(): string {
  const text = { cwd: directory, encoding: 'utf8' } as const;
  const depends = execFileSync('apt-cache', ['depends', 'linux-image-cloud-amd64'], text);
  const name = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
  if (!name) throw new Error('no linux-image-cloud-amd64 in the package lists: apt-get update');
  execFileSync('apt-get', ['download', name], { cwd: directory, stdio: 'ignore' });
  const file = readdirSync(directory).find((entry) => entry.endsWith('.deb'));
  execFileSync('dpkg', ['-x', file ?? '', 'kernel'], { cwd: directory });
  const boot = join(directory, 'kernel', 'boot');
  return join(boot, readdirSync(boot).find((entry) => entry.startsWith('vmlinuz')) ?? '');
}

function initialRamDisk(): string {
  const path = join(directory, 'initrd');
  const directories = ['bin', 'dev', 'proc', 'sys'].map((entry) => ({ path: entry, mode: 0o040755 }));
  writeFileSync(
    path,
    cpio([
      ...directories,
      { path: 'bin/busybox', mode: 0o100755, data: readFileSync('/bin/busybox') },
      { path: 'init', mode: 0o100755, data: Buffer.from(INIT) },
      { path: 'dev/console', mode: 0o020600, device: [5, 1] },
    ]),
  );
  return path;
}

/** Boot until the guest powers off; resolves with its serial console. */
function boot(kernel: string, initrd: string, socket: string): Promise<string> {
  const firmware =
    options.firmware === 'ovmf'
      ? ['-drive', 'if=pflash,unit=0,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd']
      : [];
  const child = spawn(
    'qemu-system-x86_64',
    [
      ...[
        '-machine',
        'q35,accel=tcg',
        '-cpu',
        'max',
        '-m',
        '512',
        '-display',
        'none',
        '-serial',
        'stdio',
        '-no-reboot',
      ],
      ...['-chardev', `socket,id=chrtpm,path=${socket}`, '-tpmdev', 'emulator,id=tpm0,chardev=chrtpm'],
      ...['-device', `${options.device},tpmdev=tpm0`, '-nic', 'none', ...firmware],
      ...['-kernel', kernel, '-initrd', initrd],
      ...['-append', 'console=ttyS0 ima_policy=tcb ima_hash=sha256 quiet panic=-1'],
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const limit = setTimeout(() => child.kill('SIGKILL'), Number(options.timeout) * 1000);
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  return new Promise((resolve) =>
    child.once('close', () => {
      clearTimeout(limit);
      resolve(output);
    }),
  );
}
