/** `nexus agent`: attest a real machine with a TPM 2.0, and fetch secrets for it. */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { Command, Option } from 'commander';
import {
  Agent,
  type AttestReply,
  EventLogError,
  type KeyKind,
  type Replacement,
  type Selection,
  serveAgent,
  VerifierClient,
} from '../../attestation/index.ts';
import { TpmClient } from '../../tpm/client/index.ts';
import { openTransport } from '../../tpm/transports/index.ts';
import { authenticodeRanges } from '../../vmm/linux/measure.ts';
import { collect, existing, httpUrl, port, programPath, wholeNumber } from '../arguments.ts';
import { EXIT, UsageError } from '../errors.ts';
import { conclude, examples, type Outcome, table, withJson } from '../output.ts';

interface Flags {
  readonly verifier?: string;
  readonly tpm: string;
  readonly token?: string;
  readonly key: KeyKind;
  readonly pcrs?: string;
  readonly ekCertificate: string[];
  readonly sendCertificates?: boolean;
  readonly sendIdevid?: boolean;
  readonly platformCertificate: string[];
  readonly eventLog?: string;
  readonly imaList?: string;
  readonly json?: boolean;
}

/** The verifier of a command that calls none. */
const NOWHERE = 'http://verifier.invalid';
const BANKS = ['sha1', 'sha256', 'sha384', 'sha512'] as const;

/** `calls`: the command talks to the verifier, and must be told where it is. */
function withMachine(command: Command, { calls } = { calls: true }): Command {
  return withJson(command)
    .addOption(new Option('--verifier <url>', 'the verifier').env('NEXUS_VERIFIER').makeOptionMandatory(calls))
    .addOption(new Option('--tpm <address>', 'the TPM').env('TPM2TOOLS_TCTI').default('device:/dev/tpmrm0'))
    .option('--token <file>', 'file with an API token, where the verifier asks for one')
    .addOption(
      new Option('--key <kind>', 'endorsement and attestation key of a kind, or the manufacturer’s attestation key')
        .choices(['ecc', 'rsa', 'iak'])
        .default('ecc'),
    )
    .option('--pcrs <selection>', 'what to quote, as sha256:0,1,2,3,4,5,6,7+sha1:10; default: 0-7, and 10 with IMA')
    .option('--ek-certificate <file>', 'EK certificate (DER) where the TPM holds none; issuers follow', collect, [])
    .option('--send-certificates', 'send the EK certificate and its issuers with the evidence', false)
    .option('--send-idevid', 'send the device’s identity: its certificate, and a signature by its key', false)
    .option(
      '--platform-certificate <file>',
      'send the platform’s attribute certificate (DER) too; issuers follow',
      collect,
      [],
    )
    .option('--event-log <file>', 'boot log, instead of the running kernel’s')
    .option('--ima-list <file>', 'IMA list, instead of the running kernel’s');
}

/** `sha256:0,1+sha1:10` as tpm2-tools write it. Throws `UsageError`. */
function selection(text: string): Selection[] {
  return text.split('+').map((part) => {
    const [name, list = ''] = part.split(':');
    const bank = BANKS.find((candidate) => candidate === name);
    const pcrs = list.split(',').map(Number);
    if (bank === undefined || list === '' || pcrs.some((pcr) => !Number.isInteger(pcr) || pcr < 0 || pcr > 23)) {
      throw new UsageError(
        'E_USAGE_PCRS',
        `--pcrs ${text} is not a selection.`,
        'Example: --pcrs sha256:0,1,2,3,4,5,6,7',
      );
    }
    return { bank, pcrs: [...new Set(pcrs)].sort((a, b) => a - b) };
  });
}

/** `OLD=NEW`, two files. Firmware hashes what Authenticode covers of an image; GRUB and systemd-stub hash whole files. */
function replacement(text: string): Replacement {
  const [old, replaced, ...rest] = text.split('=');
  if (old === undefined || replaced === undefined || rest.length > 0) {
    throw new UsageError('E_USAGE_REPLACED', `--replaced ${text} is not OLD=NEW.`, 'Name two files.');
  }
  const [from, to] = [old, replaced].map((file) => new Uint8Array(fs.readFileSync(existing('--replaced', file))));
  if (from === undefined || to === undefined) throw new Error('two files make two contents');
  const covered = (image: Uint8Array) => new Uint8Array(Buffer.concat(authenticodeRanges(image)));
  return {
    name: old,
    readings: [
      { from, to },
      { from: covered(from), to: covered(to) },
    ],
  };
}

/** What a log cannot foretell is the caller's to know, not a fault of the program. */
async function asUsage<T>(body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (cause) {
    if (!(cause instanceof RangeError) && !(cause instanceof EventLogError)) throw cause;
    throw new UsageError(
      'E_PREDICTION',
      `No prediction: ${cause.message}.`,
      'Learn it from one machine that has booted it.',
    );
  }
}

const readFiles = (paths: readonly string[]): Uint8Array[] =>
  paths.map((path) => new Uint8Array(fs.readFileSync(path)));

/** Read the arguments, open the TPM, run, close. */
async function withAgent(flags: Flags, use: (agent: Agent) => Promise<Outcome>): Promise<void> {
  await conclude(flags.json ?? false, async () => {
    const token = flags.token === undefined ? {} : { token: fs.readFileSync(flags.token, 'utf8').trim() };
    const options = {
      verifier: new VerifierClient(httpUrl('--verifier', flags.verifier ?? NOWHERE), token),
      key: flags.key,
      ...(flags.pcrs !== undefined && { selection: selection(flags.pcrs) }),
      ...(flags.ekCertificate.length > 0 && { ekCertificates: readFiles(flags.ekCertificate) }),
      ...((flags.sendCertificates === true || flags.platformCertificate.length > 0) && {
        certificates: flags.platformCertificate.length > 0 ? { platform: readFiles(flags.platformCertificate) } : {},
      }),
      ...(flags.sendIdevid === true && { idevid: true }),
      ...(flags.eventLog !== undefined && { eventLog: existing('--event-log', flags.eventLog) }),
      ...(flags.imaList !== undefined && { imaList: existing('--ima-list', flags.imaList) }),
    };
    const transport = await openTransport(flags.tpm);
    try {
      return await use(new Agent({ ...options, tpm: await TpmClient.over(transport) }));
    } finally {
      await transport.close();
    }
  });
}

function verdict(reply: AttestReply): Outcome {
  const rows = reply.checks.map(({ name, passed, detail }) => [passed ? 'ok' : 'FAILED', name, detail ?? '']);
  return {
    json: reply,
    text: [`${reply.platform}: ${reply.state}`, table(['', 'CHECK', 'DETAIL'], rows)].join('\n'),
    exitCode: reply.state === 'affirming' || reply.state === 'warning' ? EXIT.OK : EXIT.REFUSED,
  };
}

function enrolCommand(): Command {
  return withMachine(
    new Command('enrol').description(
      'make this machine known: EK certificate and ActivateCredential, or a certified IAK',
    ),
  )
    .argument('[name]', 'name of the platform; default: derived from its endorsement key')
    .addHelpText('after', examples(['nexus agent enrol rack-4 --verifier https://verifier.example', 'once a machine']))
    .action((name: string | undefined, flags: Flags) =>
      withAgent(flags, async (agent) => {
        const platform = await agent.enrol(name);
        return { json: { platform }, text: `enrolled as ${platform}` };
      }),
    );
}

function attestCommand(): Command {
  return withMachine(new Command('attest').description('attest once; exit 0 when the verifier affirms'))
    .addHelpText('after', examples(['nexus agent attest --verifier https://verifier.example --json', 'for scripts']))
    .action((flags: Flags) => withAgent(flags, async (agent) => verdict(await agent.attest())));
}

function referenceCommand(): Command {
  return withMachine(new Command('reference').description('print reference values that accept this machine as it is'), {
    calls: false,
  })
    .option(
      '--replaced <old=new>',
      'accept it too when the next boot measures the file NEW in place of OLD (kernel, loader, initrd); all together',
      collect,
      [],
    )
    .addHelpText(
      'after',
      examples(
        ['nexus agent reference > golden.json', 'review it, then PUT /v1/references/{name}'],
        ['nexus agent reference --replaced vmlinuz-6.1=vmlinuz-6.12', 'before an update'],
      ),
    )
    .action((flags: Flags & { replaced: string[] }) =>
      withAgent(flags, async (agent) => {
        const replacements = flags.replaced.map(replacement);
        const reference = await asUsage(() => agent.reference(replacements));
        return { json: reference, text: JSON.stringify(reference, null, 2) };
      }),
    );
}

function runCommand(): Command {
  return withMachine(new Command('run').description('attest again and again until Ctrl-C'))
    .option('--every <seconds>', 'seconds between attestations', '120')
    .addHelpText('after', examples(['nexus agent run --verifier https://verifier.example', 'as a system service']))
    .action((flags: Flags & { every: string }) => {
      const everySeconds = wholeNumber('--every', flags.every, 1, 86_400);
      return withAgent(flags, async (agent) => {
        const stop = new AbortController();
        for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
        const observe = (outcome: AttestReply | Error) => {
          const at = new Date().toISOString();
          const line =
            outcome instanceof Error
              ? { at, error: outcome.message }
              : { at, state: outcome.state, failed: outcome.failed };
          process.stderr.write(`${JSON.stringify(line)}\n`);
        };
        await agent.run({ everySeconds, signal: stop.signal, observe });
        return { json: { stopped: true }, text: 'stopped' };
      });
    });
}

interface ServeFlags extends Flags {
  readonly host: string;
  readonly port: string;
  readonly pollToken?: string;
  readonly tlsKey?: string;
  readonly tlsCert?: string;
  readonly clientCa?: string;
}

function serveCommand(): Command {
  return withMachine(
    new Command('serve').description('listen, and make evidence when the verifier asks, until Ctrl-C'),
    {
      calls: false,
    },
  )
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <port>', 'port to listen on; 0 takes a free one', '8090')
    .option('--poll-token <file>', 'file with the token that the verifier sends')
    .option('--tls-key <file>', 'serve HTTPS with this key (PEM)')
    .option('--tls-cert <file>', 'and this certificate chain (PEM)')
    .option('--client-ca <file>', 'hear only clients with a certificate of this CA (PEM)')
    .addHelpText(
      'after',
      examples(['nexus agent serve --host 0.0.0.0 --poll-token /etc/nexus/poll', 'then PUT /v1/platforms/{id}/poll']),
    )
    .action((flags: ServeFlags) => {
      const { host, pollToken, tlsKey, tlsCert, clientCa } = flags;
      return withAgent(flags, async (agent) => {
        if ((tlsKey === undefined) !== (tlsCert === undefined) || (clientCa !== undefined && tlsKey === undefined)) {
          throw new UsageError('E_USAGE_TLS', 'TLS needs a key and a certificate.', 'Give --tls-key and --tls-cert.');
        }
        const serving = await serveAgent({
          agent,
          host,
          port: port('--port', flags.port),
          ...(pollToken !== undefined && { token: fs.readFileSync(pollToken, 'utf8').trim() }),
          ...(tlsKey !== undefined &&
            tlsCert !== undefined && {
              tls: {
                key: fs.readFileSync(tlsKey),
                cert: fs.readFileSync(tlsCert),
                ...(clientCa !== undefined && { clientCa: fs.readFileSync(clientCa) }),
              },
            }),
        });
        process.stderr.write(`${serving.url}\n`);
        await new Promise<void>((resolve) => {
          for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
        });
        await serving.close();
        return { json: { stopped: true }, text: 'stopped' };
      });
    });
}

/** A file of mode 0600 that takes its place when it has its content. */
class SecretFile {
  readonly #path: string;
  readonly #aside: string;
  #fd: number | undefined;

  /** Throws what the system says where no such file can be made. */
  constructor(path: string) {
    if (fs.statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) {
      throw new UsageError('E_USAGE_FILE', `--output ${path} is a directory.`, 'Name a file.');
    }
    this.#path = path;
    this.#aside = `${path}.${process.pid}.new`;
    this.#fd = fs.openSync(this.#aside, 'wx', 0o600);
  }

  keep(content: Uint8Array): void {
    if (this.#fd === undefined) throw new Error('discarded before');
    fs.writeFileSync(this.#fd, content);
    fs.fsyncSync(this.#fd);
    // A new file: one that is there may be open to others.
    fs.renameSync(this.#aside, this.#path);
    fs.closeSync(this.#fd);
    this.#fd = undefined;
  }

  /** Leave nothing behind, unless it was kept. */
  discard(): void {
    if (this.#fd === undefined) return;
    fs.closeSync(this.#fd);
    this.#fd = undefined;
    fs.rmSync(this.#aside, { force: true });
  }
}

/** Run a command with the secret in its environment only; resolves with its exit code. */
function runWith(command: readonly string[], variable: string, content: Uint8Array): Promise<number> {
  const [program = '', ...rest] = command;
  return new Promise((resolve, reject) => {
    const env = { ...process.env, [variable]: Buffer.from(content).toString('utf8') };
    spawn(program, rest, { stdio: 'inherit', env })
      .once('error', reject)
      .once('exit', (code) => resolve(code ?? EXIT.INTERNAL));
  });
}

function fetchCommand(): Command {
  return withMachine(new Command('fetch').description('fetch a secret to a file, or into the environment of a command'))
    .argument('<resource>', 'name of the resource')
    .argument('[command...]', 'command to run with the secret, after --')
    .option('--output <file>', 'write it here (mode 0600)')
    .option('--env <variable>', 'variable of the command', 'SECRET')
    .addHelpText(
      'after',
      examples(
        ['nexus agent fetch disk/key --output /run/key', 'a file for its owner only'],
        ['nexus agent fetch db/password --env PGPASSWORD -- psql -h db', 'never on disk'],
      ),
    )
    .action((resource: string, command: string[], flags: Flags & { output?: string; env: string }) => {
      if ((flags.output === undefined) === (command.length === 0)) {
        throw new UsageError('E_USAGE_FETCH', 'Give either --output or a command.', 'nexus agent fetch --help');
      }
      return withAgent(flags, async (agent) => {
        // Ready before it is asked for: a secret that is given once must have somewhere to go.
        const file = flags.output === undefined ? undefined : new SecretFile(flags.output);
        const program = file === undefined ? programPath(command[0] ?? '') : '';
        try {
          const { content, release } = await agent.fetch(resource);
          try {
            const { version, lease } = release;
            const json = { resource, version, lease: lease.id, expiresAt: lease.expiresAt.toISOString() };
            if (file !== undefined) {
              file.keep(content);
              return { json, text: `${flags.output}: ${resource}, version ${version}` };
            }
            const code = await runWith([program, ...command.slice(1)], flags.env, content);
            return { json: { ...json, exitCode: code }, text: '', exitCode: code };
          } finally {
            content.fill(0);
          }
        } finally {
          file?.discard();
        }
      });
    });
}

export function agentCommand(): Command {
  const command = new Command('agent')
    .description('attest a machine with a TPM 2.0, and fetch secrets for it')
    .addHelpText(
      'after',
      examples(
        ['nexus agent enrol rack-4 --verifier https://verifier.example', 'once a machine'],
        ['nexus agent run --verifier https://verifier.example', 'then attest again and again'],
      ),
    );
  for (const part of [
    enrolCommand(),
    attestCommand(),
    runCommand(),
    serveCommand(),
    fetchCommand(),
    referenceCommand(),
  ]) {
    command.addCommand(part);
  }
  return command;
}
