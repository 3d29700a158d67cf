/** `nexus verifier`: run the attestation verifier and key broker, make its tokens, check its audit trail. */
import fs from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createSecureContext } from 'node:tls';
import { Command, Option } from 'commander';
import { pino } from 'pino';
import {
  type AuditEntry,
  createVerifier,
  Manufacturers,
  ROLES,
  type Role,
  tpmKek,
  type Verifier,
  type VerifierOptions,
  verifyAudit,
} from '../../attestation/index.ts';
import { TpmClient } from '../../tpm/client/index.ts';
import type { TpmTransport } from '../../tpm/index.ts';
import { transportOpener } from '../../tpm/transports/index.ts';
import { collect, port, wholeNumber } from '../arguments.ts';
import { EXIT, UsageError } from '../errors.ts';
import { conclude, examples, withJson } from '../output.ts';
import { corimCommand } from './verifier-corim.ts';

interface DatabaseFlags {
  readonly state?: string;
  readonly database?: string;
  readonly kek?: string;
  readonly kekTpm?: string;
}

interface ServeFlags extends DatabaseFlags {
  readonly host: string;
  readonly port: string;
  readonly manufacturerCa: string[];
  readonly crl: string[];
  readonly issuer: string;
  readonly tlsKey?: string;
  readonly tlsCert?: string;
  readonly clientCa?: string;
  readonly pollCa?: string;
  readonly pollKey?: string;
  readonly pollCert?: string;
  readonly oidc: string[];
  readonly client: string[];
  readonly anonymous: boolean;
  readonly trustProxy: string[];
  readonly rateLimit: string;
  readonly logLevel: string;
  readonly json?: boolean;
}

/** Environment variable with the passphrase of the key-encryption key: a flag would be visible to every process. */
const PASSPHRASE = 'NEXUS_KEK_PASSPHRASE';
const ADMIN_TOKEN_FILE = 'admin.token';
const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'];

function withDatabase(command: Command): Command {
  return command
    .addOption(new Option('--state <dir>', 'embedded database and keys in this directory').default('.nexus/verifier'))
    .option('--database <url>', 'PostgreSQL instead: postgres://user@host/name; any number of verifiers may share it')
    .option(
      '--kek-tpm <address>',
      'seal the key-encryption key to this TPM: device:/dev/tpmrm0; --kek is then the sealed file',
    )
    .option('--kek <file>', `key-encryption key, made if absent; or a passphrase in ${PASSPHRASE}`);
}

/** The key that a TPM holds for this verifier, in a file beside the database unless another is named. */
async function unsealKek(
  open: () => Promise<TpmTransport>,
  { kek, state = '.nexus/verifier' }: DatabaseFlags,
): Promise<Uint8Array> {
  const transport = await open();
  try {
    return await tpmKek(await TpmClient.over(transport), kek ?? join(state, 'kek.tpm'));
  } finally {
    await transport.close();
  }
}

function databaseOptions(flags: DatabaseFlags): Pick<VerifierOptions, 'database' | 'keyEncryptionKey'> {
  const directory = flags.state ?? '.nexus/verifier';
  if (flags.database !== undefined && !/^postgres(ql)?:\/\//.test(flags.database)) {
    throw new UsageError(
      'E_USAGE_DATABASE',
      '--database is not the URL of a PostgreSQL.',
      'Example: --database postgres://nexus@db/nexus; an embedded database needs --state only',
    );
  }
  const database = flags.database === undefined ? { directory } : { url: flags.database };
  const passphrase = process.env[PASSPHRASE];
  if (flags.kekTpm !== undefined) {
    const open = transportOpener(flags.kekTpm);
    return { database, keyEncryptionKey: { unseal: () => unsealKek(open, flags) } };
  }
  if (flags.kek !== undefined) return { database, keyEncryptionKey: { file: flags.kek } };
  if (passphrase !== undefined) return { database, keyEncryptionKey: { passphrase } };
  if (flags.database === undefined) return { database };
  throw new UsageError(
    'E_USAGE_KEK',
    'A verifier on PostgreSQL needs a key-encryption key.',
    `Give --kek FILE, or a passphrase in ${PASSPHRASE}; the same to every replica.`,
  );
}

function read(path: string): Buffer {
  return fs.readFileSync(path);
}

/** Certificates of CAs: a PEM bundle, or one DER certificate. */
function certificateFile(path: string): string | Uint8Array {
  const bytes = read(path);
  const bundle = bytes.includes('-----BEGIN') ? bytes.toString('utf8') : new Uint8Array(bytes);
  try {
    new Manufacturers([bundle]);
    return bundle;
  } catch (error) {
    const reason = error instanceof Error ? error.message : '';
    throw new UsageError('E_USAGE_CERTIFICATE', `${path}: ${reason}`, 'Give PEM certificates, or one DER certificate.');
  }
}

function revocationListFile(path: string): Uint8Array {
  const list = new Uint8Array(read(path));
  try {
    new Manufacturers([], [list]);
    return list;
  } catch {
    throw new UsageError(
      'E_USAGE_CRL',
      `${path} is not a certificate revocation list (DER).`,
      'openssl crl -in list.pem -outform DER -out list.crl',
    );
  }
}

function tlsOptions(flags: ServeFlags): VerifierOptions['tls'] {
  if (flags.tlsKey === undefined || flags.tlsCert === undefined) {
    if (flags.tlsKey === flags.tlsCert && flags.clientCa === undefined) return undefined;
    const asked = flags.clientCa === undefined ? 'TLS needs' : '--client-ca needs TLS:';
    throw new UsageError('E_USAGE_TLS', `${asked} a key and a certificate.`, 'Give --tls-key and --tls-cert.');
  }
  const client = flags.clientCa === undefined ? {} : { clientCa: read(flags.clientCa) };
  const tls = { key: read(flags.tlsKey), cert: read(flags.tlsCert), ...client };
  try {
    createSecureContext({ key: tls.key, cert: tls.cert, ca: client.clientCa });
    return tls;
  } catch (error) {
    const reason = error instanceof Error ? error.message : '';
    throw new UsageError(
      'E_USAGE_TLS',
      `Key, certificate or client CA cannot be used: ${reason}`,
      'Give a key and the certificate for it, both PEM.',
    );
  }
}

function oidcProvider(text: string): { issuer: string; audience: string } {
  const [issuer, audience] = text.split(',');
  if (issuer === undefined || audience === undefined || !URL.canParse(issuer)) {
    throw new UsageError(
      'E_USAGE_OIDC',
      `--oidc ${text} is not ISSUER,AUDIENCE.`,
      'Example: --oidc https://id.example,nexus',
    );
  }
  return { issuer, audience };
}

function roles(text: string): Role[] {
  const names = text.split(',');
  const known = ROLES.filter((role) => names.includes(role));
  if (known.length === names.length) return known;
  throw new UsageError('E_USAGE_ROLE', `Not every role in ${text} exists.`, `Roles: ${ROLES.join(', ')}.`);
}

/** An address, or a range such as 10.0.0.0/8. */
function cidr(text: string): string {
  const [address = '', bits, ...rest] = text.split('/');
  const most = isIP(address) === 4 ? 32 : 128;
  const sized = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= most);
  if (isIP(address) !== 0 && sized && rest.length === 0) return text;
  throw new UsageError(
    'E_USAGE_CIDR',
    `--trust-proxy ${text} is no address or range.`,
    'Example: --trust-proxy 10.0.0.0/8',
  );
}

function certificateRule(text: string): { commonName: string; roles: Role[] } {
  const [commonName, names] = text.split('=');
  if (!commonName || names === undefined) {
    throw new UsageError(
      'E_USAGE_CLIENT',
      `--client ${text} is not NAME=ROLES.`,
      'Example: --client agent=attester,enroller',
    );
  }
  return { commonName, roles: roles(names) };
}

/** On first start of an embedded verifier, an administrator's token lands in the state directory, for its owner only. */
async function adminToken(verifier: Verifier, directory: string): Promise<string> {
  const path = join(directory, ADMIN_TOKEN_FILE);
  if (!fs.existsSync(path)) {
    fs.writeFileSync(path, `${await verifier.createToken('administrator', ['admin'])}\n`, { mode: 0o600, flag: 'wx' });
  }
  return path;
}

/** Serve until a signal, then finish open requests. */
async function serve(flags: ServeFlags): Promise<void> {
  const logger = pino(
    { level: flags.logLevel, redact: ['req.headers.authorization', 'req.headers.cookie'] },
    process.stderr,
  );
  const perSecond = wholeNumber('--rate-limit', flags.rateLimit, 0, 1_000_000);
  const listening = port('--port', flags.port);
  const tls = tlsOptions(flags);
  const verifier = await createVerifier({
    ...databaseOptions(flags),
    manufacturers: flags.manufacturerCa.map(certificateFile),
    revocationLists: flags.crl.map(revocationListFile),
    issuer: flags.issuer,
    oidc: flags.oidc.map(oidcProvider),
    certificates: flags.client.map(certificateRule),
    pollTls: {
      ...(flags.pollCa !== undefined && { ca: read(flags.pollCa) }),
      ...(flags.pollKey !== undefined && { key: read(flags.pollKey) }),
      ...(flags.pollCert !== undefined && { cert: read(flags.pollCert) }),
    },
    ...(tls && { tls }),
    ...(!flags.anonymous && { anonymousRoles: [] }),
    trustedProxies: flags.trustProxy.map(cidr),
    rateLimit: perSecond > 0 && { perSecond, burst: perSecond * 2 },
    logger,
  });
  const stopped = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
  try {
    const token = flags.database === undefined ? await adminToken(verifier, flags.state ?? '') : undefined;
    const url = await verifier.listen({ host: flags.host, port: listening });
    const lines = [
      `verifier  ${url}`,
      `api       ${url}/openapi.json`,
      ...(token === undefined ? [] : [`token     ${token}`]),
      ...(flags.manufacturerCa.length === 0 ? ['no --manufacturer-ca: nothing can enrol'] : []),
    ];
    process.stdout.write(flags.json ? `${JSON.stringify({ url, token })}\n` : `${lines.join('\n')}\n`);
    await stopped;
  } finally {
    await verifier.close();
  }
}

function serveCommand(): Command {
  return withJson(withDatabase(new Command('serve').description('serve until Ctrl-C')))
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <port>', 'port to listen on; 0 takes a free one', '8080')
    .option('--manufacturer-ca <file>', 'CA of TPM manufacturers, PEM bundle or DER; may be repeated', collect, [])
    .option('--crl <file>', 'revocation list of such a CA, DER; may be repeated', collect, [])
    .option('--issuer <name>', 'iss of the results', 'nexus-tcb')
    .option('--tls-key <file>', 'serve HTTPS with this key (PEM)')
    .option('--tls-cert <file>', 'and this certificate chain (PEM)')
    .option('--client-ca <file>', 'believe client certificates of this CA (PEM)')
    .option('--client <name=roles>', 'roles of a client certificate by its common name; may be repeated', collect, [])
    .option('--oidc <issuer,audience>', 'accept tokens of this provider (claim roles); may be repeated', collect, [])
    .option('--poll-ca <file>', 'believe polled agents whose certificate is of this CA (PEM)')
    .option('--poll-key <file>', 'show polled agents a certificate: its key (PEM)')
    .option('--poll-cert <file>', 'and the certificate (PEM)')
    .option('--no-anonymous', 'nobody attests or enrols without credentials')
    .option('--trust-proxy <cidr>', 'believe x-forwarded-for of this proxy; may be repeated', collect, [])
    .option('--rate-limit <n>', 'requests a second and client address; 0 is no limit', '200')
    .addOption(new Option('--log-level <level>', 'what is logged').choices(LOG_LEVELS).default('warn'))
    .addHelpText(
      'after',
      examples(
        ['nexus verifier serve --manufacturer-ca ca.pem', 'everything in .nexus/verifier'],
        ['nexus verifier serve --database postgres://db/nexus --kek /etc/nexus/kek', 'one of many replicas'],
      ),
    )
    .action(async (flags: ServeFlags) => {
      await conclude(flags.json ?? false, async () => {
        await serve(flags);
        return { json: { stopped: true }, text: 'stopped', streamed: true };
      });
    });
}

function tokenCommand(): Command {
  return withJson(withDatabase(new Command('token').description('make an API token; it is printed this once')))
    .argument('<name>', 'what the token is for')
    .requiredOption('--roles <roles>', `comma-separated: ${ROLES.join(', ')}`)
    .addHelpText(
      'after',
      examples(['nexus verifier token prometheus --roles auditor', 'while no other process holds the state']),
    )
    .action((name: string, flags: DatabaseFlags & { roles: string; json?: boolean }) =>
      conclude(flags.json ?? false, async () => {
        if (name.trim() === '') {
          throw new UsageError(
            'E_USAGE_NAME',
            'The token has no name.',
            'Say what it is for; the audit trail shows it.',
          );
        }
        const granted = roles(flags.roles);
        const { state = '', database } = flags;
        if (database === undefined && !fs.existsSync(state)) {
          throw new UsageError(
            'E_STATE_ABSENT',
            `There is no verifier in ${state}.`,
            'Name its --state, or serve it first.',
          );
        }
        const verifier = await createVerifier({ ...databaseOptions(flags), manufacturers: [] });
        try {
          const token = await verifier.createToken(name, granted);
          return { json: { token }, text: token };
        } finally {
          await verifier.close();
        }
      }),
    );
}

async function* auditLines(path: string): AsyncGenerator<AuditEntry> {
  const lines = createInterface({ input: fs.createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY });
  let number = 0;
  for await (const line of lines) {
    number += 1;
    try {
      yield JSON.parse(line) as AuditEntry;
    } catch {
      throw new UsageError('E_USAGE_AUDIT', `${path}:${number} is not JSON.`, 'Export it again: GET /v1/audit.');
    }
  }
}

function auditCommand(): Command {
  return withJson(new Command('audit').description('check an exported audit trail: does every entry chain to the next'))
    .argument('<file>', 'JSON lines, from GET /v1/audit')
    .addHelpText('after', examples(['nexus verifier audit trail.jsonl', 'exit 1 names the first bad entry']))
    .action((path: string, flags: { json?: boolean }) =>
      conclude(flags.json ?? false, async () => {
        let entries = 0;
        const counted = async function* () {
          for await (const entry of auditLines(path)) {
            entries += 1;
            yield entry;
          }
        };
        const broken = await verifyAudit(counted());
        if (entries === 0) {
          throw new UsageError('E_USAGE_AUDIT', `${path} holds no entry.`, 'Export it again: GET /v1/audit.');
        }
        if (broken === null)
          return { json: { ok: true, entries }, text: `${entries} entries, each chains to the next` };
        return {
          json: { ok: false, ...broken },
          text: `entry ${broken.seq}: ${broken.reason}`,
          exitCode: EXIT.REFUSED,
        };
      }),
    );
}

export function verifierCommand(): Command {
  return new Command('verifier')
    .description('the attestation verifier and key broker, as a service')
    .addHelpText(
      'after',
      examples(
        ['nexus verifier serve --manufacturer-ca ca.pem', 'on port 8080'],
        ['nexus verifier token ci --roles attester', 'a token for its API'],
        ['nexus verifier audit trail.jsonl', 'check its exported trail'],
        ['nexus verifier corim provision firmware.corim', 'reference values of a manufacturer'],
      ),
    )
    .addCommand(serveCommand())
    .addCommand(tokenCommand())
    .addCommand(auditCommand())
    .addCommand(corimCommand());
}
