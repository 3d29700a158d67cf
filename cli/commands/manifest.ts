/** `nexus manifest`: sign and read the manifests of trusted partitions. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import { writeFileAtomic } from '../../nexus/host/index.ts';
import { MANIFEST_NAME, parseManifest, signManifest } from '../../nexus/launch/index.ts';
import { loadMultiboot, MultibootError } from '../../vmm/index.ts';
import { UsageError } from '../errors.ts';
import { conclude, examples, withJson } from '../output.ts';
import { makeSigningKey, readSigningKey } from '../signing-key.ts';

interface SignOptions {
  readonly json?: boolean;
  readonly image: string;
  readonly name: string;
  readonly svn: number;
  readonly memory: number;
  readonly commandLine: string;
  readonly debug?: boolean;
  readonly key: string;
  readonly out: string;
}

export function manifestCommand(): Command {
  return new Command('manifest')
    .description('sign and read manifests of trusted partitions')
    .addHelpText(
      'after',
      examples(
        ['nexus manifest key -o signer.pem', 'make a signer, then sign with it'],
        ['nexus manifest show vault.manifest', 'what a manifest claims, and who signed it'],
      ),
    )
    .addCommand(signCommand())
    .addCommand(showCommand())
    .addCommand(keyCommand());
}

function signCommand(): Command {
  return withJson(new Command('sign').description('sign the manifest of an image'))
    .requiredOption('--image <file>', 'the multiboot image')
    .requiredOption('--name <name>', 'name of the code')
    .requiredOption('--key <pem>', 'EC P-256 private key of the signer')
    .requiredOption('-o, --out <file>', 'where the manifest goes')
    .addOption(new Option('--svn <n>', 'security version number').default(0).argParser(wholeNumber))
    .addOption(new Option('--memory <MiB>', 'memory of the partition in MiB').default(16).argParser(wholeNumber))
    .addOption(new Option('--command-line <text>', 'command line of the image').default(''))
    .addOption(new Option('--debug', 'the partition may be inspected; verifiers refuse it by default'))
    .addHelpText(
      'after',
      examples(
        ['nexus manifest key -o signer.pem', 'make a signer'],
        ['nexus manifest sign --image vault.elf --name vault --svn 1 --key signer.pem -o vault.manifest', 'sign'],
      ),
    )
    .action((options: SignOptions) =>
      conclude(options.json ?? false, async () => {
        if (!MANIFEST_NAME.test(options.name)) {
          throw new UsageError(
            'E_USAGE_NAME',
            `--name ${options.name} is not a name.`,
            'Give a lower-case letter, then letters, digits or hyphens, at most 31.',
          );
        }
        const file = readFileSync(options.image);
        const memory = options.memory * 2 ** 20;
        checkImage(options.image, file, options.commandLine, memory);
        const claims = {
          name: options.name,
          svn: options.svn,
          debug: options.debug ?? false,
          image: createHash('sha256').update(file).digest(),
          commandLine: options.commandLine,
          memory,
        };
        const bytes = signManifest(claims, readSigningKey(options.key, 'nexus manifest key'));
        const { signer } = parseManifest(bytes); // what was written is what will be read
        writeFileAtomic(options.out, bytes);
        const hex = Buffer.from(signer).toString('hex');
        return { json: { manifest: options.out, signer: hex }, text: `${options.out}: signed by ${hex}` };
      }),
    );
}

function showCommand(): Command {
  return withJson(new Command('show').description('print a manifest after verifying its signature'))
    .argument('<manifest>')
    .addHelpText('after', examples(['nexus manifest show vault.manifest --json', 'its claims and signer']))
    .action((file: string, options: { json?: boolean }) =>
      conclude(options.json ?? false, async () => {
        const { payload: _, image, signer, ...claims } = parseManifest(readFileSync(file));
        const json = {
          ...claims,
          image: Buffer.from(image).toString('hex'),
          signer: Buffer.from(signer).toString('hex'),
        };
        const lines = Object.entries(json).map(([key, value]) => `${key.padEnd(12)} ${value}`);
        return { json, text: lines.join('\n') };
      }),
    );
}

function keyCommand(): Command {
  return withJson(new Command('key').description('make a signer: an EC P-256 private key, mode 0600'))
    .requiredOption('-o, --out <file>', 'where the key goes; an existing file is not overwritten')
    .addHelpText('after', examples(['nexus manifest key -o signer.pem', 'keep it: the signer is its identity']))
    .action((options: { json?: boolean; out: string }) =>
      conclude(options.json ?? false, async () => {
        makeSigningKey(options.out);
        return { json: { key: options.out }, text: `${options.out}: a new signer` };
      }),
    );
}

/** What a launch would refuse is refused before it is signed. */
function checkImage(name: string, image: Uint8Array, commandLine: string, memory: number): void {
  try {
    loadMultiboot(image, commandLine, memory);
  } catch (error) {
    if (!(error instanceof MultibootError)) throw error;
    const hint = 'give a multiboot image, or more --memory: docs/guests.md shows how to build one';
    throw new UsageError('E_IMAGE', `${name} would not start: ${error.message}`, hint);
  }
}

function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('expected a whole number');
  return Number(text);
}
