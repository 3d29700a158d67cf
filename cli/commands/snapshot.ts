/** `nexus snapshot`: suspend a Linux guest of a running host to one sealed file, and continue it from there. */
import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import { askHost } from '../../nexus/host/index.ts';
import { conclude, examples, withJson } from '../output.ts';

interface Options {
  readonly json?: boolean;
  readonly state: string;
}

type Method = 'suspend' | 'restore' | 'discard';

export function snapshotCommand(): Command {
  return new Command('snapshot')
    .description('suspend a Linux guest with its TPM to one sealed file, and continue it')
    .addHelpText(
      'after',
      examples(
        ['nexus snapshot save web web.snapshot', 'suspend'],
        ['nexus snapshot restore web web.snapshot', 'continue'],
      ),
    )
    .addCommand(
      action('save', 'suspend', 'save a running guest to a new file; it ends, and waits to be restored')
        .argument('<name>', 'the partition')
        .argument('<file>', 'the file to make (docs/snapshot.md)')
        .addHelpText('after', examples(['nexus snapshot save web web.snapshot', 'good for one restoration'])),
    )
    .addCommand(
      action('restore', 'restore', 'continue a suspended guest from its newest file')
        .argument('<name>', 'the partition')
        .argument('<file>', 'the file that save made')
        .addHelpText('after', examples(['nexus snapshot restore web web.snapshot', 'older files are refused'])),
    )
    .addCommand(
      action('discard', 'discard', 'give the snapshot of a suspended guest up and boot it afresh')
        .argument('<name>', 'the partition')
        .addHelpText('after', examples(['nexus snapshot discard web', 'its file opens no more'])),
    );
}

function action(name: string, method: Method, description: string): Command {
  return withJson(new Command(name).description(description))
    .addOption(new Option('--state <dir>', 'state directory of the host').default('./state'))
    .action((...given: unknown[]) => {
      // Commander gives the arguments, the options and the command.
      const [partition, file] = given.filter((value): value is string => typeof value === 'string');
      const options = given.at(-2) as Options;
      return conclude(options.json ?? false, () => run(method, partition ?? '', file, options));
    });
}

const DONE: Readonly<Record<Method, string>> = { suspend: 'suspended', restore: 'restored', discard: 'booted afresh' };

async function run(method: Method, name: string, file: string | undefined, { state }: Options) {
  await askHost(state, method, { name, ...(file === undefined ? {} : { file: resolve(file) }) });
  const state_ = DONE[method];
  return {
    json: { name, state: state_, ...(file === undefined ? {} : { file }) },
    text: `${name}: ${state_}${file === undefined ? '' : ` (${file})`}`,
  };
}
