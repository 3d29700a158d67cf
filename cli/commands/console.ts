/** `nexus console`: the serial console of a running guest. */
import { existsSync } from 'node:fs';
import { Command, Option } from 'commander';
import { partitionConsole } from '../../nexus/host/index.ts';
import { attachConsole, consoleSocket } from '../guest-console.ts';
import { conclude, examples } from '../output.ts';

export function consoleCommand(): Command {
  return new Command('console')
    .description('open the serial console of a running guest; Ctrl-] leaves')
    .argument('<name>', 'a partition of a running host, or a guest as given to nexus guest linux --name')
    .addOption(new Option('--state <dir>', 'state directory of the host').default('./state'))
    .addHelpText('after', examples(['nexus console web', 'type to the guest called web']))
    .action((name: string, { state }: { readonly state: string }) =>
      conclude(false, async () => {
        const ofGuest = consoleSocket(name);
        const ofPartition = partitionConsole(state, name);
        await attachConsole(name, existsSync(ofPartition) || !existsSync(ofGuest) ? ofPartition : ofGuest);
        return { json: {}, text: '' };
      }),
    );
}
