/** `nexus verify`: appraise evidence offline, against a nonce, an attestation key and reference values from files. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { EvidenceError, nexusEvidence } from '../../attestation/index.ts';
import { EXIT, UsageError } from '../errors.ts';
import { conclude, examples, table, withJson } from '../output.ts';

interface Options {
  readonly json?: boolean;
  readonly nonce: string;
  readonly ak: string;
  readonly reference: string;
}

export function verifyCommand(): Command {
  return withJson(new Command('verify').description('appraise the evidence of a nexus host, offline'))
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
  const appraised = open(file).appraise({
    nonce: Buffer.from(options.nonce, 'hex'),
    akPublic: readFileSync(options.ak),
    reference: readReference(options.reference),
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

function open(file: string) {
  try {
    return nexusEvidence.open(readFileSync(file));
  } catch (error) {
    if (error instanceof EvidenceError) throw new UsageError(error.code, `${file}: ${error.message}`, error.remedy);
    throw error;
  }
}

function readReference(file: string): object {
  try {
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'));
    return nexusEvidence.parseReference(value) as object;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall !== undefined) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError('E_REFERENCE', `${file}: ${reason}`, 'record one with `nexus attest --reference-out`');
  }
}
