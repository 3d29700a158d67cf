#!/usr/bin/env node
/** The `nexus` command. One file per subcommand in `commands/`; this file only lists them. */
import { basename } from 'node:path';
import { Command, CommanderError } from 'commander';
import { EXIT, exitCodeOf, reportError, UsageError } from './errors.ts';
import { examples } from './output.ts';

const program = new Command('nexus')
  .description('A secure-partition trusted computing base: measured launch, trusted partitions, sealing, attestation.')
  // A part of a command has options of its own, whatever the command's are called.
  .enablePositionalOptions()
  .addHelpText(
    'after',
    examples(
      ['nexus demo', 'boot a platform, run a trusted partition, attest, seal, and refuse tampering'],
      ['nexus up host.yaml', 'start a host from its description; Ctrl-C stops it'],
      ['nexus tpm serve --help', 'a TPM 2.0 for tests, QEMU and CI'],
    ),
  );

/** Loaded when asked for: a command should not wait for the packages of the others. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  demo: async () => (await import('./commands/demo.ts')).demoCommand(),
  up: async () => (await import('./commands/up.ts')).upCommand(),
  ps: async () => (await import('./commands/ps.ts')).psCommand(),
  restart: async () => (await import('./commands/restart.ts')).restartCommand(),
  snapshot: async () => (await import('./commands/snapshot.ts')).snapshotCommand(),
  console: async () => (await import('./commands/console.ts')).consoleCommand(),
  attest: async () => (await import('./commands/attest.ts')).attestCommand(),
  verify: async () => (await import('./commands/verify.ts')).verifyCommand(),
  seal: async () => (await import('./commands/seal.ts')).sealCommand(),
  unseal: async () => (await import('./commands/seal.ts')).unsealCommand(),
  manifest: async () => (await import('./commands/manifest.ts')).manifestCommand(),
  release: async () => (await import('./commands/release.ts')).releaseCommand(),
  tpm: async () => (await import('./commands/tpm.ts')).tpmCommand(),
  policy: async () => (await import('./commands/policy.ts')).policyCommand(),
  verifier: async () => (await import('./commands/verifier.ts')).verifierCommand(),
  agent: async () => (await import('./commands/agent.ts')).agentCommand(),
  guest: async () => (await import('./commands/guest.ts')).guestCommand(),
  engines: async () => (await import('./commands/engines.ts')).enginesCommand(),
  version: async () => (await import('./commands/version.ts')).versionCommand(),
};

const commandNamed = (name = '') => (Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined);
/** `nexus help up` is `nexus up --help`; a name that is none is reported as everywhere. */
const helpOf = (name: string): string[] => (commandNamed(name) ? [name, '--help'] : [name]);

const json = process.argv.includes('--json');

/** Mistakes in a command or in its parts are reported as every other error, and end in this file. */
function overrideExits(command: Command, path = 'nexus'): Command {
  for (const part of command.commands) overrideExits(part, `${path} ${part.name()}`);
  const outputError = (text: string) =>
    reportError(new UsageError('E_USAGE', text.replace(/^error: /, '').trimEnd(), `${path} --help`), json);
  return command.configureOutput({ outputError }).exitOverride();
}

/** Who reads may have enough: `nexus ... | head`. What cannot be written otherwise is an error as any other. */
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(process.exitCode ?? EXIT.OK);
    if (stream === process.stdout) reportError(error, false);
    process.exit(exitCodeOf(error));
  });
}

const [node = '', self = '', ...words] = process.argv;
if (words[0] === '--version' || words[0] === '-V') words[0] = 'version';
if (words[0] === 'help' && words.length > 1) words.splice(0, 2, ...helpOf(words[1] ?? ''));
/** Called by the name swtpm (a link), it is `nexus tpm swtpm`. */
const argv = [node, self, ...(basename(self) === 'swtpm' ? ['tpm', 'swtpm'] : []), ...words];

const asked = commandNamed(argv[2]);
for (const load of asked ? [asked] : Object.values(COMMANDS)) program.addCommand(await load());
overrideExits(program);

try {
  await program.parseAsync(argv);
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? EXIT.OK : EXIT.USAGE;
  } else {
    reportError(error, json);
    process.exitCode = exitCodeOf(error);
  }
}
