/** `nexus verifier corim`: provision a running verifier with reference values in CoRIM, and take them back. */
import { createPublicKey, X509Certificate } from 'node:crypto';
import fs from 'node:fs';
import { Command, Option } from 'commander';
import { type EndorsementReply, VerifierClient } from '../../attestation/index.ts';
import { collect, httpUrl, readAtMost } from '../arguments.ts';
import { UsageError } from '../errors.ts';
import { conclude, examples, type Outcome, table, withJson } from '../output.ts';

interface Flags {
  readonly verifier: string;
  readonly token: string;
  readonly json?: boolean;
}

/** Of one document, as the verifier has it. */
const MAX_CORIM = 2 ** 20;
const SHOWN = 12;
const PREFIX = /^[0-9a-f]{8,64}$/;

/** Where `nexus verifier serve` puts things when it is told nothing. */
function withService(command: Command): Command {
  return withJson(command)
    .addOption(new Option('--verifier <url>', 'the verifier').env('NEXUS_VERIFIER').default('http://127.0.0.1:8080'))
    .addOption(new Option('--token <file>', 'file with an API token').default('.nexus/verifier/admin.token'));
}

const withClient = (flags: Flags, use: (client: VerifierClient) => Promise<Outcome>): Promise<void> =>
  conclude(flags.json ?? false, () => {
    const token = fs.readFileSync(flags.token, 'utf8').trim();
    return use(new VerifierClient(httpUrl('--verifier', flags.verifier), { token }));
  });

function rows(endorsements: readonly EndorsementReply[]): string {
  return table(
    ['ID', 'STATE', 'ENDORSER', 'CORIM', 'TAGS', 'UNTIL'],
    endorsements.map(({ id, state, endorser, corim, tags, notAfter }) => [
      id.slice(0, SHOWN),
      state,
      endorser ?? '(unsigned)',
      corim,
      tags.map((tag) => `${tag.id}/${tag.version}`).join(' '),
      notAfter ?? '',
    ]),
  );
}

/** The whole id that a prefix stands for. Throws `UsageError`. */
async function identified(client: VerifierClient, text: string): Promise<string> {
  const wayOut = 'List them: nexus verifier corim list.';
  if (!PREFIX.test(text)) {
    throw new UsageError('E_USAGE_ID', `${text} is not the id of a CoRIM, or its first 8 digits or more.`, wayOut);
  }
  const [found, ...more] = (await client.endorsements()).filter(({ id }) => id.startsWith(text));
  if (found !== undefined && more.length === 0) return found.id;
  throw new UsageError('E_USAGE_ID', `${more.length === 0 ? 'No' : 'More than one'} CoRIM has the id ${text}.`, wayOut);
}

function provisionCommand(): Command {
  return withService(new Command('provision').description('send CoRIM to the verifier, as they stand'))
    .argument('<file...>', 'CoRIM: signed by an endorser that the verifier knows, or unsigned')
    .option('--profile <uri>', 'what they must be of')
    .action((files: string[], flags: Flags & { profile?: string }) =>
      withClient(flags, async (client) => {
        const sent: EndorsementReply[] = [];
        for (const file of files) {
          const bytes = readAtMost(file, MAX_CORIM, 'A CoRIM has at most 1 MiB.');
          sent.push(await client.provision(bytes, flags.profile));
        }
        return { json: sent, text: rows(sent) };
      }),
    );
}

function listCommand(): Command {
  return withService(new Command('list').description('what was provisioned, and what counts of it now')).action(
    (flags: Flags) =>
      withClient(flags, async (client) => {
        const all = await client.endorsements();
        return { json: all, text: all.length === 0 ? 'nothing was provisioned' : rows(all) };
      }),
  );
}

function revokeCommand(): Command {
  return withService(new Command('revoke').description('revoke a CoRIM: machines that have its values are revoked'))
    .argument('<id>', 'its id, or the first digits of it')
    .requiredOption('--because <text>', 'why; machines with its values are told')
    .action((text: string, flags: Flags & { because: string }) =>
      withClient(flags, async (client) => {
        const id = await identified(client, text);
        await client.revokeEndorsement(id, flags.because);
        return { json: { revoked: id }, text: `revoked ${id.slice(0, SHOWN)}` };
      }),
    );
}

function removeCommand(): Command {
  return withService(new Command('remove').description('forget a CoRIM: it says nothing any more'))
    .argument('<id>', 'its id, or the first digits of it')
    .action((text: string, flags: Flags) =>
      withClient(flags, async (client) => {
        const id = await identified(client, text);
        await client.removeEndorsement(id);
        return { json: { removed: id }, text: `removed ${id.slice(0, SHOWN)}` };
      }),
    );
}

/** A file read as a key or a certificate, as base64 of DER. Throws `UsageError`. */
function der(option: string, file: string, read: (bytes: Buffer) => Buffer): string {
  const bytes = readAtMost(file, 2 ** 16, 'Give one key or certificate.');
  try {
    return read(bytes).toString('base64');
  } catch {
    const what = option === '--key' ? 'a public key' : 'a certificate';
    throw new UsageError('E_USAGE_KEY', `${option} ${file} is not ${what}.`, 'Give it as PEM, or as DER.');
  }
}

function publicKey(bytes: Buffer): Buffer {
  const key = bytes.includes('-----BEGIN')
    ? createPublicKey(bytes)
    : createPublicKey({ key: bytes, format: 'der', type: 'spki' });
  return key.export({ format: 'der', type: 'spki' });
}

function trustCommand(): Command {
  return withService(new Command('trust').description('register who may sign CoRIM, or change their keys'))
    .argument('<endorser>', 'a name for them, which reference values choose')
    .option('--key <file>', 'public key whose signatures count, PEM or DER; may be repeated', collect, [])
    .option('--anchor <file>', 'CA that the certificates in a CoRIM lead to; may be repeated', collect, [])
    .action((name: string, flags: Flags & { key: string[]; anchor: string[] }) =>
      withClient(flags, async (client) => {
        if (flags.key.length + flags.anchor.length === 0) {
          throw new UsageError('E_USAGE_KEY', `${name} has no key.`, 'Give --key or --anchor.');
        }
        const keys = flags.key.map((file) => der('--key', file, publicKey));
        const anchors = flags.anchor.map((file) => der('--anchor', file, (bytes) => new X509Certificate(bytes).raw));
        await client.putEndorser(name, { keys, anchors });
        return { json: { endorser: name, keys, anchors }, text: `trusted ${name}` };
      }),
    );
}

function distrustCommand(): Command {
  return withService(new Command('distrust').description('trust an endorser no longer: what it signed is revoked'))
    .argument('<endorser>', 'its name')
    .action((name: string, flags: Flags) =>
      withClient(flags, async (client) => {
        await client.removeEndorser(name);
        return { json: { distrusted: name }, text: `${name} is trusted no longer` };
      }),
    );
}

export function corimCommand(): Command {
  return new Command('corim')
    .description("manufacturers' reference values (CoRIM) in a running verifier")
    .addHelpText(
      'after',
      examples(
        ['nexus verifier corim trust acme --key acme.pem', 'who may sign'],
        ['nexus verifier corim provision firmware.corim', 'what they signed'],
        ['nexus verifier corim revoke 3f1c9a0b --because CVE-2026-0001', 'and that it is good no longer'],
      ),
    )
    .addCommand(provisionCommand())
    .addCommand(listCommand())
    .addCommand(revokeCommand())
    .addCommand(removeCommand())
    .addCommand(trustCommand())
    .addCommand(distrustCommand());
}
