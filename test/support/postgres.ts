/** A PostgreSQL server of a test's own: in a temporary directory, on a free port, gone at the end. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';

const DEBIAN = '/usr/lib/postgresql';
const READY_ATTEMPTS = 200;

/** Directory of the server's programs, or undefined where PostgreSQL is not installed. */
export function postgresPrograms(): string | undefined {
  const versions = fs.existsSync(DEBIAN) ? fs.readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a)) : [];
  const candidates = [
    ...versions.map((version) => join(DEBIAN, version, 'bin')),
    ...(process.env.PATH ?? '').split(':'),
  ];
  return candidates.find((directory) => ['initdb', 'postgres'].every((name) => fs.existsSync(join(directory, name))));
}

/** PostgreSQL refuses to run as root: use its own account then. */
function account(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const id = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

export class Postgres {
  readonly url: string;
  readonly #programs: string;
  readonly #directory: string;
  readonly #port: number;
  readonly #account = account();
  #server: ChildProcess | undefined;

  private constructor(programs: string, directory: string, port: number) {
    this.#programs = programs;
    this.#directory = directory;
    this.#port = port;
    this.url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  }

  static async start(programs: string): Promise<Postgres> {
    const directory = fs.mkdtempSync(join(tmpdir(), 'nexus-postgres-'));
    const postgres = new Postgres(programs, directory, await freePort());
    if (postgres.#account !== undefined) fs.chownSync(directory, postgres.#account.uid, postgres.#account.gid);
    execFileSync(
      join(programs, 'initdb'),
      ['-D', join(directory, 'data'), '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-locale', '-N'],
      { stdio: 'ignore', ...postgres.#account },
    );
    await postgres.run();
    return postgres;
  }

  /** Start the server (again) and wait until it answers. */
  async run(): Promise<void> {
    const data = join(this.#directory, 'data');
    const settings = ['-h', '127.0.0.1', '-p', String(this.#port), '-k', this.#directory];
    const log = fs.openSync(join(this.#directory, 'log'), 'a');
    this.#server = spawn(join(this.#programs, 'postgres'), ['-D', data, ...settings], {
      stdio: ['ignore', log, log],
      ...this.#account,
    });
    fs.closeSync(log);
    for (let attempt = 0; ; attempt += 1) {
      const client = new pg.Client({ connectionString: this.url });
      try {
        await client.connect();
        await client.end();
        return;
      } catch (error) {
        if (attempt === READY_ATTEMPTS || this.#server.exitCode !== null) throw error;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }

  get pid(): number {
    return this.#server?.pid ?? 0;
  }

  /** `kill -9` of the postmaster and its children; what was not committed is lost. */
  async kill(): Promise<void> {
    const server = this.#server;
    if (server?.pid === undefined || server.exitCode !== null) return;
    const children = execFileSync('ps', ['-o', 'pid=', '--ppid', String(server.pid)], { encoding: 'utf8' });
    const gone = once(server, 'exit');
    server.kill('SIGKILL');
    for (const pid of children.split(/\s+/).filter(Boolean)) {
      try {
        process.kill(Number(pid), 'SIGKILL');
      } catch {
        // It ended by itself when its parent did.
      }
    }
    await gone;
    fs.rmSync(join(this.#directory, 'data', 'postmaster.pid'), { force: true });
  }

  async stop(): Promise<void> {
    const server = this.#server;
    if (server !== undefined && server.exitCode === null && server.signalCode === null) {
      const gone = once(server, 'exit');
      server.kill('SIGINT');
      await gone;
    }
    fs.rmSync(this.#directory, { recursive: true, force: true });
  }
}
