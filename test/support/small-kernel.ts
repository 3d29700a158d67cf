/** A 64-bit kernel that needs no distribution: `kernel64.S`, packed as a bzImage is. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const SOURCE = fileURLToPath(new URL('./kernel64.S', import.meta.url));
const SETUP = 5 * 512;

/** The kernel proper, an ELF with a PVH note. Needs gcc. */
export function buildSmallKernel(): Uint8Array {
  const directory = mkdtempSync(join(tmpdir(), 'nexus-kernel-'));
  try {
    const out = join(directory, 'vmlinux');
    const linker = ['-Ttext=0x1000000', '-z', 'max-page-size=4096', '-z', 'noexecstack', '--build-id=none', '-estart'];
    execFileSync('gcc', ['-m64', '-nostdlib', '-static', '-no-pie', `-Wl,${linker.join()}`, '-o', out, SOURCE]);
    return new Uint8Array(readFileSync(out));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Linux Documentation/arch/x86/boot.rst: the fields that a loader reads, protocol 2.15. */
export function asBzImage(kernel: Uint8Array): Uint8Array {
  const packed = gzipSync(kernel);
  const bytes = new Uint8Array(SETUP + 4096 + packed.length + 4);
  const view = new DataView(bytes.buffer);
  bytes[0x1f1] = SETUP / 512 - 1;
  bytes[0x201] = 0x6a;
  view.setUint32(0x202, 0x53726448, true);
  view.setUint16(0x206, 0x20f, true);
  view.setUint32(0x248, 4096, true);
  view.setUint32(0x24c, packed.length + 4, true);
  bytes.set(packed, SETUP + 4096);
  view.setUint32(bytes.length - 4, kernel.length, true);
  return bytes;
}
