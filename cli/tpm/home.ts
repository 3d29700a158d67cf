/** Opening a TPM for the command line: in memory or in a state directory, with the board around it. */
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import {
  authorityIn,
  Board,
  type CertificateAuthority,
  FileStore,
  fileVolatileStore,
  type KeySource,
  localTransport,
  PROFILES,
  type Profile,
  StoreError,
  Tpm,
  type TpmTransport,
} from '../../tpm/index.ts';
import { UsageError } from '../errors.ts';

/** Where a key comes from. */
export interface KeyFlags {
  readonly keyFile?: string;
  readonly passphraseFile?: string;
}

export interface HomeFlags extends KeyFlags {
  readonly state?: string;
  readonly durability: 'power' | 'process';
  readonly profile: string;
  readonly slots?: number;
  readonly autoShutdown?: boolean;
}

/** A TPM that this process owns. */
export interface Home {
  readonly tpm: Tpm;
  readonly board: Board;
  readonly transport: TpmTransport;
  /** Absent in memory. */
  readonly store: FileStore | undefined;
  /** The state was empty: the TPM was made just now. */
  readonly isNew: boolean;
  close(): Promise<void>;
}

/** Add the options that say where the TPM lives and what it is. */
export function withHome(command: Command, stateOption = true): Command {
  if (stateOption)
    command.option('--state <dir>', 'keep the state in this directory, made if absent (default: in memory)');
  return withKey(command)
    .addOption(
      new Option('--durability <of>', 'what acknowledged changes survive: loss of power, or the end of the process')
        .choices(['power', 'process'])
        .default('power'),
    )
    .option('--profile <name>', `${Object.keys(PROFILES).join(', ')}, or a JSON file`, 'pc-client')
    .option('--slots <n>', 'object and session slots, for clients without a resource manager', slotsOf);
}

/** Add the options that say where the state's key comes from. */
export function withKey(command: Command): Command {
  return command
    .option('--key-file <file>', 'the state’s key, made if absent (default: DIR/key)')
    .option('--passphrase-file <file>', 'the state’s passphrase, in this file');
}

export async function openHome(flags: HomeFlags): Promise<Home> {
  if (flags.state === undefined && (flags.keyFile ?? flags.passphraseFile) !== undefined) {
    throw new UsageError('E_USAGE_KEY', 'a TPM in memory has no key', 'name its directory with --state');
  }
  const store = flags.state === undefined ? undefined : await openStore(flags.state, flags);
  const isNew = store === undefined || [...store.keys('')].length === 0;
  const tpm = await Tpm.create({
    ...(store ? { store } : {}),
    profile: profileOf(flags),
    onFault: (fault) => process.stderr.write(`nexus tpm: fault: ${fault instanceof Error ? fault.stack : fault}\n`),
  });
  const board = new Board(tpm, {
    ...(flags.state === undefined ? {} : { volatile: fileVolatileStore(join(flags.state, 'volatile')) }),
    autoShutdown: flags.autoShutdown ?? true,
    info: tpm.info,
  });
  return {
    tpm,
    board,
    transport: localTransport(board),
    store,
    isNew,
    async close() {
      board.powerOff();
      await tpm.close();
    },
  };
}

/** Open a state directory, made if absent. */
export async function openStore(
  directory: string,
  flags: KeyFlags & { durability: HomeFlags['durability'] },
): Promise<FileStore> {
  const key = keySource(flags);
  return translated(() => FileStore.open({ directory, durability: flags.durability, ...(key ? { key } : {}) }));
}

/** Where the key of a state comes from; undefined: a key file beside the state. */
export function keySource({ keyFile, passphraseFile }: KeyFlags): KeySource | undefined {
  if (keyFile !== undefined && passphraseFile !== undefined) {
    throw new UsageError('E_USAGE_KEY', 'a key file and a passphrase file were given', 'give one of them');
  }
  if (keyFile !== undefined) return { file: keyFile };
  if (passphraseFile !== undefined) {
    const passphrase = readFileSync(passphraseFile, 'utf8').trimEnd();
    if (passphrase !== '') return { passphrase };
    throw new UsageError('E_USAGE_KEY', `${passphraseFile} holds no passphrase`, 'write one into it, on one line');
  }
  return undefined;
}

const STORE_REMEDIES: Readonly<Record<StoreError['code'], string>> = {
  LOCKED: 'stop the process that holds it, or name another directory',
  SYMLINK: 'replace the link by what it points at',
  PERMISSION: 'make it its owner’s alone: chmod 0700 the directory, 0600 the files',
  WRONG_KEY: 'give the key file or passphrase that it was made with',
  NO_KEY: 'restore the key file',
  CORRUPT: 'restore an export or a backup; nothing was changed',
  VERSION: 'use the version of nexus that wrote it, or a newer one',
  IO: 'check the disk',
  CLOSED: 'open it again',
};

/** The store's refusals in the command line's terms. */
export async function translated<T>(body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    throw new UsageError(`E_STORE_${error.code}`, error.message, STORE_REMEDIES[error.code]);
  }
}

/** The authority of a TPM's certificates: in a directory of its own, or beside the state. */
export async function authorityDirectory(ca: string | undefined, state: string): Promise<CertificateAuthority> {
  const directory = ca ?? join(state, 'ca');
  await mkdir(directory, { recursive: true, mode: 0o700 });
  return authorityIn(directory);
}

function profileOf(flags: HomeFlags): Profile {
  const named = Object.entries(PROFILES).find(([name]) => name === flags.profile)?.[1];
  const base: Profile = named ?? profileFile(flags.profile);
  if (flags.slots === undefined) return base;
  return { ...base, transientSlots: flags.slots, loadedSessions: flags.slots };
}

/** A profile in JSON: a base by name, and what differs. */
function profileFile(path: string): Profile {
  const wrong = (why: string) =>
    new UsageError(
      'E_USAGE_PROFILE',
      `profile ${path}: ${why}`,
      `name ${Object.keys(PROFILES).join(', ')}, or a file like {"base": "pc-client", "transientSlots": 8}`,
    );
  let read: Record<string, unknown>;
  try {
    read = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  } catch (error) {
    throw wrong(error instanceof Error ? error.message : String(error));
  }
  const { base = 'pc-client', disabledAlgorithms, ...rest } = read;
  const from = Object.entries(PROFILES).find(([name]) => name === base)?.[1];
  if (!from) throw wrong(`no base profile ${String(base)}`);
  for (const [key, value] of Object.entries(rest)) {
    const model = (from as unknown as Record<string, unknown>)[key]; // looked up to compare its type
    const fits =
      typeof model === typeof value &&
      Array.isArray(model) === Array.isArray(value) &&
      (!Array.isArray(value) || value.every((item) => typeof item === 'number'));
    if (!fits) throw wrong(`${key} is not a field of a profile, or not of its type`);
  }
  const disabled = Array.isArray(disabledAlgorithms)
    ? new Set(disabledAlgorithms.filter((item): item is number => typeof item === 'number'))
    : from.disabledAlgorithms;
  return { ...from, ...rest, disabledAlgorithms: disabled };
}

function slotsOf(text: string): number {
  const slots = Number(text);
  if (Number.isInteger(slots) && slots >= 3 && slots <= 64) return slots;
  throw new InvalidArgumentError('Give a number from 3 to 64.');
}
