/** `nexus console`: the serial console of a running guest. */
import { Command } from 'commander';
import { attachConsole, consoleSocket } from '../guest-console.ts';
import { conclude, examples } from '../output.ts';

export function consoleCommand(): Command {
  return new Command('console')
    .description('open the serial console of a running guest; Ctrl-] leaves')
    .argument('<name>', 'the guest, as given to nexus guest linux --name')
    .addHelpText('after', examples(['nexus console web', 'type to the guest called web']))
    .action((name: string) =>
      conclude(false, async () => {
        await attachConsole(consoleSocket(name));
        return { json: {}, text: '' };
      }),
    );
}
