/**
 * Unpacks a kernel's payload. XZ and Zstandard go through dpkg-deb, which every Debian-like system has and which
 * undoes the x86 filter (BCJ) that kernels are packed with: the payload travels as the data of a package made for it.
 */
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { LinuxGuestError } from './error.ts';
import { LZ4_LEGACY_MAGIC, unpackLz4 } from './lz4.ts';
import { runTool } from './tool.ts';

/** Several times any distribution's kernel, unpacked. */
export const UNPACKED_MAX = 512 * 1024 * 1024;

const FORMATS: readonly {
  readonly magic: readonly number[];
  readonly unpack: (packed: Uint8Array, size: number) => Promise<Uint8Array>;
}[] = [
  { magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], unpack: asPackage('data.tar.xz') },
  { magic: [0x28, 0xb5, 0x2f, 0xfd], unpack: asPackage('data.tar.zst') },
  { magic: [0x1f, 0x8b], unpack: (packed) => promisify(gunzip)(packed, { maxOutputLength: UNPACKED_MAX }) },
  { magic: LZ4_LEGACY_MAGIC, unpack: async (packed, size) => unpackLz4(packed, size) },
];

/**
 * Unpack; undefined for a payload of no known format. Throws LinuxGuestError: LINUX_TOOL where dpkg-deb is missing,
 * LINUX_KERNEL for a damaged payload.
 */
export async function unpack(payload: Uint8Array, size: number): Promise<Uint8Array | undefined> {
  const format = FORMATS.find(({ magic }) => magic.every((byte, i) => payload[i] === byte));
  try {
    return await format?.unpack(payload, size);
  } catch (cause) {
    if (cause instanceof LinuxGuestError && cause.code !== 'LINUX_FETCH') throw cause;
    throw new LinuxGuestError('LINUX_KERNEL', "the kernel's payload does not unpack: it is damaged", { cause });
  }
}

function asPackage(member: string): (packed: Uint8Array) => Promise<Uint8Array> {
  return async (packed) => {
    const input = archive([
      ['debian-binary', Buffer.from('2.0\n')],
      ['control.tar', EMPTY_TAR],
      [member, packed],
    ]);
    return (await runTool('dpkg-deb', ['--fsys-tarfile', '-'], { input })).stdout;
  };
}

/** Two blocks of zeros end a tar archive. */
const EMPTY_TAR = new Uint8Array(1024);

/** An archive of ar, as a package is one: deb(5). */
function archive(members: readonly (readonly [name: string, bytes: Uint8Array])[]): Uint8Array {
  const parts: Uint8Array[] = [Buffer.from('!<arch>\n')];
  for (const [name, bytes] of members) {
    const fields = [name.padEnd(16), '0'.padEnd(12), '0'.padEnd(6), '0'.padEnd(6), '100644'.padEnd(8)];
    parts.push(Buffer.from(`${fields.join('')}${`${bytes.length}`.padEnd(10)}\`\n`), bytes);
    if (bytes.length % 2 === 1) parts.push(Buffer.from('\n'));
  }
  return Buffer.concat(parts);
}
