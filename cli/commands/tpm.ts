/** `nexus tpm`: serve a TPM 2.0, manufacture one, move its state, list what it can do. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import { manufacture, placeName } from '../../tpm/index.ts';
import { UsageError } from '../errors.ts';
import { conclude, examples, type Outcome, table, withJson } from '../output.ts';
import {
  authorityDirectory,
  type HomeFlags,
  keySource,
  openHome,
  openStore,
  translated,
  withHome,
  withKey,
} from '../tpm/home.ts';
import { type Listening, type ServeFlags, serve } from '../tpm/serve.ts';
import { SWTPM_CAPABILITIES, swtpmRequest } from '../tpm/swtpm-options.ts';

export function tpmCommand(): Command {
  return new Command('tpm')
    .description('a TPM 2.0 that speaks swtpm’s and the Microsoft simulator’s protocols')
    .addHelpText(
      'after',
      examples(
        ['nexus tpm serve', 'in memory on port 2321, for TPM2TOOLS_TCTI=swtpm:port=2321'],
        ['nexus tpm manufacture ./tpm', 'a new TPM on disk with endorsement certificates'],
        ['nexus tpm serve --state ./tpm --qemu /tmp/tpm.sock', 'for QEMU’s -tpmdev emulator'],
      ),
    )
    .addCommand(serveCommand().exitOverride())
    .addCommand(swtpmCommand().exitOverride())
    .addCommand(manufactureCommand().exitOverride())
    .addCommand(exportCommand().exitOverride())
    .addCommand(importCommand().exitOverride())
    .addCommand(commandsCommand().exitOverride());
}

function serveCommand(): Command {
  return withJson(
    withHome(new Command('serve').description('serve a TPM until it is told to end (Ctrl-C, CMD_SHUTDOWN)')),
  )
    .option('--swtpm <port>', 'swtpm’s data channel here, its control channel at the next port', portOf)
    .option('--mssim <port>', 'the simulator’s command port here, its platform port at the next one', portOf)
    .option('--qemu <path>', 'a control channel on a Unix socket, for -tpmdev emulator')
    .option('--data <path>', 'a data channel on a Unix socket; tpm2-tss wants --qemu PATH.ctrl beside it')
    .option('--host <address>', 'address of the ports; whoever reaches them owns the TPM', '127.0.0.1')
    .addOption(
      new Option('--startup <type>', 'send TPM2_Startup when it is powered on')
        .choices(['none', 'clear', 'state'])
        .default('none'),
    )
    .option('--off', 'begin without power: a client powers it on (CMD_INIT, POWER_ON)', false)
    .option('--terminate', 'end when the last connection does', false)
    .option('--daemon', 'go on in the background; this command ends when every channel stands', false)
    .option('--pid-file <file>', 'write the process’s number there while it listens')
    .option('--log-file <file>', 'write messages there instead of on standard error')
    .option('--no-auto-shutdown', 'do not send TPM2_Shutdown before a stop that a client asks for')
    .addHelpText(
      'after',
      examples(
        ['nexus tpm serve --swtpm 2321', 'the same as no option at all'],
        ['nexus tpm serve --startup clear --json', 'for scripts: a line of JSON when it listens, one when it ends'],
        ['nexus tpm serve --mssim 2321 --state ./tpm', 'for TPM2TOOLS_TCTI=mssim:port=2321'],
        ['nexus tpm serve --qemu /tmp/tpm.sock --terminate', 'ends with the virtual machine'],
        ['nexus tpm serve --daemon --pid-file tpm.pid', 'in CI; end it with kill "$(cat tpm.pid)"'],
        ['nexus tpm serve --durability process', 'faster NV writes; a power cut may lose the last ones'],
      ),
    )
    .action((flags: ServeFlags) => runServe(flags));
}

function runServe(flags: ServeFlags): Promise<void> {
  const json = flags.json ?? false;
  return conclude(json, () =>
    serve(flags, ({ places }) => {
      process.stdout.write(json ? `${JSON.stringify({ listening: places })}\n` : listing(places));
    }),
  );
}

function listing(places: Listening['places']): string {
  return places
    .map(({ channel, at, hint }) => `${channel} channel at ${placeName(at)}${hint ? `   ${hint}` : ''}\n`)
    .join('');
}

/** The words after `swtpm` are swtpm's own, `--help` included. */
function swtpmCommand(): Command {
  const command = new Command('swtpm')
    .description('serve a TPM as the command line of swtpm asks, for scripts that start swtpm')
    .argument('[words...]', 'what swtpm was to be called with')
    .allowUnknownOption()
    .helpOption(false)
    .addHelpText(
      'after',
      examples(
        ['nexus tpm swtpm socket --tpm2 --server port=2321 --ctrl type=tcp,port=2322', 'as swtpm would'],
        ['ln -s "$(command -v nexus)" ~/bin/swtpm', 'a program of that name, for scripts that look for one'],
      ),
    );
  return command.action(async (words: string[]) => {
    await conclude(false, async () => {
      const request = swtpmRequest(words, process.env);
      if (request.kind === 'serve') return serve(request.flags, () => {});
      if (request.kind === 'capabilities')
        return { json: SWTPM_CAPABILITIES, text: JSON.stringify(SWTPM_CAPABILITIES) };
      if (request.kind === 'states') {
        const states = existsSync(request.state) ? [{ name: 'permall' }] : [];
        return { json: {}, text: JSON.stringify({ type: 'swtpm', states }) };
      }
      if (request.kind === 'help') return { json: {}, text: command.helpInformation().trimEnd() };
      return { json: {}, text: 'TPM emulator version 0.7.1, as served by nexus' };
    });
  });
}

function manufactureCommand(): Command {
  return withJson(
    withHome(new Command('manufacture').description('make a new TPM with endorsement keys and certificates'), false),
  )
    .argument('<dir>', 'state directory, new or empty')
    .option('--ca <dir>', 'certificate authority, made if absent (default: DIR/ca)')
    .option('--platform-manufacturer <name>', 'in the platform certificate', 'nexus-tcb')
    .option('--platform-model <name>', 'in the platform certificate', 'nexus')
    .option('--platform-version <name>', 'in the platform certificate', '1')
    .addHelpText(
      'after',
      examples(
        ['nexus tpm manufacture ./tpm', 'then: nexus tpm serve --state ./tpm'],
        ['nexus tpm manufacture ./tpm-2 --ca ./ca', 'many TPMs, one authority'],
      ),
    )
    .action((directory: string, flags: ManufactureFlags) =>
      conclude(flags.json ?? false, () => runManufacture(directory, flags)),
    );
}

interface ManufactureFlags extends HomeFlags {
  readonly ca?: string;
  readonly platformManufacturer: string;
  readonly platformModel: string;
  readonly platformVersion: string;
  readonly json?: boolean;
}

async function runManufacture(directory: string, flags: ManufactureFlags): Promise<Outcome> {
  const home = await openHome({ ...flags, state: directory });
  try {
    home.board.powerOn();
    const made = await manufacture(home.transport, {
      authority: await authorityDirectory(flags.ca, directory),
      deviceIdentity: true,
      platform: {
        manufacturer: flags.platformManufacturer,
        model: flags.platformModel,
        version: flags.platformVersion,
      },
    });
    const certificates = made.certificates.map(({ kind, nvIndex, der }) => ({
      kind,
      nvIndex: `0x${nvIndex.toString(16).padStart(8, '0')}`,
      size: der.length,
    }));
    const rows = certificates.map(({ kind, nvIndex, size }) => [kind, nvIndex, `${size} bytes`]);
    return { json: { identity: made.identity, certificates }, text: table(['certificate', 'NV index', 'size'], rows) };
  } finally {
    await home.close();
  }
}

/** Options for the key of an exported file. */
function withExportKey(command: Command, keyFile: string): Command {
  return command
    .option('--export-key-file <file>', keyFile)
    .option('--export-passphrase-file <file>', 'the exported file’s passphrase, in this file');
}

interface PortFlags extends HomeFlags {
  readonly exportKeyFile?: string;
  readonly exportPassphraseFile?: string;
  readonly replace?: boolean;
  readonly json?: boolean;
}

function exportKey({ exportKeyFile: keyFile, exportPassphraseFile: passphraseFile }: PortFlags) {
  const source = keySource({ ...(keyFile ? { keyFile } : {}), ...(passphraseFile ? { passphraseFile } : {}) });
  if (source) return source;
  throw new UsageError(
    'E_USAGE_KEY',
    'an exported file needs a key of its own',
    'give --export-passphrase-file or --export-key-file',
  );
}

function exportCommand(): Command {
  return withJson(
    withExportKey(
      withKey(new Command('export').description('write a TPM’s state into one encrypted file')),
      'the exported file’s key, made if absent',
    ),
  )
    .argument('<dir>', 'state directory; no server may hold it')
    .argument('<file>', 'the file, new, of mode 0600')
    .addHelpText(
      'after',
      examples(['nexus tpm export ./tpm tpm.state --export-passphrase-file p', 'a backup, or to move it']),
    )
    .action((directory: string, file: string, flags: PortFlags) =>
      conclude(flags.json ?? false, async () => {
        if (!existsSync(directory)) {
          throw new UsageError('E_STATE_ABSENT', `there is no ${directory}`, 'name the state directory of a TPM');
        }
        const store = await openStore(directory, { ...flags, durability: 'power' });
        try {
          const bytes = store.export(exportKey(flags));
          writeFileSync(file, bytes, { mode: 0o600, flag: 'wx' });
          return { json: { file, bytes: bytes.length }, text: `${file}: ${bytes.length} bytes` };
        } finally {
          await store.close();
        }
      }),
    );
}

function importCommand(): Command {
  return withJson(
    withExportKey(
      withKey(new Command('import').description('make a TPM from an exported file')),
      'the exported file’s key',
    ),
  )
    .argument('<file>', 'what `nexus tpm export` wrote')
    .argument('<dir>', 'state directory, new or empty')
    .option('--replace', 'replace the TPM that is in the directory', false)
    .addHelpText(
      'after',
      examples(['nexus tpm import tpm.state ./tpm-2 --export-passphrase-file p', 'all of it or nothing']),
    )
    .action((file: string, directory: string, flags: PortFlags) =>
      conclude(flags.json ?? false, async () => {
        const bytes = new Uint8Array(readFileSync(file));
        const key = exportKey(flags);
        const isNew = !existsSync(directory);
        const store = await openStore(directory, { ...flags, durability: 'power' });
        let restored = false;
        try {
          if (![...store.keys('')].every(() => flags.replace)) {
            throw new UsageError(
              'E_STATE_EXISTS',
              `${directory} holds a TPM already`,
              'name a new directory, or give --replace',
            );
          }
          await translated(() => store.import(bytes, key));
          restored = true;
          return { json: { directory, bytes: bytes.length }, text: `${directory}: restored` };
        } finally {
          await store.close();
          if (isNew && !restored) rmSync(directory, { recursive: true });
        }
      }),
    );
}

function commandsCommand(): Command {
  return withJson(new Command('commands').description('list every TPM command that is implemented'))
    .addHelpText('after', examples(['nexus tpm commands --json', 'names, codes and handles for a script']))
    .action((flags: { json?: boolean }) =>
      conclude(flags.json ?? false, async () => {
        const { allCommands } = await import('../../tpm/commands/index.ts');
        const commands = [...allCommands]
          .map(({ name, code, handleList, authCount }) => ({
            name: `TPM2_${name}`,
            code: `0x${code.toString(16)}`,
            handles: handleList.map(({ name: handle }) => handle),
            authorizations: authCount,
          }))
          .sort((a, b) => a.name.localeCompare(b.name));
        const rows = commands.map(({ name, code, handles }) => [name, code, handles.join(', ')]);
        return { json: commands, text: table(['command', 'code', 'handles'], rows) };
      }),
    );
}

function portOf(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port > 0 && port < 65535) return port;
  throw new InvalidArgumentError('Give a port from 1 to 65534.');
}
