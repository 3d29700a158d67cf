/** `nexus version`: what is installed, and on what it runs. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { conclude, examples, withJson } from '../output.ts';

interface Package {
  readonly name: string;
  readonly version: string;
}

export function versionCommand(): Command {
  return withJson(new Command('version').description('print the version of nexus and of what it runs on'))
    .addHelpText('after', examples(['nexus version --json', 'for bug reports and scripts']))
    .action((options: { json?: boolean }) =>
      conclude(options.json ?? false, async () => {
        // dist/cli/commands/version.js -> the package's own package.json.
        const own = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as Package;
        const versions = {
          nexus: own.version,
          node: process.versions.node,
          openssl: process.versions.openssl,
          platform: `${process.platform}-${process.arch}`,
        };
        return {
          json: versions,
          text: Object.entries(versions)
            .map(([name, version]) => `${name} ${version}`)
            .join('\n'),
        };
      }),
    );
}
