/** `nexus verifier`: run the attestation verifier and key broker, make its tokens, check its audit trail. */
import fs from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Command, Option } from 'commander';
import { pino } from 'pino';
import {
  type AuditEntry,
  createVerifier,
  ROLES,
  type Role,
  type Verifier,
  VerifierError,
  type VerifierOptions,
  verifyAudit,
} from '../../attestation/index.ts';
import { EXIT, UsageError } from '../errors.ts';
import { conclude, examples, withJson } from '../output.ts';

interface DatabaseFlags {
  readonly state?: string;
  readonly database?: string;
  readonly kek?: string;
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
  readonly oidc: string[];
  readonly client: string[];
  readonly anonymous: boolean;
  readonly rateLimit: string;
  readonly logLevel: string;
  readonly json?: boolean;
}

/** Environment variable with the passphrase of the key-encryption key: a flag would be visible to every process. */
const PASSPHRASE = 'NEXUS_KEK_PASSPHRASE';
const ADMIN_TOKEN_FILE = 'admin.token';

const collect = (value: string, previous: string[]) => [...previous, value];

function withDatabase(command: Command): Command {
  return command
    .addOption(new Option('--state <dir>', 'embedded database and keys in this directory').default('.nexus/verifier'))
    .option('--database <url>', 'PostgreSQL instead: postgres://user@host/name; any number of verifiers may share it')
    .option('--kek <file>', `key-encryption key, made if absent; or a passphrase in ${PASSPHRASE}`);
}

function databaseOptions(flags: DatabaseFlags): Pick<VerifierOptions, 'database' | 'keyEncryptionKey'> {
  const directory = flags.state ?? '.nexus/verifier';
  const database = flags.database === undefined ? { directory } : { url: flags.database };
  const passphrase = process.env[PASSPHRASE];
  if (flags.kek !== undefined) return { database, keyEncryptionKey: { file: flags.kek } };
  if (passphrase !== undefined) return { database, keyEncryptionKey: { passphrase } };
  return { database };
}

/** The service's refusals in the command line's terms: what the state is to blame for ends with EXIT.STATE. */
async function translated<T>(body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    if (!(error instanceof VerifierError)) throw error;
    const prefix = error.status === 503 ? 'E_STATE' : 'E_REFUSED';
    throw new UsageError(
      `${prefix}_${error.code.replaceAll('-', '_').toUpperCase()}`,
      error.message,
      error.remedy || 'See docs/verifier.md.',
    );
  }
}

function read(path: string): Buffer {
  return fs.readFileSync(path);
}

/** PEM as text, anything else as DER. */
function certificateFile(path: string): string | Uint8Array {
  const bytes = read(path);
  return bytes.includes('-----BEGIN') ? bytes.toString('utf8') : new Uint8Array(bytes);
}

function tlsOptions(flags: ServeFlags): VerifierOptions['tls'] {
  if (flags.tlsKey === undefined || flags.tlsCert === undefined) {
    if (flags.tlsKey === flags.tlsCert && flags.clientCa === undefined) return undefined;
    throw new UsageError('E_USAGE_TLS', 'TLS needs a key and a certificate.', 'Give --tls-key and --tls-cert.');
  }
  const client = flags.clientCa === undefined ? {} : { clientCa: read(flags.clientCa) };
  return { key: read(flags.tlsKey), cert: read(flags.tlsCert), ...client };
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
  const perSecond = Number(flags.rateLimit);
  const tls = tlsOptions(flags);
  const verifier = await createVerifier({
    ...databaseOptions(flags),
    manufacturers: flags.manufacturerCa.map(certificateFile),
    revocationLists: flags.crl.map((path) => new Uint8Array(read(path))),
    issuer: flags.issuer,
    oidc: flags.oidc.map(oidcProvider),
    certificates: flags.client.map(certificateRule),
    ...(tls && { tls }),
    ...(!flags.anonymous && { anonymousRoles: [] }),
    rateLimit: perSecond > 0 && { perSecond, burst: perSecond * 2 },
    logger,
  });
  const stopped = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
  try {
    const token = flags.database === undefined ? await adminToken(verifier, flags.state ?? '') : undefined;
    const url = await verifier.listen({ host: flags.host, port: Number(flags.port) });
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
    .option('--no-anonymous', 'nobody attests or enrols without credentials')
    .option('--rate-limit <n>', 'requests a second and client address; 0 is no limit', '200')
    .option('--log-level <level>', 'fatal, error, warn, info, debug, silent', 'warn')
    .addHelpText(
      'after',
      examples(
        ['nexus verifier serve --manufacturer-ca ca.pem', 'everything in .nexus/verifier'],
        ['nexus verifier serve --database postgres://db/nexus --kek /etc/nexus/kek', 'one of many replicas'],
      ),
    )
    .action(async (flags: ServeFlags) => {
      await conclude(flags.json ?? false, async () => {
        await translated(() => serve(flags));
        return { json: { stopped: true }, text: 'stopped' };
      });
    });
}

function tokenCommand(): Command {
  return withJson(withDatabase(new Command('token').description('make an API token; it is printed this once')))
    .argument('<name>', 'what the token is for')
    .requiredOption('--roles <roles>', `comma-separated: ${ROLES.join(', ')}`, roles)
    .addHelpText(
      'after',
      examples(['nexus verifier token prometheus --roles auditor', 'while no other process holds the state']),
    )
    .action((name: string, flags: DatabaseFlags & { roles: Role[]; json?: boolean }) =>
      conclude(flags.json ?? false, () =>
        translated(async () => {
          const verifier = await createVerifier({ ...databaseOptions(flags), manufacturers: [] });
          try {
            const token = await verifier.createToken(name, flags.roles);
            return { json: { token }, text: token };
          } finally {
            await verifier.close();
          }
        }),
      ),
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
        const broken = await verifyAudit(auditLines(path));
        if (broken === null) return { json: { ok: true }, text: 'every entry chains' };
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
    .addCommand(serveCommand())
    .addCommand(tokenCommand())
    .addCommand(auditCommand());
}
