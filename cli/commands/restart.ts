/** `nexus restart`: end one partition of a running host, if it runs, and start it again. */
import { Command, Option } from 'commander';
import { askHost } from '../../nexus/host/index.ts';
import { conclude, examples, withJson } from '../output.ts';

export function restartCommand(): Command {
  return withJson(new Command('restart').description('start one partition again, whether it runs, stopped or crashed'))
    .argument('<name>', 'the partition')
    .addOption(new Option('--state <dir>', 'state directory of the host').default('./state'))
    .addHelpText('after', examples(['nexus restart web', 'from its image as the file is now; the others run on']))
    .action((name: string, options: { json?: boolean; state: string }) =>
      conclude(options.json ?? false, async () => {
        await askHost(options.state, 'restart', { name });
        return { json: { name, state: 'running' }, text: `${name}: started again` };
      }),
    );
}
