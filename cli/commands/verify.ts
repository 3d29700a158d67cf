/**
 * `nexus verify`, also `nexus attest verify`: appraise evidence offline, against a nonce (or a recorded clock), an attestation
 * key and reference values from files.
 */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import {
  type AppraisalContext,
  type Appraised,
  appraiseGuest,
  claimedNonce,
  clockRecord,
  decodeEvidence,
  decodeGuestEvidence,
  decodeMachineEvidence,
  EvidenceError,
  type EvidenceFormat,
  type Freshness,
  freshnessByClock,
  machineEvidence,
  NOBODY_ASKED,
  nexusEvidence,
  parseClockRecord,
  parseGuestReference,
  quotedNonce,
} from '../../attestation/index.ts';
import { writeFileAtomic } from '../../nexus/host/index.ts';
import { duration } from '../arguments.ts';
import { EXIT, UsageError } from '../errors.ts';
import { conclude, examples, table, withJson } from '../output.ts';

interface Options {
  readonly json?: boolean;
  readonly nonce?: string;
  readonly recorded?: string;
  readonly notOlderThan?: string;
  readonly record?: string;
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
    .requiredOption('--ak <file>', 'the attestation key that is trusted (TPMT_PUBLIC), from enrolment')
    .requiredOption('--reference <file>', 'reference values (JSON, docs/evidence.md)')
    .option('--nonce <hex>', 'the nonce that was asked for; without it nothing says how old the evidence is, but')
    .option('--recorded <file>', "the TPM's clock, as --record wrote it, with")
    .option('--not-older-than <time>', 'the age by that clock that is accepted: 90s, 10m, 2h, 1d')
    .option('--record <file>', "write the TPM's clock here, where evidence over --nonce is good")
    .option('--guest-ak <file>', "of a guest's evidence: the guest's attestation key, as its enrolment found it")
    .option('--guest-ek <file>', 'and the endorsement key that it was found with (TPMT_PUBLIC both)')
    .addHelpText(
      'after',
      examples(
        [
          'nexus verify e.cbor --nonce 00112233445566778899aabbccddeeff --ak ak.pub --reference ref.json',
          'exit 0 only when affirming',
        ],
        [
          'nexus verify e.cbor --recorded clock.json --not-older-than 10m --ak ak.pub --reference ref.json',
          'where nobody could ask with a nonce',
        ],
      ),
    )
    .action((file: string, options: Options) => conclude(options.json ?? false, async () => verify(file, options)));
}

function verify(file: string, options: Options) {
  checkOptions(options);
  const { parseReference, appraise, nonce: claimed, ak } = open(file, options);
  const nonce = options.nonce === undefined ? claimed : Buffer.from(options.nonce, 'hex');
  if (nonce === undefined) {
    throw new UsageError(
      'E_NONCE',
      `${file} does not say what it is over`,
      'give the nonce that was asked for: --nonce',
    );
  }
  const now = new Date();
  const appraised = appraise({
    nonce,
    akPublic: readFileSync(options.ak),
    reference: readReference(options.reference, parseReference),
    clock: null,
    now,
  });
  const age = freshness(appraised, ak, options, now);
  const checks = [
    ...appraised.checks,
    ...(age ? [{ name: 'freshness', passed: age.state === 'affirming', ...age }] : []),
  ];
  const holds = appraised.state === 'affirming' || appraised.state === 'warning';
  // What is refused anyway is refused for that.
  const state = holds && age !== undefined && age.state !== 'affirming' ? age.state : appraised.state;
  if (options.record !== undefined && state === 'affirming' && appraised.clock !== undefined) {
    writeFileAtomic(options.record, Buffer.from(`${JSON.stringify(clockRecord(ak, appraised.clock, now), null, 2)}\n`));
  }
  const rows = checks.map(({ name, passed, detail, ...more }) => {
    const isOpen = 'state' in more && more.state === 'unverified';
    return [passed ? 'ok' : isOpen ? 'unverified' : 'FAILED', name, detail ?? ''];
  });
  const { userData, ...partition } = appraised.partition ?? { userData: undefined };
  return {
    json: {
      state,
      checks,
      modules: appraised.modules,
      ...(userData ? { partition: { ...partition, userData: Buffer.from(userData).toString('hex') } } : {}),
    },
    text: [state, table(['', 'CHECK', 'DETAIL'], rows)].join('\n'),
    exitCode: state === 'affirming' ? EXIT.OK : EXIT.REFUSED,
  };
}

/** How old it is, where no nonce says that it is new. */
function freshness(appraised: Appraised, ak: Uint8Array, options: Options, now: Date): Freshness | undefined {
  const { nonce, recorded, notOlderThan } = options;
  if (recorded === undefined || notOlderThan === undefined) return nonce === undefined ? NOBODY_ASKED : undefined;
  if (appraised.clock === undefined) return { state: 'unverified', detail: 'what is refused has no clock' };
  const record = readJson(recorded, 'E_USAGE_RECORD', parseClockRecord, 'give what nexus verify --record wrote');
  const seconds = duration('--not-older-than', notOlderThan);
  return freshnessByClock(clockRecord(ak, appraised.clock, now), record, seconds, now);
}

function checkOptions({ nonce, recorded, notOlderThan, record }: Options): void {
  if (nonce !== undefined && !/^([0-9a-f]{2}){8,64}$/.test(nonce)) {
    throw new UsageError(
      'E_NONCE',
      '--nonce is not 8 to 64 bytes in lower-case hexadecimal',
      'give the nonce that was asked for',
    );
  }
  if ((recorded === undefined) !== (notOlderThan === undefined)) {
    throw new UsageError(
      'E_USAGE',
      "the age of evidence is told by a recorded clock and a limit: evidence carries no time but its TPM's",
      'give --recorded and --not-older-than together; --record writes the former',
    );
  }
  if (notOlderThan !== undefined) duration('--not-older-than', notOlderThan);
  if (record !== undefined && nonce === undefined) {
    throw new UsageError(
      'E_USAGE',
      '--record needs --nonce: a clock is recorded when it is known to be now',
      'ask anew',
    );
  }
}

/** Evidence opened, and how its reference values are read. */
interface Opened {
  /** What it says it is over; nobody's word until it is appraised. */
  readonly nonce: Uint8Array | undefined;
  /** Whose clock is in the quote: TPMT_PUBLIC. */
  readonly ak: Uint8Array;
  readonly parseReference: (body: unknown) => unknown;
  readonly appraise: (context: AppraisalContext) => Appraised;
}

/** Try each format in turn; the last one says what is wrong when it is none of ours. */
function open(file: string, options: Options): Opened {
  const bytes = readFileSync(file);
  const known = (format: EvidenceFormat, nonceOf: () => Uint8Array | undefined): Opened => {
    const { appraise } = format.open(bytes);
    const { parseReference } = format;
    const opened = { appraise, parseReference, nonce: nonceOf(), ak: readFileSync(options.ak) };
    if (options.guestAk === undefined && options.guestEk === undefined) return opened;
    throw new UsageError(
      'E_USAGE',
      `${file} is no guest's evidence: --guest-ak and --guest-ek have nothing to verify`,
      'make it with nexus attest --guest, or leave them out',
    );
  };
  for (const attempt of [
    () => known(nexusEvidence, () => claimedNonce(decodeEvidence(bytes))),
    () => openGuest(bytes, options),
  ]) {
    try {
      return attempt();
    } catch (error) {
      if (!(error instanceof EvidenceError)) throw error;
    }
  }
  try {
    return known(machineEvidence, () => quotedNonce(decodeMachineEvidence(bytes).quoted));
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
    nonce: quotedNonce(evidence.guest.quoted),
    ak: guest.akPublic,
    parseReference: parseGuestReference,
    appraise: (context) => appraiseGuest(evidence, { ...context, guest }),
  };
}

const readReference = (file: string, parse: Opened['parseReference']): object =>
  readJson(
    file,
    'E_REFERENCE',
    (value) => parse(value) as object,
    'record one: `nexus attest --reference-out`, `nexus agent reference`',
  );

/** A document of a file. Throws `UsageError` for what is none of its kind. */
function readJson<T>(file: string, code: string, parse: (value: unknown) => T, wayOut: string): T {
  try {
    return parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall !== undefined) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError(code, `${file}: ${reason}`, wayOut);
  }
}
