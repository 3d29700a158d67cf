/** A host over its life, through the command: started from a file, asked, restarted, refused, and never remade silently. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { askHost } from 'nexus-tcb/nexus/host';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildGuests } from '../guests/index.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const MAIN = join(root, 'dist/cli/main.js');
let directory = '';
const inDirectory = (name: string) => join(directory, name);

function nexus(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], { cwd: directory, encoding: 'utf8' });
  return { status, stdout, stderr };
}
const json = (...args: string[]) => JSON.parse(nexus(...args, '--json').stdout) as Record<string, unknown>;
const errorOf = (...args: string[]) => json(...args).error as { code: string; message: string; remedy: string };

/** Start `nexus up` and wait until its output matches. */
function up(file: string, until: RegExp): Promise<{ child: ChildProcess; text: () => string }> {
  const child = spawn(process.execPath, [MAIN, 'up', file], { cwd: directory });
  let text = '';
  return new Promise((done, fail) => {
    const take = (data: Buffer) => {
      text += data.toString();
      if (until.test(text)) done({ child, text: () => text });
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.on('exit', (code) => fail(new Error(`nexus up ended with ${code}:\n${text}`)));
  });
}

const stop = (child: ChildProcess, signal: NodeJS.Signals) =>
  new Promise<number | null>((done) => {
    child.removeAllListeners('exit');
    child.on('exit', (code) => done(code));
    child.kill(signal);
  });

const HOST = `state: ./state
partitions:
  - name: vault
    kind: trusted
    image: vault.elf
    manifest: vault.manifest
    mode: unseal
  - name: neighbour
    kind: standard
    image: neighbour.elf
    mode: spin
`;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'nexus-host-'));
  const guests = await buildGuests();
  cpSync(guests.vault, inDirectory('vault.elf'));
  cpSync(guests.neighbour, inDirectory('neighbour.elf'));
  writeFileSync(inDirectory('host.yaml'), HOST);
  expect(nexus('manifest', 'key', '-o', 'signer.pem').status).toBe(0);
  const sign = ['manifest', 'sign', '--image', 'vault.elf', '--name', 'vault', '--svn', '1', '--key', 'signer.pem'];
  expect(nexus(...sign, '-o', 'vault.manifest').status).toBe(0);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('nexus up', () => {
  test('runs partitions with their names before their lines, answers ps, refuses a second host, and ends on Ctrl-C', async () => {
    const { child, text } = await up('host.yaml', /vault\s+\| refused op=LOAD/);
    try {
      const partitions = json('ps', '--state', 'state') as unknown as { name: string; state: string }[];
      expect(partitions.map(({ name }) => name)).toEqual(['vault', 'neighbour']);
      expect(partitions[1]?.state).toBe('running');

      const second = nexus('up', 'host.yaml', '--json');
      expect(second.status).toBe(3);
      const { code, message } = JSON.parse(second.stdout).error;
      expect(code).toBe('E_STATE_LOCKED');
      expect(message).toContain(String(child.pid));
    } finally {
      expect(await stop(child, 'SIGINT')).toBe(0);
    }
    expect(text()).toMatch(/^vault\s+\| /m);
    expect(errorOf('ps', '--state', 'state').code).toBe('E_NOT_RUNNING');
  });

  test('starts again after kill -9 without repair, as the same platform', async () => {
    const before = json('attest', '--state', 'state', '--ak-out', 'before.pub');
    expect(before).toHaveProperty('written');
    const { child } = await up('host.yaml', /neighbour \| standard/);
    await stop(child, 'SIGKILL');
    json('attest', '--state', 'state', '--ak-out', 'after.pub');
    expect(readFileSync(inDirectory('after.pub'))).toEqual(readFileSync(inDirectory('before.pub')));
  });
});

describe('starting again', () => {
  const shown = (text: string, pattern: RegExp) => text.match(new RegExp(pattern, 'gm'))?.length ?? 0;

  test('a stopped and a running partition by nexus restart, with their channel, while others run on', async () => {
    writeFileSync(
      inDirectory('again.yaml'),
      `${HOST.replace('mode: spin', 'mode: spin\n    vtpm: true')}channels:\n  - [vault, neighbour]\n`,
    );
    const { child, text } = await up('again.yaml', /vault\s+\| ended: halt/);
    try {
      const running = (name: string) =>
        (json('ps', '--state', 'state') as unknown as { name: string; state: string; codeIdentity?: string }[]).find(
          (partition) => partition.name === name,
        );
      const identity = running('vault')?.codeIdentity;
      expect(running('vault')?.state).toBe('stopped');
      expect(nexus('restart', 'vault', '--state', 'state').stdout).toContain('vault: started again');
      while (shown(text(), /^vault\s+\| refused op=LOAD/) < 2) {
        await new Promise((done) => child.stdout?.once('data', done));
      }
      expect(running('vault')?.codeIdentity).toBe(identity);
      expect(nexus('restart', 'neighbour', '--state', 'state').status).toBe(0);
      expect(running('neighbour')?.state).toBe('running');
      // Its TPM was off and on again meanwhile, and is certified by the nexus; the vault has none.
      const certificate = (name: string) => askHost(inDirectory('state'), 'ekCertificate', { name });
      expect(await certificate('neighbour')).toMatch(/^3082/);
      await expect(certificate('vault')).rejects.toThrow(/E_PARTITION_STATE.*no TPM/);
      expect(errorOf('restart', 'nobody', '--state', 'state').message).toContain('E_NO_PARTITION');
    } finally {
      expect(await stop(child, 'SIGINT')).toBe(0);
    }
  }, 120_000);

  test('a partition that crashes, by the host, each crash one event with its reason', async () => {
    const crashing = HOST.replace('mode: spin', 'mode: fault\n    vtpm: true\n    restart: on-crash');
    writeFileSync(inDirectory('crashing.yaml'), crashing);
    const { child, text } = await up('crashing.yaml', /(neighbour \| crashed: [\s\S]*){3}/);
    expect(await stop(child, 'SIGINT')).toBe(0);
    expect(shown(text(), /^neighbour \| standard/)).toBeGreaterThanOrEqual(3);
    expect(text()).toMatch(/neighbour \| crashed.*RuntimeError/);
  });
});

describe('sealing and attesting by command', () => {
  test('what is sealed opens here and nowhere else', () => {
    writeFileSync(inDirectory('token'), 'a token');
    expect(nexus('seal', 'token', '-o', 'token.sealed', '--state', 'state').status).toBe(0);
    expect(nexus('unseal', 'token.sealed', '-o', 'token.open', '--state', 'state').status).toBe(0);
    expect(readFileSync(inDirectory('token.open'), 'utf8')).toBe('a token');
    expect(statSync(inDirectory('token.open')).mode & 0o777).toBe(0o600);
    expect(nexus('unseal', 'token.sealed', '-o', 'no', '--state', 'elsewhere').status).not.toBe(0);
  });

  test('evidence verifies offline against recorded reference values, for its nonce only', () => {
    const nonce = '00112233445566778899aabbccddeeff';
    const files = ['--ak-out', 'ak.pub', '--reference-out', 'ref.json', '-o', 'evidence.cbor'];
    expect(nexus('attest', '--state', 'state', '--nonce', nonce, ...files).status).toBe(0);
    const verify = (used: string) =>
      nexus('verify', 'evidence.cbor', '--nonce', used, '--ak', 'ak.pub', '--reference', 'ref.json');
    expect(verify(nonce).status).toBe(0);
    const other = verify(nonce.replace('00', '01'));
    expect(other.status).toBe(1);
    expect(other.stdout).toContain('quote-binding');
    // A platform alone does not say what it was asked.
    const without = nexus('attest', 'verify', 'evidence.cbor', '--ak', 'ak.pub', '--reference', 'ref.json');
    expect(without).toMatchObject({ status: 2, stderr: expect.stringContaining('E_NONCE') });
  });
});

describe('a user mistake', () => {
  test.each([
    [
      'a host file with a wrong key',
      () => writeFileSync(inDirectory('bad.yaml'), HOST.replace('kind: trusted', 'kindd: x')),
      ['up', 'bad.yaml'],
      'E_CONFIG',
      2,
    ],
    ['a host file that is not there', () => {}, ['up', 'nowhere.yaml'], 'ENOENT', 2],
    [
      'an image that is none',
      () => writeFileSync(inDirectory('bad.yaml'), HOST.replaceAll('neighbour.elf', 'signer.pem')),
      ['up', 'bad.yaml'],
      'E_IMAGE',
      2,
    ],
    [
      'a manifest that is none',
      () => writeFileSync(inDirectory('bad.yaml'), HOST.replace('vault.manifest', 'vault.elf')),
      ['up', 'bad.yaml'],
      'E_MANIFEST',
      2,
    ],
    [
      'evidence that is none',
      () => {},
      ['verify', 'vault.elf', '--nonce', '0011223344556677', '--ak', 'ak.pub', '--reference', 'ref.json'],
      'E_EVIDENCE',
      2,
    ],
    [
      'signing a manifest of what would not start',
      () => {},
      ['manifest', 'sign', '--image', 'signer.pem', '--name', 'v', '--key', 'signer.pem', '-o', 'x'],
      'E_IMAGE',
      2,
    ],
    [
      'a key that is none',
      () => {},
      ['manifest', 'sign', '--image', 'vault.elf', '--name', 'v', '--key', 'vault.elf', '-o', 'x'],
      'E_KEY',
      2,
    ],
  ] as const)('%s: a code, the cause and the way out, and no stack trace', (_, prepare, args, code, status) => {
    prepare();
    const result = nexus(...args);
    expect(result.status).toBe(status);
    expect(result.stderr).toContain(code);
    expect(result.stderr).toContain('way out:');
    expect(result.stderr).not.toMatch(/^\s+at /m);
  });

  test('a damaged state directory is named, and nothing is made anew', () => {
    cpSync(inDirectory('state'), inDirectory('damaged'), {
      recursive: true,
      filter: (source) => statSync(source).isDirectory() || statSync(source).isFile(),
    });
    const file = join(directory, 'damaged/tpm/state');
    const bytes = readFileSync(file);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    bytes[40] = (bytes[40] ?? 0) ^ 1;
    writeFileSync(file, bytes);
    const before = readdirSync(inDirectory('damaged'));
    const { code, message } = errorOf('attest', '--state', 'damaged', '--ak-out', 'x.pub');
    expect(code).toBe('E_STATE_CORRUPT');
    expect(message).toContain('damaged/tpm');
    expect(readdirSync(inDirectory('damaged'))).toEqual(before);
    expect(readFileSync(file)).toEqual(bytes);
  });

  test("an older copy of what the nexus keeps is refused by the TPM's counter, and the newer one opens", () => {
    const attest = ['attest', '--state', 'state', '--ak-out', 'x.pub'];
    const [kept, older, newer] = [inDirectory('state/nexus'), inDirectory('older'), inDirectory('newer')];
    cpSync(kept, older, { recursive: true });
    expect(nexus(...attest).status).toBe(0);
    renameSync(kept, newer);
    cpSync(older, kept, { recursive: true });
    expect(errorOf(...attest).code).toBe('E_STATE_ROLLED_BACK');
    rmSync(kept, { recursive: true });
    renameSync(newer, kept);
    expect(nexus(...attest).status).toBe(0);
  });
});
