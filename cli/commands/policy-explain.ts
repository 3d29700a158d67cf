/** `nexus policy explain`: what a policy says of a machine's boot log, clause by clause. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { type CompiledPolicy, EventLogError, modelOfLog } from '../../attestation/index.ts';
import { existing } from '../arguments.ts';
import { EXIT, UsageError } from '../errors.ts';
import { conclude, examples, table, withJson } from '../output.ts';

const KERNELS_OWN = '/sys/kernel/security/tpm0/binary_bios_measurements';

interface Flags {
  readonly eventLog: string;
  readonly json?: boolean;
}

/** `load` gives the policy of a name or file. */
export function explainCommand(load: (policy: string) => CompiledPolicy): Command {
  return withJson(
    new Command('explain').description('try a policy on a boot log: which clause, which event, what value'),
  )
    .argument('<policy>', 'a ready policy by name, or a file (YAML or JSON)')
    .option('--event-log <file>', 'the boot log', KERNELS_OWN)
    .addHelpText(
      'after',
      examples(
        ['nexus policy explain secure-boot --event-log boot.log', 'nothing is verified: the log is taken at its word'],
        ['nexus policy explain our-fleet.yaml', 'on this machine, as root; clauses on ima or quote see nothing'],
      ),
    )
    .action((policy: string, { eventLog, json = false }: Flags) =>
      conclude(json, async () => explain(load(policy), eventLog)),
    );
}

function explain(policy: CompiledPolicy, file: string) {
  const model = open(existing('--event-log', file));
  const clauses = policy.evaluate(model);
  const rows = clauses.map(({ passed, severity, expect, detail }) => [passed ? 'ok' : severity, expect, detail ?? '']);
  return {
    json: { policy: policy.name, clauses },
    text: table(['', 'CLAUSE', 'DETAIL'], rows),
    exitCode: clauses.every(({ passed }) => passed) ? EXIT.OK : EXIT.REFUSED,
  };
}

function open(file: string) {
  try {
    return modelOfLog(new Uint8Array(readFileSync(file)));
  } catch (error) {
    if (!(error instanceof EventLogError)) throw error;
    throw new UsageError('E_EVENT_LOG', `${file}: ${error.message}`, 'give a boot log as Linux shows it, whole');
  }
}
