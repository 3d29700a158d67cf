/** `nexus seal` and `nexus unseal`: files that open on this platform under this nexus only. */
import { Command, Option } from 'commander';
import { writeFileAtomic } from '../../nexus/host/index.ts';
import { SEAL_DATA_MAX, SEALED_BLOB_MAX } from '../../nexus/services/index.ts';
import { readAtMost } from '../arguments.ts';
import { conclude, examples, withJson } from '../output.ts';
import { ask } from '../platform.ts';

interface Options {
  readonly json?: boolean;
  readonly state: string;
  readonly out: string;
}

const stateOption = () => new Option('--state <dir>', 'state directory of the platform').default('./state');

export function sealCommand(): Command {
  return transform('seal', 'seal a file to this platform and this build of the nexus', 'data', [
    ['nexus seal token.txt -o token.sealed --state ./state', 'opens with `nexus unseal` on this platform only'],
  ]);
}

export function unsealCommand(): Command {
  return transform('unseal', 'open a file that `nexus seal` made here', 'blob', [
    [
      'nexus unseal token.sealed -o token.txt --state ./state',
      'refused to a build that is no release for this platform',
    ],
  ]);
}

const TOO_LARGE = {
  seal: 'seal a key, and encrypt the file with it',
  unseal: 'this is no file that `nexus seal` made',
} as const;

function transform(
  method: 'seal' | 'unseal',
  description: string,
  parameter: 'data' | 'blob',
  help: readonly (readonly [string, string])[],
): Command {
  return withJson(new Command(method).description(description))
    .argument('<file>')
    .requiredOption('-o, --out <file>', 'where the result goes, mode 0600')
    .addOption(stateOption())
    .addHelpText('after', examples(...help))
    .action((file: string, options: Options) =>
      conclude(options.json ?? false, async () => {
        const most = method === 'seal' ? SEAL_DATA_MAX : SEALED_BLOB_MAX;
        const input = readAtMost(file, most, TOO_LARGE[method]).toString('hex');
        const result = (await ask(options.state, method, { [parameter]: input })) as string;
        const bytes = Buffer.from(result, 'hex');
        writeFileAtomic(options.out, bytes);
        return { json: { file: options.out, bytes: bytes.length }, text: `${options.out}: ${bytes.length} bytes` };
      }),
    );
}
