/** `nexus guest build`: a program of one's own, with the SDK, as an image that host.yaml can name. */
import { statSync } from 'node:fs';
import { Command } from 'commander';
import { buildGuest } from '../../guests/index.ts';
import { existing } from '../arguments.ts';
import { conclude, examples, withJson } from '../output.ts';

export function guestBuildCommand(): Command {
  return withJson(new Command('build').description('build a freestanding guest from C with gcc and the SDK'))
    .argument('<sources...>', 'C files; one of them has guest_main')
    .requiredOption('-o, --out <file>', 'the Multiboot ELF image')
    .addHelpText(
      'after',
      examples(
        ['nexus guest build hello.c -o hello.elf', 'docs/guests.md has a program to start with'],
        ['nexus manifest sign --image hello.elf --help', 'then sign it, to run it as a trusted partition'],
      ),
    )
    .action((sources: string[], { out, json = false }: { readonly out: string; readonly json?: boolean }) =>
      conclude(json, async () => {
        await buildGuest(
          sources.map((source) => existing('source', source)),
          out,
        );
        const { size } = statSync(out);
        return { json: { image: out, bytes: size }, text: `${out}: ${size} bytes` };
      }),
    );
}
