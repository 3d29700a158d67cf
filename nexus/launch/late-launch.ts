/**
 * The late launch of the nexus (dynamic root of trust): what is measured into PCR 17 and PCR 18, and in what form.
 *
 * The message that `_TPM_Hash_Data` receives at locality 4 is the label, then for every built file of `nexus/` in
 * byte order of its path: u32 path length, path (UTF-8, '/'), u64 content length, content; integers big-endian. Each
 * bank's digest of that message, extended once into the zeroed register, is PCR 17. Changing, adding, removing or
 * renaming any file changes it.
 */
import { createHash, type Hash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';

export const PCR_NEXUS_CODE = 17;
export const PCR_LAUNCH_POLICY = 18;

const CODE_LABEL = 'nexus-tcb late launch v1';

export interface NexusFile {
  /** Path below `nexus/`, with '/'. */
  readonly path: string;
  readonly content: Uint8Array;
}

/** The files that are the nexus: every .js file below its built directory, in byte order of path. */
export function readNexusFiles(directory: string): NexusFile[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.js'))
    .map((entry) => join(entry.parentPath, entry.name))
    .map((file) => ({ path: relative(directory, file).split(sep).join('/'), content: readFileSync(file) }))
    .sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
}

/** The late-launch message, in the pieces that are given to `_TPM_Hash_Data`. */
export function* launchMessage(files: readonly NexusFile[]): Generator<Uint8Array> {
  yield Buffer.from(CODE_LABEL);
  for (const { path, content } of files) {
    const name = Buffer.from(path);
    const header = Buffer.alloc(4 + name.length + 8);
    header.writeUInt32BE(name.length, 0);
    header.set(name, 4);
    header.writeBigUInt64BE(BigInt(content.length), 4 + name.length);
    yield header;
    yield content;
  }
}

/** Digest of the late-launch message under each hash (OpenSSL names), for the event log and for reference values. */
export function launchDigests(files: readonly NexusFile[], hashes: readonly string[]): Map<string, Uint8Array> {
  const contexts = new Map<string, Hash>(hashes.map((name) => [name, createHash(name)]));
  for (const piece of launchMessage(files)) for (const context of contexts.values()) context.update(piece);
  return new Map([...contexts].map(([name, context]) => [name, new Uint8Array(context.digest())]));
}

/** The SHA-256 value of PCR 17 after these files were launched: their digest, extended once into the zeroed register. */
export function launchPcr(files: readonly NexusFile[]): Uint8Array {
  const digest = launchDigests(files, ['sha256']).get('sha256') ?? new Uint8Array();
  return Uint8Array.from(createHash('sha256').update(new Uint8Array(32)).update(digest).digest());
}

/** What the launch policy says; measured into PCR 18 as its canonical text. */
export interface LaunchPolicy {
  /** Whether partitions whose manifest sets the debug flag may run. */
  readonly allowDebug: boolean;
  /** The engine that executes partitions. */
  readonly engine: 'v86' | 'kvm';
  /** TPM name (hexadecimal) of the key whose releases may open this platform's root secret; absent: this build alone. */
  readonly releaseKey?: string;
}

/** The bytes of a launch policy that PCR 18 is extended with: JSON with sorted keys and a version. */
export function launchPolicyBytes(policy: LaunchPolicy): Uint8Array {
  const { allowDebug, engine, releaseKey } = policy; // JSON leaves out what is undefined
  return Buffer.from(JSON.stringify({ allowDebug, engine, releaseKey, version: 1 }));
}
