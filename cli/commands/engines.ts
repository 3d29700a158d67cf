/** `nexus engines`: what could run partitions on this machine, and why not. */
import { Command } from 'commander';
import { probeEngines } from '../../vmm/index.ts';
import { conclude, examples, table, withJson } from '../output.ts';

export function enginesCommand(): Command {
  return withJson(
    new Command('engines').description('list the engines that can run partitions here, the default first'),
  )
    .addHelpText('after', examples(['nexus engines', 'is KVM usable, and if not, why']))
    .action((options: { json?: boolean }) =>
      conclude(options.json ?? false, async () => {
        const engines = await probeEngines();
        return {
          json: engines,
          text: table(
            ['ENGINE', 'USABLE', 'REASON'],
            engines.map(({ engine, usable, reason }) => [engine, usable ? 'yes' : 'no', reason]),
          ),
        };
      }),
    );
}
