/**
 * Packages of a Debian-like distribution for a guest of any architecture, without root and without touching the
 * host's own package state: apt with directories of our own. apt verifies the archive's signature and every package's
 * digest when it fetches; we keep the digest and check it again each time the cache is used.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { StoreError } from '../../tpm/state/store-error.ts';
import { type DirectoryLock, lockDirectory } from '../../tpm/state/store-lock.ts';
import { LinuxGuestError } from './error.ts';
import { runTool } from './tool.ts';

/** Names as the distribution gives them. */
export type DebianArchitecture = 'i386' | 'amd64';

export interface PackageFile {
  readonly package: string;
  /** The .deb in the cache. */
  readonly file: string;
  readonly sha256: string;
}

/** Where the distribution's trust anchors and sources stand on this machine. */
const SOURCES = '/etc/apt/sources.list.d/debian.sources';
/** Another process on a slow mirror is waited for this long, ms. */
const TURN_LIMIT_MS = 300_000;
const TURN_POLL_MS = 250;
const SOURCES_OLD_STYLE = '/etc/apt/sources.list';

/** Where packages of guests are kept, unless somebody says otherwise. */
export const linuxCache = (): string => process.env.NEXUS_CACHE ?? join(homedir(), '.cache', 'nexus', 'linux');

export class AptCache {
  readonly directory: string;
  readonly architecture: DebianArchitecture;
  readonly #config: string;
  readonly #listsFetched: string;

  /** `directory` is created; caches of different architectures do not share one. */
  constructor(directory: string, architecture: DebianArchitecture) {
    this.directory = join(directory, architecture);
    this.architecture = architecture;
    this.#config = join(this.directory, 'apt.conf');
    this.#listsFetched = join(this.directory, 'lists-fetched');
  }

  /**
   * The packages named (exact names) as verified files, fetched when the cache lacks them.
   * Throws LinuxGuestError: LINUX_TOOL without apt, LINUX_FETCH when the archive has none, LINUX_CACHE on tampering.
   */
  async packages(names: readonly string[]): Promise<PackageFile[]> {
    const missing = () => names.filter((name) => this.#recorded(name) === undefined);
    await this.#inTurn(
      () => missing().length === 0,
      () => this.#fetch(missing()),
    );
    return names.map((name) => {
      const found = this.#recorded(name);
      if (found === undefined) throw new LinuxGuestError('LINUX_FETCH', `apt did not deliver ${name}`);
      const actual = createHash('sha256').update(readFileSync(found.file)).digest('hex');
      if (actual !== found.sha256) {
        throw new LinuxGuestError('LINUX_CACHE', `${found.file} was changed after it was verified; delete it`);
      }
      return found;
    });
  }

  /** The newest package whose name matches, by dependency of a metapackage: what `metapackage` depends on first. */
  firstDependency(metapackage: string): Promise<string> {
    return this.#answer(`${metapackage}.depends`, async () => {
      const shown = await this.#apt('apt-cache', ['depends', '--important', metapackage]);
      const name = /Depends: (\S+)/.exec(shown)?.[1];
      if (name === undefined) throw new LinuxGuestError('LINUX_FETCH', `${metapackage} names no package to depend on`);
      return name;
    });
  }

  /** Names of everything that `name` needs to run, itself included, as apt resolves it on an empty system. */
  async closure(name: string): Promise<string[]> {
    const names = await this.#answer(`${name}.closure`, async () => {
      const plan = await this.#apt('apt-get', ['install', '--simulate', '--no-install-recommends', name]);
      const installed = [...plan.matchAll(/^Inst (\S+)/gm)].map((match) => match[1] ?? '');
      if (installed.length === 0) throw new LinuxGuestError('LINUX_FETCH', `apt finds no way to install ${name}`);
      return installed.join('\n');
    });
    return names.split('\n');
  }

  /** The tree of a package's files, unpacked once. */
  async unpacked(entry: PackageFile): Promise<string> {
    const tree = join(this.directory, 'trees', entry.sha256);
    await this.#inTurn(
      () => existsSync(tree),
      async () => {
        const fresh = `${tree}.new`;
        rmSync(fresh, { recursive: true, force: true });
        mkdirSync(fresh, { recursive: true });
        await runTool('dpkg-deb', ['--extract', entry.file, fresh]);
        renameSync(fresh, tree);
      },
    );
    return tree;
  }

  /** What apt said to a question, asked once. */
  async #answer(record: string, ask: () => Promise<string>): Promise<string> {
    const file = join(this.directory, record);
    await this.#inTurn(
      () => existsSync(file),
      async () => {
        await this.#prepare();
        writeWhole(file, await ask());
      },
    );
    return readFileSync(file, 'utf8');
  }

  #recorded(name: string): PackageFile | undefined {
    const record = join(this.directory, 'debs', `${name}.json`);
    if (!existsSync(record)) return undefined;
    const { file, sha256 } = JSON.parse(readFileSync(record, 'utf8')) as { file: string; sha256: string };
    return { package: name, file: join(this.directory, 'debs', file), sha256 };
  }

  async #fetch(names: readonly string[]): Promise<void> {
    await this.#prepare();
    const debs = join(this.directory, 'debs');
    const download = () => this.#apt('apt-get', ['download', ...names], debs);
    // Lists of some weeks ago name versions that the archive no longer has.
    await download().catch(async () => {
      rmSync(this.#listsFetched);
      await this.#prepare();
      await download();
    });
    const files = await readdir(debs);
    for (const name of names) {
      const file = files.find((candidate) => candidate.startsWith(`${name}_`) && candidate.endsWith('.deb'));
      if (file === undefined) continue;
      const sha256 = createHash('sha256')
        .update(readFileSync(join(debs, file)))
        .digest('hex');
      writeWhole(join(debs, `${name}.json`), JSON.stringify({ file, sha256 }));
    }
  }

  /** Make what the cache lacks, unless it is `there` by then: one process changes the cache at a time. */
  async #inTurn(there: () => boolean, make: () => Promise<void>): Promise<void> {
    const deadline = Date.now() + TURN_LIMIT_MS;
    while (!there()) {
      const lock = this.#tryLock();
      if (lock === undefined) {
        if (Date.now() > deadline) {
          throw new LinuxGuestError('LINUX_FETCH', `another process has been filling ${this.directory} for too long`);
        }
        await setTimeout(TURN_POLL_MS);
        continue;
      }
      try {
        if (!there()) await make();
      } finally {
        lock.release();
      }
    }
  }

  #tryLock(): DirectoryLock | undefined {
    mkdirSync(this.directory, { recursive: true, mode: 0o700 });
    try {
      return lockDirectory(this.directory);
    } catch (error) {
      if (error instanceof StoreError && error.code === 'LOCKED') return undefined;
      throw error;
    }
  }

  /** Own state, the distribution's sources, package lists fetched once. */
  async #prepare(): Promise<void> {
    if (existsSync(this.#listsFetched)) return;
    const sources = existsSync(SOURCES) ? SOURCES : SOURCES_OLD_STYLE;
    if (!existsSync(sources)) {
      throw new LinuxGuestError('LINUX_TOOL', `No apt sources at ${SOURCES}: Linux guests need a Debian-like host.`);
    }
    for (const part of ['state/lists/partial', 'cache/archives/partial', 'debs', 'trees', 'sources']) {
      mkdirSync(join(this.directory, part), { recursive: true });
    }
    const own = join(this.directory, 'sources', sources === SOURCES ? 'debian.sources' : 'debian.list');
    writeFileSync(own, readFileSync(sources));
    writeFileSync(join(this.directory, 'state/status'), '');
    writeFileSync(
      this.#config,
      [
        `APT::Architecture "${this.architecture}";`,
        `APT::Architectures { "${this.architecture}"; };`,
        `Dir::State "${join(this.directory, 'state')}";`,
        `Dir::State::status "${join(this.directory, 'state/status')}";`,
        `Dir::Cache "${join(this.directory, 'cache')}";`,
        'Dir::Etc::sourcelist "/dev/null";',
        `Dir::Etc::sourceparts "${join(this.directory, 'sources')}";`,
        'Acquire::Languages "none";',
        'APT::Sandbox::User "";',
        'APT::Get::List-Cleanup "false";',
        '',
      ].join('\n'),
    );
    // One archive of several may fail (a mirror in the middle of an update); what is asked for decides. None is none.
    await this.#apt('apt-get', ['update', '-qq']).catch((error: unknown) => {
      const lists = readdirSync(join(this.directory, 'state/lists')).filter((name) => name.includes('_Packages'));
      if (lists.length === 0) throw error;
    });
    writeFileSync(this.#listsFetched, '');
  }

  async #apt(tool: 'apt-get' | 'apt-cache', args: readonly string[], cwd?: string): Promise<string> {
    const { stdout } = await runTool(tool, args, {
      env: { ...process.env, APT_CONFIG: this.#config, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
      ...(cwd === undefined ? {} : { cwd }),
    });
    return stdout.toString('utf8');
  }
}

/** Write a file that is there whole or not at all, also for who reads it without the lock. */
function writeWhole(path: string, content: string): void {
  writeFileSync(`${path}.new`, content);
  renameSync(`${path}.new`, path);
}
