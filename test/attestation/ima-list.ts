/** IMA lists as the kernel writes them, for tests: entries in their binary form, and what PCR 10 holds after them. */
import { concatBytes } from '../../attestation/bytes.ts';
import { SHA1, SHA256 } from '../../attestation/hash.ts';

const u32 = (value: number) => {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
};
const text = (value: string) => new TextEncoder().encode(value);
const field = (value: Uint8Array) => concatBytes(u32(value.length), value);

export interface FileEntry {
  readonly path: string;
  readonly digest?: Uint8Array;
  readonly template?: string;
  readonly signature?: Uint8Array;
  readonly violation?: boolean;
  /** What was measured, of ima-buf. */
  readonly buffer?: Uint8Array;
}

export const digestField = (digest: Uint8Array, prefix = 'sha256:') => concatBytes(text(`${prefix}\0`), digest);

/** The first entry of a list: the hash over the boot registers, PCR 0-9 of the SHA-256 bank. */
export const bootAggregate = (pcrs: readonly (Uint8Array | undefined)[]): FileEntry => ({
  path: 'boot_aggregate',
  digest: SHA256.digest(concatBytes(...pcrs.slice(0, 10).map((value) => value ?? new Uint8Array(32)))),
});

/** The template data of a file's entry. */
export function templateData(entry: FileEntry) {
  const { path, buffer, signature } = entry;
  const template = templateOf(entry);
  const { digest = SHA256.digest(buffer ?? text(path)) } = entry;
  const fields = [digestField(digest), text(`${path}\0`)];
  if (template === 'ima-sig') fields.push(signature ?? new Uint8Array());
  if (template === 'ima-buf') fields.push(buffer ?? new Uint8Array());
  return concatBytes(...fields.map(field));
}

const templateOf = ({ template, buffer }: FileEntry) => template ?? (buffer === undefined ? 'ima-ng' : 'ima-buf');

/** One entry of binary_runtime_measurements. */
export function entryBytes(entry: FileEntry, data = templateData(entry)): Uint8Array {
  const digest = entry.violation === true ? new Uint8Array(SHA1.size) : SHA1.digest(data);
  const name = text(templateOf(entry));
  return concatBytes(u32(10), digest, field(name), field(data));
}

/** The list, and PCR 10 of the SHA-256 bank after it. */
export function imaList(
  entries: readonly FileEntry[],
  from = new Uint8Array(32),
): { bytes: Uint8Array; pcr: Uint8Array } {
  let pcr = from;
  for (const entry of entries) {
    const extension = entry.violation === true ? new Uint8Array(32).fill(0xff) : SHA256.digest(templateData(entry));
    pcr = Uint8Array.from(SHA256.digest(concatBytes(pcr, extension)));
  }
  return { bytes: concatBytes(...entries.map((entry) => entryBytes(entry))), pcr };
}
