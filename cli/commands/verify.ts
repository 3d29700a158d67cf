/** `nexus verify`: appraise evidence offline, against a nonce, an attestation key and reference values from files. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import {
  type AppraisalContext,
  type Appraised,
  appraiseGuest,
  decodeGuestEvidence,
  EvidenceError,
  type EvidenceFormat,
  machineEvidence,
  nexusEvidence,
  parseGuestReference,
} from '../../attestation/index.ts';
import { EXIT, UsageError } from '../errors.ts';
import { conclude, examples, table, withJson } from '../output.ts';

interface Options {
  readonly json?: boolean;
  readonly nonce: string;
  readonly ak: string;
  readonly reference: string;
  readonly guestAk?: string;
  readonly guestEk?: string;
}

export function verifyCommand(): Command {
  return withJson(
    new Command('verify').description('appraise evidence of a nexus host or of a machine with a TPM, offline'),
  )
    .argument('<evidence>', 'the file that `nexus attest -o` or a guest made')
    .requiredOption('--nonce <hex>', 'the nonce that was asked for')
    .requiredOption('--ak <file>', 'the attestation key that is trusted (TPMT_PUBLIC), from enrolment')
    .requiredOption('--reference <file>', 'reference values (JSON, docs/evidence.md)')
    .option('--guest-ak <file>', "of a guest's evidence: the guest's attestation key, as its enrolment found it")
    .option('--guest-ek <file>', 'and the endorsement key that it was found with (TPMT_PUBLIC both)')
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
  const { parseReference, appraise } = open(file, options);
  const appraised = appraise({
    nonce: Buffer.from(options.nonce, 'hex'),
    akPublic: readFileSync(options.ak),
    reference: readReference(options.reference, parseReference),
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

/** Evidence opened, and how its reference values are read. */
interface Opened {
  readonly parseReference: (body: unknown) => unknown;
  readonly appraise: (context: AppraisalContext) => Appraised;
}

/** Try each format in turn; the last one says what is wrong when it is none of ours. */
function open(file: string, options: Options): Opened {
  const bytes = readFileSync(file);
  const known = (format: EvidenceFormat): Opened => {
    const opened = { ...format.open(bytes), parseReference: format.parseReference };
    if (options.guestAk === undefined && options.guestEk === undefined) return opened;
    throw new UsageError(
      'E_USAGE',
      `${file} is no guest's evidence: --guest-ak and --guest-ek have nothing to verify`,
      'make it with nexus attest --guest, or leave them out',
    );
  };
  for (const attempt of [() => known(nexusEvidence), () => openGuest(bytes, options)]) {
    try {
      return attempt();
    } catch (error) {
      if (!(error instanceof EvidenceError)) throw error;
    }
  }
  try {
    return known(machineEvidence);
  } catch (error) {
    if (error instanceof EvidenceError) throw new UsageError(error.code, `${file}: ${error.message}`, error.remedy);
    throw error;
  }
}

/** Evidence of a guest, chained to its host. Throws EvidenceError for other evidence, UsageError without its keys. */
function openGuest(bytes: Uint8Array, { guestAk, guestEk }: Options): Opened {
  const evidence = decodeGuestEvidence(bytes);
  if (guestAk === undefined || guestEk === undefined) {
    throw new UsageError(
      'E_USAGE',
      "a guest's evidence needs --guest-ak and --guest-ek",
      'give the keys of its TPM, as enrolment found them; --ak is the platform’s',
    );
  }
  const guest = { akPublic: readFileSync(guestAk), ekPublic: readFileSync(guestEk) };
  return {
    parseReference: parseGuestReference,
    appraise: (context) => appraiseGuest(evidence, { ...context, guest }),
  };
}

function readReference(file: string, parse: Opened['parseReference']): object {
  try {
    return parse(JSON.parse(readFileSync(file, 'utf8'))) as object;
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
