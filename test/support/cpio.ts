/** The archive of an initial RAM disk: "new ASCII" cpio, as the kernel's Documentation/driver-api/early-userspace has it. */

export interface CpioEntry {
  readonly path: string;
  /** Type and permissions, as in st_mode. */
  readonly mode: number;
  readonly data?: Uint8Array;
  /** Device numbers of a special file. */
  readonly device?: readonly [major: number, minor: number];
}

/** The bytes of an archive. */
export function cpio(entries: readonly CpioEntry[]): Uint8Array {
  const parts: Buffer[] = [];
  const all: readonly CpioEntry[] = [...entries, { path: 'TRAILER!!!', mode: 0 }];
  for (const [inode, { path, mode, data = new Uint8Array(0), device = [0, 0] }] of all.entries()) {
    const name = Buffer.from(`${path}\0`);
    const fields = [inode + 1, mode, 0, 0, 1, 0, data.length, 0, 0, device[0], device[1], name.length, 0];
    const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
    parts.push(padded(Buffer.concat([Buffer.from(header), name])), padded(Buffer.from(data)));
  }
  return Buffer.concat(parts);
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
}
