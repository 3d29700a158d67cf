/**
 * What the demo needs on disk besides the platform's own state: a signer, an attacker's signer, guest images (one of
 * them with a changed byte), manifests, and a copy of the nexus with a changed file. Keys are made once per directory.
 */
import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildGuests } from '../../guests/build.ts';
import { writeFileAtomic } from '../../nexus/host/index.ts';
import { signManifest } from '../../nexus/launch/index.ts';

const MEMORY = 16 * 2 ** 20;
/** The security version of the demo's vault, and the older one that an attacker brings back. */
const SVN = 2;
const OLD_SVN = 1;

export interface Workspace {
  readonly stateDirectory: string;
  readonly verifierDirectory: string;
  readonly neighbourImage: string;
  readonly vault: Code;
  /** The vault with one byte changed, signed by somebody else. */
  readonly tampered: Code;
  /** The tampered image under the vault's own manifest. */
  readonly tamperedUnderManifest: Code;
  /** The vault as an older version, signed by the same signer. */
  readonly downgraded: Code;
  /** The secret that the verifier's broker holds. */
  readonly secret: Uint8Array;
}

export interface Code {
  readonly image: string;
  readonly manifest: string;
}

export async function prepareWorkspace(directory: string): Promise<Workspace> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const inDirectory = (name: string) => join(directory, name);
  const signer = keyFile(inDirectory('signer.pem'));
  const attacker = keyFile(inDirectory('attacker.pem'));
  const guests = await buildGuests();
  const image = readFileSync(guests.vault);
  const vault = { image: inDirectory('vault.elf'), manifest: inDirectory('vault.manifest') };
  const tampered = { image: inDirectory('tampered.elf'), manifest: inDirectory('tampered.manifest') };
  const downgraded = { image: vault.image, manifest: inDirectory('downgraded.manifest') };
  const changed = changeOneByte(image);
  writeFileAtomic(vault.image, image);
  writeFileAtomic(tampered.image, changed);
  writeFileAtomic(vault.manifest, manifestOf(image, SVN, signer));
  writeFileAtomic(tampered.manifest, manifestOf(changed, SVN, attacker));
  writeFileAtomic(downgraded.manifest, manifestOf(image, OLD_SVN, signer));
  return {
    stateDirectory: inDirectory('platform'),
    verifierDirectory: inDirectory('verifier'),
    neighbourImage: guests.neighbour,
    vault,
    tampered,
    tamperedUnderManifest: { image: tampered.image, manifest: vault.manifest },
    downgraded,
    secret: secretFile(inDirectory('broker-secret')),
  };
}

/**
 * Copy the built product below `directory` and append a comment to one file of its nexus: other bytes, same behaviour.
 * Returns the copy's host program and the file changed.
 */
export function changedNexus(directory: string): { readonly entry: string; readonly file: string } {
  const built = fileURLToPath(new URL('../..', import.meta.url));
  const root = join(directory, 'changed-nexus');
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root, { recursive: true });
  cpSync(built, join(root, 'dist'), { recursive: true });
  cpSync(join(built, '..', 'package.json'), join(root, 'package.json'));
  symlinkSync(nodeModules(built), join(root, 'node_modules'), 'dir');
  const file = join(root, 'dist', 'nexus', 'core', 'index.js');
  writeFileAtomic(file, Buffer.concat([readFileSync(file), Buffer.from('\n// one line more\n')]));
  return { entry: join(root, 'dist', 'cli', 'demo', 'host-process.js'), file: 'nexus/core/index.js' };
}

/** The directory in which this build's packages are found: beside the product, or where it is itself installed. */
function nodeModules(built: string): string {
  const own = join(built, '..', 'node_modules');
  return existsSync(own) ? own : join(built, '..', '..');
}

/** Change a letter of a message in the image: still an image that runs, no longer the same one. */
function changeOneByte(image: Uint8Array): Uint8Array {
  const marker = Buffer.from('this guest runs under the nexus only');
  const at = Buffer.from(image).indexOf(marker);
  if (at < 0) throw new Error('the vault image does not contain its own text');
  const changed = Uint8Array.from(image);
  changed[at] = (changed[at] ?? 0) ^ 0x20;
  return changed;
}

function manifestOf(image: Uint8Array, svn: number, key: KeyObject): Uint8Array {
  const digest = createHash('sha256').update(image).digest();
  return signManifest({ name: 'vault', svn, debug: false, image: digest, commandLine: '', memory: MEMORY }, key);
}

function keyFile(path: string): KeyObject {
  if (!existsSync(path)) {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    writeFileAtomic(path, Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' })));
  }
  return createPrivateKey(readFileSync(path));
}

function secretFile(path: string): Uint8Array {
  if (!existsSync(path)) writeFileAtomic(path, randomBytes(32));
  return readFileSync(path);
}
