/**
 * Upgrades of a platform, by processes of different builds: copies of the built product, each with a line of its own in a
 * file of the nexus, so that each is measured to a PCR 17 of its own. docs/release.md says what they may open.
 */
import { spawnSync } from 'node:child_process';
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launchPcr, readNexusFiles, signRelease } from 'nexus-tcb/nexus/launch';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { buildGuests } from '../guests/index.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
let directory = '';
let releaseKey: KeyObject;
const inDirectory = (name: string) => join(directory, name);

const KILL = "process.kill(process.pid, 'SIGKILL');\n";

/** A build that differs from this one in `file` of `dist/nexus`. */
function makeBuild(name: string, file: string, edit: (text: string) => string): void {
  const build = inDirectory(name);
  mkdirSync(build);
  cpSync(join(root, 'dist'), join(build, 'dist'), { recursive: true });
  cpSync(join(root, 'package.json'), join(build, 'package.json'));
  symlinkSync(join(root, 'node_modules'), join(build, 'node_modules'), 'dir');
  const path = join(build, 'dist/nexus', file);
  const text = readFileSync(path, 'utf8');
  expect(edit(text)).not.toBe(text);
  writeFileSync(path, edit(text));
}
const oneLineMore = (line: string) => (text: string) => `${text}\n// ${line}\n`;
const dyingAt = (place: string) => (text: string) => text.replace(place, KILL + place);

function nexus(build: string, ...args: string[]) {
  const main = join(build, 'dist/cli/main.js');
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
    cwd: directory,
    encoding: 'utf8',
  });
  return { status, signal, stdout, stderr };
}
const json = (build: string, ...args: string[]) => JSON.parse(nexus(build, ...args, '--json').stdout);
function refusal(build: string, ...args: string[]): { status: number | null; code: string; remedy: string } {
  const { status, stdout } = nexus(build, ...args, '--json');
  const { code, remedy } = JSON.parse(stdout).error;
  return { status, code, remedy };
}

interface PlatformLine {
  readonly pcrs: Record<number, string>;
  readonly nexusKey: string;
  readonly rootSecretCreated: boolean;
  readonly release?: number;
}
/** Start the host, let its guest greet and end; what it says of the platform. */
function up(build: string, ...args: string[]): PlatformLine {
  const { status, stdout, stderr } = nexus(build, 'up', 'host.yaml', '--until-exit', '--json', ...args);
  expect(status, stdout + stderr).toBe(0);
  const events = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(events).toContainEqual(expect.objectContaining({ kind: 'result', line: 'greeted' }));
  return events.find(({ kind }) => kind === 'platform');
}

/** A release statement of a build, as `nexus release sign` makes it there. */
function release(build: string, svn: number, key = releaseKey): string {
  const file = `${build}-${svn}-${key === releaseKey ? '' : 'foreign'}.release`;
  const pcr17 = launchPcr(readNexusFiles(inDirectory(`${build}/dist/nexus`)));
  writeFileSync(inDirectory(file), signRelease({ svn, pcr17 }, key));
  return file;
}

/** What the operator sealed under the first build, or the code of the refusal, as `build` opens it with a statement. */
function opened(build: string, statement?: string): string {
  rmSync(inDirectory('opened'), { force: true });
  const standing = inDirectory('state/nexus.release');
  rmSync(standing, { force: true });
  if (statement !== undefined) cpSync(inDirectory(statement), standing);
  const unseal = ['unseal', 'token.sealed', '-o', 'opened', '--state', 'state', '--json'];
  const { status, signal, stdout } = nexus(build, ...unseal);
  if (signal !== null) return signal;
  return status === 0 ? readFileSync(inDirectory('opened'), 'utf8') : JSON.parse(stdout).error.code;
}

/** The guest has a TPM, whose state opens with keys of the root secret only. */
const HOST = `state: ./state
release-key: release-key.pem.pub
partitions:
  - name: neighbour
    kind: standard
    image: neighbour.elf
    mode: greet
    vtpm: true
`;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'nexus-upgrade-'));
  cpSync((await buildGuests()).neighbour, inDirectory('neighbour.elf'));
  writeFileSync(inDirectory('host.yaml'), HOST);
  writeFileSync(inDirectory('token'), 'a token');
  makeBuild('first', 'core/index.js', oneLineMore('the first build'));
  makeBuild('second', 'core/index.js', oneLineMore('the second build'));
  makeBuild('third', 'core/index.js', oneLineMore('the third build'));
  makeBuild('dies-before-seal', 'host/store.js', dyingAt('return this.records.commit(rootRecords(root));'));
  makeBuild('dies-after-seal', 'host/root-secret.js', dyingAt('await this.releases?.least.raise(svn);'));
  expect(nexus('first', 'release', 'key', '-o', 'release-key.pem').status).toBe(0);
  releaseKey = createPrivateKey(readFileSync(inDirectory('release-key.pem')));
  // One platform of the first build, copied for each test.
  expect(up('first').rootSecretCreated).toBe(true);
  expect(nexus('first', 'seal', 'token', '-o', 'token.sealed', '--state', 'state').status).toBe(0);
  cpSync(inDirectory('state'), inDirectory('made'), { recursive: true });
}, 180_000);
afterAll(() => rmSync(directory, { recursive: true, force: true }));
beforeEach(() => {
  rmSync(inDirectory('state'), { recursive: true, force: true });
  cpSync(inDirectory('made'), inDirectory('state'), { recursive: true });
});

describe('a release', () => {
  test('names the register that its build is measured to, and is read by any build', () => {
    const sign = ['release', 'sign', '--key', 'release-key.pem', '--svn', '2', '-o', 'second.release'];
    const { pcr17, signer } = json('second', ...sign) as { pcr17: string; signer: string };
    expect(up('second', '--release', 'second.release').pcrs[17]).toBe(pcr17);
    expect(json('first', 'release', 'show', 'second.release')).toEqual({ svn: 2, pcr17, signer, thisBuild: false });
    expect(statSync(inDirectory('release-key.pem')).mode & 0o777).toBe(0o600);
    const again = refusal('first', 'release', 'key', '-o', 'release-key.pem');
    expect([again.status, again.code]).toEqual([2, 'EEXIST']);
  });

  test('opens to a new build what the old one sealed, once and for all', () => {
    const before = up('first');
    const upgraded = up('second', '--release', release('second', 2));
    expect(upgraded).toMatchObject({ nexusKey: before.nexusKey, rootSecretCreated: false, release: 2 });
    expect(upgraded.pcrs[17]).not.toBe(before.pcrs[17]);
    expect(opened('second')).toBe('a token');
    // From release to release, this time by the statement in the state directory, whatever command comes first.
    expect(opened('third', release('third', 3))).toBe('a token');
    const third = up('third');
    expect(third.nexusKey).toBe(before.nexusKey);
    expect(third.release).toBeUndefined();
  });

  test('is needed: without one, or with one that says something else, the root secret stays sealed', () => {
    const without = refusal('second', 'up', 'host.yaml');
    expect([without.status, without.code]).toEqual([1, 'E_ROOT_SEALED']);
    expect(without.remedy).toContain('nexus up --release FILE');
    const foreign = release('second', 2, generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
    expect(refusal('second', 'up', 'host.yaml', '--release', foreign)).toMatchObject({
      status: 1,
      code: 'E_RELEASE_KEY',
    });
    expect(opened('second', release('third', 2))).toBe('E_RELEASE_BUILD');
    const statement = readFileSync(inDirectory(release('second', 2)));
    const svn = statement.indexOf('svn') + 3;
    writeFileSync(inDirectory('forged.release'), statement.fill((statement[svn] ?? 0) + 1, svn, svn + 1));
    expect(opened('second', 'forged.release')).toBe('E_RELEASE_SIGNATURE');
    expect(refusal('second', 'up', 'host.yaml', '--release', 'token')).toMatchObject({ status: 2, code: 'E_RELEASE' });
    expect(opened('first')).toBe('a token');
  });

  test('keeps an older one from ever opening the platform again, with a statement, or with the older files', () => {
    expect(opened('second', release('second', 2))).toBe('a token');
    expect(opened('first')).toBe('E_ROOT_SEALED');
    expect(opened('first', release('first', 1))).toBe('E_RELEASE_ROLLED_BACK');
    // The root secret as it was sealed to the first build: the platform TPM knows better.
    rmSync(inDirectory('state/nexus'), { recursive: true });
    cpSync(inDirectory('made/nexus'), inDirectory('state/nexus'), { recursive: true });
    expect(opened('first')).toBe('E_RELEASE_ROLLED_BACK');
  });

  test('of the same version lets one go back, by a statement of the other build', () => {
    expect(opened('second', release('second', 0))).toBe('a token');
    expect(opened('first', release('first', 0))).toBe('a token');
  });

  test('of the running build gives a platform its version: what is older is refused from then on', () => {
    expect(up('first', '--release', release('first', 2)).release).toBe(2);
    expect(opened('first')).toBe('a token');
    expect(opened('second', release('second', 1))).toBe('E_RELEASE_ROLLED_BACK');
  });
});

describe('kill -9 in an upgrade', () => {
  test('before the root secret is sealed anew leaves the platform to the old build and to the new one', () => {
    expect(opened('dies-before-seal', release('dies-before-seal', 2))).toBe('SIGKILL');
    expect(opened('first')).toBe('a token');
    expect(opened('second', release('second', 2))).toBe('a token');
    expect(opened('second')).toBe('a token');
  });

  test('after it leaves the platform to releases', () => {
    expect(opened('dies-after-seal', release('dies-after-seal', 2))).toBe('SIGKILL');
    expect(opened('first')).toBe('E_ROOT_SEALED');
    expect(opened('second', release('second', 2))).toBe('a token');
  });
});

test('the first command on a state directory chooses its release key', () => {
  rmSync(inDirectory('state'), { recursive: true });
  const attest = ['attest', '--state', 'state', '--ak-out', 'ak.pub', '--release-key', 'release-key.pem.pub'];
  expect(nexus('first', ...attest).stderr).toMatch(/made a new platform in state.*and its releases/);
  const refusedKey = refusal('first', ...attest.slice(0, -1), 'release-key.pem');
  expect(refusedKey).toMatchObject({ status: 2, code: 'E_CONFIG' });
  expect(up('first').rootSecretCreated).toBe(false);
  expect(up('second', '--release', release('second', 1))).toMatchObject({ rootSecretCreated: false, release: 1 });
});

describe('a platform without a release key', () => {
  test('opens to its build alone, takes no release, and no key later', () => {
    rmSync(inDirectory('state'), { recursive: true });
    writeFileSync(inDirectory('no-key.yaml'), HOST.replace(/^release-key.*\n/m, '').replace(/^ +vtpm.*\n/m, ''));
    expect(nexus('first', 'up', 'no-key.yaml', '--until-exit').status).toBe(0);
    expect(opened('first')).toBe('E_UNSEAL_REFUSED'); // it opens, and is another platform than the token's
    expect(opened('second')).toBe('E_ROOT_SEALED');
    expect(opened('second', release('second', 2))).toBe('E_RELEASE_KEY');
    const late = refusal('first', 'up', 'host.yaml');
    expect(late).toMatchObject({ status: 1, code: 'E_RELEASE_KEY' });
    expect(late.remedy).toMatch(/another state directory/);
  });
});
