/**
 * A cpio archive in the "newc" format (Linux Documentation/driver-api/early-userspace/buffer-format.rst), written so
 * that equal trees give equal bytes: entries sorted by name, numbered in that order, owned by root, dated zero.
 */

export type TreeEntry =
  | { readonly kind: 'directory' }
  | { readonly kind: 'file'; readonly bytes: Uint8Array; readonly executable: boolean }
  | { readonly kind: 'link'; readonly target: string }
  | { readonly kind: 'device'; readonly major: number; readonly minor: number };

/** Path without a leading slash -> entry. Parent directories are added. */
export type Tree = ReadonlyMap<string, TreeEntry>;

const MODE = {
  directory: 0o040755,
  file: 0o100644,
  executable: 0o100755,
  link: 0o120777,
  device: 0o020600,
} as const;

const TRAILER = 'TRAILER!!!';
const HEADER_SIZE = 110;
const utf8 = new TextEncoder();

/** The archive of a tree. Throws RangeError for a path that is absolute, climbs, or is empty. */
export function cpio(tree: Tree): Uint8Array {
  const all = new Map(tree);
  for (const path of tree.keys()) {
    const parts = path.split('/');
    if (parts.some((part) => part === '' || part === '.' || part === '..')) throw new RangeError(`not a path: ${path}`);
    for (let depth = 1; depth < parts.length; depth++) {
      const parent = parts.slice(0, depth).join('/');
      if (!all.has(parent)) all.set(parent, { kind: 'directory' });
    }
  }
  const sorted = [...all].sort(([a], [b]) => (a < b ? -1 : 1));
  const records = sorted.map(([path, entry], i) => record(path, entry, i + 1));
  records.push(record(TRAILER, undefined, 0));
  const archive = new Uint8Array(align4(records.reduce((length, bytes) => length + bytes.length, 0)));
  let at = 0;
  for (const bytes of records) {
    archive.set(bytes, at);
    at += bytes.length;
  }
  return archive;
}

const align4 = (length: number) => Math.ceil(length / 4) * 4;

function record(path: string, entry: TreeEntry | undefined, inode: number): Uint8Array {
  const name = utf8.encode(`${path}\0`);
  const content =
    entry?.kind === 'file' ? entry.bytes : entry?.kind === 'link' ? utf8.encode(entry.target) : new Uint8Array(0);
  const mode = entry === undefined ? 0 : entry.kind === 'file' && entry.executable ? MODE.executable : MODE[entry.kind];
  const device = entry?.kind === 'device' ? entry : { major: 0, minor: 0 };
  const fields = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, device.major, device.minor, name.length, 0];
  const header = `070701${fields.map((value) => value.toString(16).padStart(8, '0')).join('')}`;
  const contentAt = align4(HEADER_SIZE + name.length);
  const bytes = new Uint8Array(align4(contentAt + content.length));
  bytes.set(utf8.encode(header), 0);
  bytes.set(name, HEADER_SIZE);
  bytes.set(content, contentAt);
  return bytes;
}
