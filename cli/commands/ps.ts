/** `nexus ps`: the partitions of a running host. */
import { Command, Option } from 'commander';
import { askHost, type PartitionStatus } from '../../nexus/host/index.ts';
import { conclude, examples, table, withJson } from '../output.ts';

export function psCommand(): Command {
  return withJson(new Command('ps').description('list the partitions of a running host'))
    .addOption(new Option('--state <dir>', 'state directory of the host').default('./state'))
    .addHelpText('after', examples(['nexus ps --state ./state', 'names, kinds, states, code identities']))
    .action((options: { json?: boolean; state: string }) =>
      conclude(options.json ?? false, async () => {
        const partitions = (await askHost(options.state, 'partitions')) as readonly PartitionStatus[];
        const rows = partitions.map((p) => [
          p.name,
          p.type,
          p.state,
          `${p.memoryBytes / 2 ** 20} MiB`,
          String(p.hypercalls),
          p.codeIdentity?.slice(0, 16) ?? '-',
        ]);
        return {
          json: partitions,
          text: table(['NAME', 'KIND', 'STATE', 'MEMORY', 'CALLS', 'IDENTITY'], rows),
        };
      }),
    );
}
