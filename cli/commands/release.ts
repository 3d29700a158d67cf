/** `nexus release`: sign what a new build may open, and read it (docs/release.md). */
import { Command } from 'commander';
import { pcrOfThisBuild, writeFileAtomic } from '../../nexus/host/index.ts';
import {
  parseRelease,
  RELEASE_MAX,
  type Release,
  releaseKeyName,
  SVN_MAX,
  signRelease,
} from '../../nexus/launch/index.ts';
import { readAtMost, wholeNumber } from '../arguments.ts';
import { conclude, examples, type Outcome, withJson } from '../output.ts';
import { makeSigningKey, publicPem, readSigningKey } from '../signing-key.ts';

interface SignOptions {
  readonly json?: boolean;
  readonly key: string;
  readonly svn: string;
  readonly out: string;
}

export function releaseCommand(): Command {
  return new Command('release')
    .description('sign the releases that may open what older builds sealed')
    .addHelpText(
      'after',
      examples(
        ['nexus release key -o release-key.pem', 'once; host.yaml names the public half as `release-key`'],
        ['nexus release sign --key release-key.pem --svn 2 -o nexus.release', 'by the new build, where the key is'],
        ['nexus up host.yaml --release nexus.release', 'on each host, with the new build, once'],
      ),
    )
    .addCommand(signCommand())
    .addCommand(showCommand())
    .addCommand(keyCommand());
}

function signCommand(): Command {
  return withJson(new Command('sign').description('sign the build that runs this command as a release'))
    .requiredOption('--key <pem>', 'the release key: an EC P-256 private key')
    .requiredOption('--svn <n>', `security version, 0 to ${SVN_MAX}; hosts go back to no smaller one`)
    .requiredOption('-o, --out <file>', 'where the statement goes')
    .addHelpText(
      'after',
      examples(['nexus release sign --key release-key.pem --svn 2 -o nexus.release', 'the build and its version']),
    )
    .action((options: SignOptions) =>
      conclude(options.json ?? false, async () => {
        const svn = wholeNumber('--svn', options.svn, 0, SVN_MAX);
        const key = readSigningKey(options.key, 'nexus release key');
        const statement = signRelease({ svn, pcr17: pcrOfThisBuild() }, key);
        const release = parseRelease(statement); // what was written is what will be read
        writeFileAtomic(options.out, statement);
        return shown(release);
      }),
    );
}

function showCommand(): Command {
  return withJson(new Command('show').description('print a release statement after verifying its signature'))
    .argument('<file>')
    .addHelpText('after', examples(['nexus release show nexus.release', 'its build, version and signer']))
    .action((file: string, options: { json?: boolean }) =>
      conclude(options.json ?? false, async () => shown(parseRelease(readStatement(file)))),
    );
}

function keyCommand(): Command {
  return withJson(new Command('key').description('make a release key: an EC P-256 private key, mode 0600'))
    .requiredOption('-o, --out <file>', 'where the key goes, and with .pub its public half; nothing is overwritten')
    .addHelpText('after', examples(['nexus release key -o release-key.pem', 'keep it off every host: it opens them']))
    .action((options: { json?: boolean; out: string }) =>
      conclude(options.json ?? false, async () => {
        const publicKey = makeSigningKey(options.out);
        const file = `${options.out}.pub`;
        writeFileAtomic(file, publicPem(publicKey), { exclusive: true });
        const name = releaseKeyName(publicKey);
        const text = `${options.out}: a new release key, ${name}\n${file}: its public half, for host.yaml`;
        return { json: { key: options.out, public: file, name }, text };
      }),
    );
}

/** The bytes of a release statement. */
export const readStatement = (file: string): Uint8Array =>
  readAtMost(file, RELEASE_MAX, 'name a file that `nexus release sign` made');

function shown({ svn, pcr17, key }: Release): Outcome {
  const hex = Buffer.from(pcr17).toString('hex');
  const thisBuild = Buffer.from(pcrOfThisBuild()).equals(pcr17);
  const json = { svn, pcr17: hex, signer: releaseKeyName(key), thisBuild };
  const lines = Object.entries(json).map(([name, value]) => `${name.padEnd(10)} ${value}`);
  return { json, text: lines.join('\n') };
}
