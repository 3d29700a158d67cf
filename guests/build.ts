/**
 * Builds the guest programs with gcc: 32-bit, freestanding, without a C library. Deterministic: the same sources and
 * compiler give the same bytes in any folder, because paths are relative and nothing of time or place is recorded.
 * Results are kept in `guests/build/` under a digest of everything that went into them.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { promisify } from 'node:util';
import { packageRoot } from './root.ts';

const run = promisify(execFile);

export const GUESTS = ['vault', 'neighbour', 'probe'] as const;
export type GuestName = (typeof GUESTS)[number];

export class GuestBuildError extends Error {
  readonly code:
    | 'GUEST_COMPILER_MISSING'
    | 'GUEST_COMPILER_32BIT'
    | 'GUEST_LIBRARY_MISSING'
    | 'GUEST_COMPILE'
    | 'GUEST_OUTPUT';
  constructor(code: GuestBuildError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'GuestBuildError';
    this.code = code;
  }
}

const SDK = ['start.S', 'memory.c', 'console.c', 'nexus.c', 'hpke.c', 'share.c'];
const SDK_HEADERS = [
  'console.h',
  'hpke.h',
  'io.h',
  'nexus.h',
  'nexus_abi.h',
  'share.h',
  'guest.ld',
  ...['errno.h', 'limits.h', 'stdio.h', 'stdlib.h', 'string.h', 'sys/types.h'].map((name) => `libc/${name}`),
];

/** The reference (portable C) implementations of libsodium that HPKE needs, below src/libsodium. */
const SODIUM = [
  'crypto_aead/chacha20poly1305/sodium/aead_chacha20poly1305.c',
  'crypto_auth/hmacsha256/auth_hmacsha256.c',
  'crypto_core/ed25519/ref10/ed25519_ref10.c',
  'crypto_hash/sha256/cp/hash_sha256_cp.c',
  'crypto_onetimeauth/poly1305/donna/poly1305_donna.c',
  'crypto_onetimeauth/poly1305/onetimeauth_poly1305.c',
  'crypto_scalarmult/curve25519/ref10/x25519_ref10.c',
  'crypto_scalarmult/curve25519/scalarmult_curve25519.c',
  'crypto_stream/chacha20/ref/chacha20_ref.c',
  'crypto_stream/chacha20/stream_chacha20.c',
  'crypto_verify/sodium/verify.c',
];

const COMPILE = [
  '-m32',
  '-march=i686',
  '-mgeneral-regs-only', // no FPU or SSE state to set up
  '-std=gnu11',
  '-O2',
  '-ffreestanding',
  '-nostdinc',
  '-fno-pic',
  '-fno-stack-protector',
  '-fno-asynchronous-unwind-tables',
  '-fno-ident',
  '-ffunction-sections',
  '-fdata-sections',
];
const LINK = [
  '-m32',
  '-nostdlib',
  '-static',
  '-no-pie',
  '-Wl,--gc-sections',
  '-Wl,--build-id=none',
  '-Wl,-z,noexecstack',
  '-s',
  '-T',
  'guests/sdk/guest.ld',
];
/** Warnings stop the build of our own sources; libsodium is compiled as it is. */
const OWN = ['-Wall', '-Wextra', '-Werror'];
const SODIUM_FLAGS = ['-w', '-DCONFIGURED=1']; // its own word that the configuration is deliberate

/** Build what is not built already. Gives the path of each image. */
export async function buildGuests(): Promise<Record<GuestName, string>> {
  const outputs = join(packageRoot(), 'guests', 'build');
  return buildGuestsIn(packageRoot(), outputs);
}

/** As `buildGuests`, from the sources under `root` into `outputs`; for the test of determinism. */
export async function buildGuestsIn(root: string, outputs: string): Promise<Record<GuestName, string>> {
  const toolchain = await findToolchain(root);
  const sources = sdkSources(toolchain);
  const directory = join(outputs, await digestOf(root, toolchain, [...sources, ...GUESTS.map(mainOf)]));
  if (!existsSync(directory)) await buildInto(directory, root, toolchain, sources);
  // Object.fromEntries forgets the keys' type; they are exactly GUESTS.
  return Object.fromEntries(GUESTS.map((guest) => [guest, imageIn(directory, guest)])) as Record<GuestName, string>;
}

/** Build a program of one's own from its C sources with the SDK into an image that `host.yaml` can name. */
export async function buildGuest(sources: readonly string[], output: string): Promise<void> {
  const root = packageRoot();
  const toolchain = await findToolchain(root);
  const work = await makeWorkDirectory(resolve(output));
  try {
    const own = sources.map((path) => ({ path: relative(root, resolve(path)), flags: OWN }));
    const objects = await compileAll(root, toolchain, [...own, ...sdkSources(toolchain)], work);
    const image = join(work, 'image');
    await gcc(root, [...LINK, '-o', image, ...objects]);
    await rename(image, output);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

const sdkSources = (toolchain: Toolchain): Source[] => [
  ...SDK.map((name) => ({ path: `guests/sdk/${name}`, flags: OWN })),
  ...SODIUM.map((name) => ({ path: join(toolchain.sodium, name), flags: SODIUM_FLAGS })),
];

const mainOf = (guest: GuestName): Source => ({ path: `guests/${guest}/main.c`, flags: OWN });
const imageIn = (directory: string, guest: GuestName) => join(directory, `${guest}.elf`);

interface Source {
  /** Relative to the root. */
  readonly path: string;
  readonly flags: readonly string[];
}

interface Toolchain {
  /** First line of `gcc --version`. */
  readonly version: string;
  /** gcc's own freestanding headers. */
  readonly headers: string;
  /** libsodium's src/libsodium, relative to the root. */
  readonly sodium: string;
}

async function findToolchain(root: string): Promise<Toolchain> {
  const ask = async (...flags: string[]) => {
    try {
      return (await run('gcc', flags)).stdout.trim();
    } catch (cause) {
      throw new GuestBuildError(
        'GUEST_COMPILER_MISSING',
        'guests are built with gcc, which does not run here; install it (Debian: apt-get install gcc)',
        { cause },
      );
    }
  };
  const [version = ''] = (await ask('--version')).split('\n');
  const headers = await ask('-print-file-name=include');
  return { version, headers, sodium: relative(root, findSodium()) };
}

function findSodium(): string {
  try {
    const manifest = createRequire(import.meta.url).resolve('sodium-native/package.json');
    return join(dirname(manifest), 'libsodium', 'src', 'libsodium');
  } catch (cause) {
    throw new GuestBuildError(
      'GUEST_LIBRARY_MISSING',
      'guests need the sources of libsodium in the package sodium-native; run npm ci',
      { cause },
    );
  }
}

/** Names the outcome by all that decides it. */
async function digestOf(root: string, toolchain: Toolchain, sources: readonly Source[]): Promise<string> {
  const digest = createHash('sha256').update(JSON.stringify([toolchain.version, COMPILE, LINK, OWN, SODIUM_FLAGS]));
  for (const path of [...sources.map(({ path }) => path), ...SDK_HEADERS.map((name) => `guests/sdk/${name}`)]) {
    const bytes = await readFile(join(root, path));
    digest.update(`${basename(path)} ${bytes.length}\n`).update(bytes);
  }
  return digest.digest('hex').slice(0, 16);
}

/** Build beside the directory and rename, so that a killed or concurrent build never leaves half of one. */
async function buildInto(
  directory: string,
  root: string,
  toolchain: Toolchain,
  sources: readonly Source[],
): Promise<void> {
  const work = await makeWorkDirectory(directory);
  try {
    const images = join(work, 'images');
    await mkdir(images);
    const shared = await compileAll(root, toolchain, sources, work);
    for (const guest of GUESTS) {
      const main = await compileAll(root, toolchain, [mainOf(guest)], work);
      await gcc(root, [...LINK, '-o', imageIn(images, guest), ...main, ...shared]);
    }
    await rename(images, directory).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error; // another build was first
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** The object files, in the order of the sources. */
async function compileAll(
  root: string,
  toolchain: Toolchain,
  sources: readonly Source[],
  work: string,
): Promise<string[]> {
  const include = join(toolchain.sodium, 'include');
  const headers = [
    ...['-isystem', toolchain.headers, '-isystem', 'guests/sdk/libc', '-I', 'guests/sdk'],
    ...['-isystem', include, '-isystem', join(include, 'sodium')],
  ];
  // Settled, not raced: what still runs after a failure would write into the directory that is being removed.
  const compiled = await Promise.allSettled(
    sources.map(async ({ path, flags }) => {
      const object = join(work, `${path.replaceAll('/', '_')}.o`);
      await gcc(root, [...COMPILE, ...flags, ...headers, '-c', path, '-o', object]);
      return object;
    }),
  );
  return compiled.map((outcome) => {
    if (outcome.status === 'rejected') throw outcome.reason;
    return outcome.value;
  });
}

async function makeWorkDirectory(directory: string): Promise<string> {
  try {
    await mkdir(dirname(directory), { recursive: true });
    return await mkdtemp(`${directory}.`);
  } catch (cause) {
    const message = `guest images are kept in ${dirname(directory)}, which cannot be written; make it writable`;
    throw new GuestBuildError('GUEST_OUTPUT', message, { cause });
  }
}

async function gcc(root: string, flags: string[]): Promise<void> {
  try {
    await run('gcc', flags, { cwd: root });
  } catch (cause) {
    // execFile's errors carry what the command printed.
    const output = (cause as { stderr?: string }).stderr ?? String(cause);
    if (/sorry, unimplemented|not supported|unrecognized|i386 architecture/.test(output)) {
      const message = `gcc cannot make 32-bit x86 code here; install an x86 gcc\n${output}`;
      throw new GuestBuildError('GUEST_COMPILER_32BIT', message, { cause });
    }
    throw new GuestBuildError('GUEST_COMPILE', `a guest does not compile\n${output}`, { cause });
  }
}
