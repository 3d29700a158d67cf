/**
 * Complete attestations over HTTP: challenge, evidence made over its nonce (a 100-event log, a quote, a partition's
 * report), appraisal, signed result, verdict and audit entry on disk. PostgreSQL, the verifier and the load share the
 * machine. On a busy machine the clock tells little, so the processor time of all three is measured too: from it
 * follows what two free cores would do (one of them the verifier's, which is a single thread). Run: node scripts/tool.mjs bench/attestation-http.ts [--seconds 5]
 */
import fs from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VerifierClient } from '../attestation/client.ts';
import { authority, der } from '../test/support/certificate-authority.ts';
import { Postgres, postgresPrograms } from '../test/support/postgres.ts';
import { type SoftwareHost, softwareHost } from '../test/support/software-host.ts';
import { makeToken, VerifierProcess } from '../test/support/verifier-process.ts';
import { atLeast, atMost, type Figure, report } from './figures.ts';

const WANTED_PER_SECOND = 800;
const WANTED_P99_MS = 50;
const LOG_EVENTS = 100 - 11;
const CONNECTIONS = 128;

/** A lean client: the load generator shares two cores with what it measures. */
class Load {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  readonly #base: URL;

  constructor(base: string) {
    this.#base = new URL(base);
  }

  #post(path: string, body?: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const headers = body === undefined ? {} : { 'content-type': 'application/json', 'content-length': body.length };
      const { hostname, port } = this.#base;
      const sent = request({ agent: this.#agent, hostname, port, path, method: 'POST', headers }, (response) => {
        let text = '';
        response.setEncoding('latin1');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => {
          if ((response.statusCode ?? 500) < 300) resolve(text);
          else reject(new Error(text));
        });
      });
      sent.on('error', reject);
      sent.end(body);
    });
  }

  /** One complete attestation; throws unless it is affirmed. */
  async attest(host: SoftwareHost): Promise<void> {
    const { id, nonce } = JSON.parse(await this.#post('/v1/challenges')) as { id: string; nonce: string };
    const evidence = host.evidence(Buffer.from(nonce, 'base64url'), USER_DATA);
    const body = `{"challenge":"${id}","evidence":"${Buffer.from(evidence).toString('base64url')}"}`;
    const reply = await this.#post('/v1/attestations', body);
    if (!reply.startsWith('{"state":"affirming"')) throw new Error(reply);
  }

  close(): void {
    this.#agent.destroy();
  }
}

const USER_DATA = new Uint8Array(64).fill(7);

interface Measured {
  readonly count: number;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
}

const percentile = (sorted: readonly number[], share: number) =>
  sorted[Math.floor(sorted.length * share)] ?? Number.NaN;

/** As fast as `connections` loops go. */
async function saturate(load: Load, hosts: readonly SoftwareHost[], seconds: number): Promise<Measured> {
  const times: number[] = [];
  const start = performance.now();
  const until = start + seconds * 1000;
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async (_, worker) => {
      const host = hosts[worker % hosts.length] as SoftwareHost;
      while (performance.now() < until) {
        const began = performance.now();
        await load.attest(host);
        times.push(performance.now() - began);
      }
    }),
  );
  const elapsed = (performance.now() - start) / 1000;
  times.sort((a, b) => a - b);
  return {
    count: times.length,
    perSecond: times.length / elapsed,
    p50: percentile(times, 0.5),
    p99: percentile(times, 0.99),
  };
}

/** At a fixed rate; lateness of the generator counts as latency. */
async function paced(
  load: Load,
  hosts: readonly SoftwareHost[],
  perSecond: number,
  seconds: number,
): Promise<Measured> {
  const times: number[] = [];
  const pending: Promise<void>[] = [];
  const start = performance.now();
  const total = Math.floor(perSecond * seconds);
  for (let index = 0; index < total; index += 1) {
    const due = start + (index * 1000) / perSecond;
    while (performance.now() < due) await new Promise((resolve) => setTimeout(resolve, 1));
    const attested = load.attest(hosts[index % hosts.length] as SoftwareHost);
    pending.push(attested.then(() => void times.push(performance.now() - due)));
  }
  await Promise.all(pending);
  times.sort((a, b) => a - b);
  return { count: total, perSecond: total / seconds, p50: percentile(times, 0.5), p99: percentile(times, 0.99) };
}

/** Clock ticks of Linux's accounting are hundredths of a second on every platform that Node runs on. */
const TICKS_PER_SECOND = 100;

/** Processor seconds of a process and its children, living and dead. */
function processorSeconds(pid: number): number {
  const fields = (id: string) => {
    const stat = fs.readFileSync(`/proc/${id}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  };
  // From field 3 on: ppid is the 2nd, utime, stime, cutime and cstime the 12th to 15th.
  const spent = (id: string) =>
    fields(id)
      .slice(11, 15)
      .reduce((sum, ticks) => sum + Number(ticks), 0);
  let ticks = spent(String(pid));
  for (const id of fs.readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name))) {
    try {
      if (Number(fields(id)[1]) === pid) ticks += spent(id);
    } catch {
      // It ended while it was looked at.
    }
  }
  return ticks / TICKS_PER_SECOND;
}

interface Spent {
  readonly verifier: number;
  readonly postgres: number;
  readonly load: number;
}

const PARTS = ['verifier', 'postgres', 'load'] as const;

/** Run and print. What two free cores would do: one of them is the verifier's, the other two share the rest. */
async function measured(
  name: string,
  spent: () => Spent,
  run: () => Promise<Measured>,
): Promise<Measured & { readonly twoCores: number }> {
  const before = spent();
  const result = await run();
  const after = spent();
  const each = PARTS.map((part) => ((after[part] - before[part]) / result.count) * 1000);
  const twoCores = Math.min(2000 / each.reduce((sum, one) => sum + one, 0), 1000 / (each[0] ?? 0));
  const { perSecond, p50, p99 } = result;
  console.log(
    `  ${name.padEnd(28)} ${Math.round(perSecond).toString().padStart(6)}/s   p50 ${p50.toFixed(1)} ms   p99 ${p99.toFixed(1)} ms`,
  );
  const parts = PARTS.map((part, i) => `${part} ${each[i]?.toFixed(2)}`).join(', ');
  console.log(`    processor time of one, ms   ${parts}: ${Math.round(twoCores)}/s on two free cores`);
  return { ...result, twoCores };
}

/** The figures of issue 6 that need HTTP and PostgreSQL; none where PostgreSQL is not installed. */
export async function httpFigures(seconds: number): Promise<Figure[]> {
  const programs = postgresPrograms();
  if (programs === undefined) {
    console.log('HTTP with PostgreSQL: skipped, PostgreSQL is not installed (apt-get install postgresql)');
    return [];
  }
  const directory = fs.mkdtempSync(join(tmpdir(), 'nexus-bench-'));
  const postgres = await Postgres.start(programs);
  const database = ['--database', postgres.url, '--kek', join(directory, 'kek')];
  let verifier: VerifierProcess | undefined;
  try {
    const manufacturer = await authority('Manufacturer');
    fs.writeFileSync(join(directory, 'ca.der'), der(manufacturer.certificate));
    verifier = await VerifierProcess.start([...database, '--manufacturer-ca', join(directory, 'ca.der')]);
    const admin = new VerifierClient(verifier.url, { token: await makeToken(database, 'admin') });
    const hosts = await Promise.all(Array.from({ length: 8 }, () => softwareHost(manufacturer, LOG_EVENTS)));
    for (const [index, host] of hosts.entries()) {
      await admin.enrol(host.tpm, `host-${index}`);
      await admin.putReference('default', host.reference);
    }
    const load = new Load(verifier.url);
    await saturate(load, hosts, Math.min(2, seconds));
    console.log(`complete attestations over HTTP, ${CONNECTIONS} connections, PostgreSQL on the same machine`);
    const { pid } = verifier;
    const spent = (): Spent => {
      const { user, system } = process.cpuUsage();
      return {
        verifier: processorSeconds(pid),
        postgres: processorSeconds(postgres.pid),
        load: (user + system) / 1e6,
      };
    };
    const full = await measured('saturated', spent, () => saturate(load, hosts, seconds));
    const half = await measured('half of the wanted load', spent, () =>
      paced(load, hosts, WANTED_PER_SECOND / 2, seconds),
    );
    load.close();
    return [
      atLeast('HTTP attestations with PostgreSQL, two cores of processor time', WANTED_PER_SECOND, full.twoCores, '/s'),
      atMost('p99 at half of that load', WANTED_P99_MS, half.p99, ' ms'),
    ];
  } finally {
    await verifier?.stop();
    await postgres.stop();
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

if (process.argv[1]?.includes('attestation-http')) {
  const seconds = Number(process.argv[process.argv.indexOf('--seconds') + 1]) || 5;
  process.exitCode = report(await httpFigures(seconds));
}
