/** `nexus verify`: appraise evidence offline, against a nonce, an attestation key and reference values from files. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { EvidenceError, type EvidenceFormat, machineEvidence, nexusEvidence } from '../../attestation/index.ts';
import { EXIT, UsageError } from '../errors.ts';
import { conclude, examples, table, withJson } from '../output.ts';

interface Options {
  readonly json?: boolean;
  readonly nonce: string;
  readonly ak: string;
  readonly reference: string;
}

export function verifyCommand(): Command {
  return withJson(
    new Command('verify').description('appraise evidence of a nexus host or of a machine with a TPM, offline'),
  )
    .argument('<evidence>', 'the file that `nexus attest -o` or a guest made')
    .requiredOption('--nonce <hex>', 'the nonce that was asked for')
    .requiredOption('--ak <file>', 'the attestation key that is trusted (TPMT_PUBLIC), from enrolment')
    .requiredOption('--reference <file>', 'reference values (JSON, docs/evidence.md)')
    .addHelpText(
      'after',
      examples([
        'nexus verify e.cbor --nonce 00112233445566778899aabbccddeeff --ak ak.pub --reference ref.json',
        'exit 0 only when affirming',
      ]),
    )
    .action((file: string, options: Options) => conclude(options.json ?? false, async () => verify(file, options)));
}

function verify(file: string, options: Options) {
  if (!/^([0-9a-f]{2}){8,64}$/.test(options.nonce)) {
    throw new UsageError(
      'E_NONCE',
      '--nonce is not 8 to 64 bytes in lower-case hexadecimal',
      'give the nonce that was asked for',
    );
  }
  const { format, opened } = open(file);
  const appraised = opened.appraise({
    nonce: Buffer.from(options.nonce, 'hex'),
    akPublic: readFileSync(options.ak),
    reference: readReference(options.reference, format),
    clock: null,
    now: new Date(),
  });
  const rows = appraised.checks.map(({ name, passed, detail }) => [passed ? 'ok' : 'FAILED', name, detail ?? '']);
  const { userData, ...partition } = appraised.partition ?? { userData: undefined };
  return {
    json: {
      state: appraised.state,
      checks: appraised.checks,
      modules: appraised.modules,
      ...(userData ? { partition: { ...partition, userData: Buffer.from(userData).toString('hex') } } : {}),
    },
    text: [appraised.state, table(['', 'CHECK', 'DETAIL'], rows)].join('\n'),
    exitCode: appraised.state === 'affirming' ? EXIT.OK : EXIT.REFUSED,
  };
}

/** Evidence as its own format opens it, and that format. */
function open(file: string): { format: EvidenceFormat; opened: ReturnType<EvidenceFormat['open']> } {
  const bytes = readFileSync(file);
  try {
    return { format: nexusEvidence, opened: nexusEvidence.open(bytes) };
  } catch {
    // The next format says what is wrong if it is none of ours.
  }
  try {
    return { format: machineEvidence, opened: machineEvidence.open(bytes) };
  } catch (error) {
    if (error instanceof EvidenceError) throw new UsageError(error.code, `${file}: ${error.message}`, error.remedy);
    throw error;
  }
}

function readReference(file: string, format: EvidenceFormat): object {
  try {
    return format.parseReference(JSON.parse(readFileSync(file, 'utf8'))) as object;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall !== undefined) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError(
      'E_REFERENCE',
      `${file}: ${reason}`,
      'record one: `nexus attest --reference-out`, `nexus agent reference`',
    );
  }
}
