#!/usr/bin/env node
/** The `nexus` command. One file per subcommand in `commands/`; this file only lists them. */
import { Command, CommanderError } from 'commander';
import { attestCommand } from './commands/attest.ts';
import { consoleCommand } from './commands/console.ts';
import { demoCommand } from './commands/demo.ts';
import { enginesCommand } from './commands/engines.ts';
import { guestCommand } from './commands/guest.ts';
import { manifestCommand } from './commands/manifest.ts';
import { psCommand } from './commands/ps.ts';
import { sealCommand, unsealCommand } from './commands/seal.ts';
import { tpmCommand } from './commands/tpm.ts';
import { upCommand } from './commands/up.ts';
import { verifierCommand } from './commands/verifier.ts';
import { verifyCommand } from './commands/verify.ts';
import { versionCommand } from './commands/version.ts';
import { EXIT } from './errors.ts';
import { examples } from './output.ts';

const program = new Command('nexus')
  .description('A secure-partition trusted computing base: measured launch, trusted partitions, sealing, attestation.')
  .addHelpText(
    'after',
    examples(
      ['nexus demo', 'boot a platform, run a trusted partition, attest, seal, and refuse tampering'],
      ['nexus up host.yaml', 'start a host from its description; Ctrl-C stops it'],
      ['nexus tpm serve --help', 'a TPM 2.0 for tests, QEMU and CI'],
    ),
  )
  .showHelpAfterError('(nexus --help shows the commands)')
  .exitOverride();

const commands = [
  demoCommand(),
  upCommand(),
  psCommand(),
  consoleCommand(),
  attestCommand(),
  verifyCommand(),
  sealCommand(),
  unsealCommand(),
  manifestCommand(),
  tpmCommand(),
  verifierCommand(),
  guestCommand(),
  enginesCommand(),
  versionCommand(),
];
for (const command of commands) program.addCommand(command.exitOverride());

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? EXIT.OK : EXIT.USAGE;
}
