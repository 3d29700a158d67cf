/**
 * A stock Linux as a partition of a host, through the command: its quote verified down to the platform TPM, suspended
 * and restored. Run by `npm run test:linux`.
 */
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { challengeGuest, encodeMachineEvidence } from 'nexus-tcb/attestation';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseEventLog } from '../../attestation/eventlog/format.ts';
import { replayLog } from '../../attestation/eventlog/replay.ts';
import type { GuestShell } from '../support/guest-shell.ts';
import { linuxSkip, linuxTitle } from '../support/linux.ts';
import { hasTerminal, Terminal } from '../support/terminal.ts';
import { nexus, RunningHost } from '../support/up.ts';

const SHA256 = 0x000b;
const PCRS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
const nonce = '5a'.repeat(32);
const hex = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString('hex');

describe.skipIf(linuxSkip !== undefined)(linuxTitle('stock Linux on a host'), () => {
  let directory: string;
  let state: string;
  let host: RunningHost;
  let shell: GuestShell;
  const at = (name: string) => join(directory, name);

  async function start(): Promise<void> {
    host = new RunningHost(at('host.yaml'));
    await host.says(/nexus: guest ready/);
    shell = await host.console(state, 'web');
    await shell.waitFor(/# /);
  }
  const ok = (...args: string[]) => {
    const { status, stdout, stderr } = nexus(...args, '--state', state);
    expect(status, stderr).toBe(0);
    return stdout;
  };
  const refusal = (...args: string[]) => {
    const { status, stdout } = nexus(...args, '--state', state, '--json');
    expect(status).not.toBe(0);
    return (JSON.parse(stdout) as { error: { message: string } }).error.message;
  };

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'nexus-linux-host-'));
    state = at('state');
    writeFileSync(
      at('host.yaml'),
      'state: ./state\nengine: v86\npartitions:\n' +
        '  - { name: web, kind: standard, linux: i686, memory: 128 MiB, volume: 16 MiB }\n',
    );
    await start();
  }, 300_000);
  afterAll(async () => {
    await host?.end();
    rmSync(directory, { recursive: true, force: true });
  });

  it("verifies the guest's quote down to the platform TPM", async () => {
    // In the guest, with the distribution's tools: the EK that the nexus certified, an AK of the guest's own making.
    await shell.ok('tpm2 createek -Q -G ecc -c ek.ctx -u ek.tss -f tss');
    await shell.ok('tpm2 createak -Q -C ek.ctx -G ecc -g sha256 -s ecdsa -c ak.ctx -u ak.tss -f tss -n ak.name');
    // The verifier's: TPM2B_PUBLIC without its size.
    const keys = {
      akPublic: (await shell.bytes('ak.tss')).slice(2),
      ekPublic: (await shell.bytes('ek.tss')).slice(2),
    };
    const { credentialBlob, encryptedSecret, secret } = challengeGuest(keys);
    const sized = (bytes: Uint8Array) => Buffer.concat([Buffer.of(bytes.length >> 8, bytes.length & 0xff), bytes]);
    const header = Buffer.from('badcc0de00000001', 'hex'); // of tpm2-tools' credential files
    const credential = Buffer.concat([header, sized(credentialBlob), sized(encryptedSecret)]).toString('base64');
    await shell.ok(`echo ${credential} | base64 -d >credential`);
    await shell.ok('tpm2 startauthsession -Q --policy-session -S s.ctx; tpm2 policysecret -Q -S s.ctx -c e');
    await shell.ok('tpm2 activatecredential -Q -c ak.ctx -C ek.ctx -i credential -o secret -P session:s.ctx');
    expect(hex(await shell.bytes('secret'))).toBe(hex(secret));
    await shell.ok('tpm2 flushcontext s.ctx');

    await shell.ok(`tpm2 quote -Q -c ak.ctx -l sha256:${PCRS.join()} -q ${nonce} -m q.msg -s q.sig -g sha256`);
    const eventLog = await shell.bytes('/sys/kernel/security/tpm0/binary_bios_measurements');
    const replay = replayLog(parseEventLog(eventLog), SHA256);
    const evidence = encodeMachineEvidence({
      quoted: await shell.bytes('q.msg'),
      signature: await shell.bytes('q.sig'),
      akPublic: keys.akPublic,
      eventLog,
      pcrs: new Map([[SHA256, new Map(PCRS.map((pcr) => [pcr, replay[pcr] ?? new Uint8Array()]))]]),
    });

    writeFileSync(at('guest.cbor'), evidence);
    writeFileSync(at('guest.ak'), keys.akPublic);
    writeFileSync(at('guest.ek'), keys.ekPublic);
    const wanted = ['--ak-out', at('platform.ak'), '--reference-out', at('host.json'), '-o', at('evidence.cbor')];
    ok('attest', '--nonce', nonce, '--guest', 'web', '--guest-evidence', at('guest.cbor'), ...wanted);
    const values = Object.fromEntries(PCRS.map((pcr) => [pcr, [hex(replay[pcr])]]));
    const reference = (names: string[]) => ({
      host: JSON.parse(readFileSync(at('host.json'), 'utf8')) as object,
      guest: { selection: [{ bank: 'sha256', pcrs: PCRS }], pcrs: { sha256: values } },
      names,
    });
    const verify = (names: string[], verifiersNonce = nonce) => {
      writeFileSync(at('reference.json'), JSON.stringify(reference(names)));
      const guest = ['--guest-ak', at('guest.ak'), '--guest-ek', at('guest.ek')];
      const trust = ['--nonce', verifiersNonce, '--ak', at('platform.ak'), '--reference', at('reference.json')];
      const { status, stdout } = nexus('verify', at('evidence.cbor'), ...trust, ...guest, '--json');
      const { state: verdict, checks } = JSON.parse(stdout) as {
        state: string;
        checks: { name: string; passed: boolean }[];
      };
      return { status, verdict, failed: checks.filter(({ passed }) => !passed).map(({ name }) => name) };
    };
    expect(verify(['web'])).toEqual({ status: 0, verdict: 'affirming', failed: [] });
    expect(verify(['db'])).toMatchObject({ status: 1, failed: ['partition-name'] });
    expect(verify(['web'], '6b'.repeat(32))).toMatchObject({
      status: 1,
      failed: ['quote-binding', 'guest-quote-nonce'],
    });
  }, 240_000);

  it('cannot touch what the nexus keeps in its TPM: the platform hierarchy is closed', async () => {
    expect((await shell.run('tpm2 nvundefine -C p 0x1c0000a')).output).toContain('0x9A2');
    expect((await shell.run('tpm2 changeeps')).status).not.toBe(0);
  }, 60_000);

  it.skipIf(!hasTerminal)(
    'is used interactively, by nexus console at a terminal',
    async () => {
      const terminal = new Terminal(`${process.execPath} dist/cli/main.js console web --state ${state}`);
      try {
        await terminal.shows(/Ctrl-\] leaves/);
        // Said by the command itself, which then has the terminal: Ctrl-C cannot come too early.
        terminal.type("sh -c 'echo $((6 * 7)); exec sleep 1000'\r");
        await terminal.shows(/\n42\r*\n/);
        terminal.type('\x03'); // Ctrl-C ends the sleep, and nothing else
        terminal.type('echo $((7 * 7))\r');
        await terminal.shows(/\n49\r*\n/);
        terminal.type('\x1b[A\r'); // cursor up: the shell's history
        await terminal.shows(/\n49\r*\n[\s\S]*\n49\r*\n/);
        terminal.type('\x1d');
        expect(await terminal.exit()).toBe(0);
      } finally {
        terminal.close();
      }
      expect(await shell.ok('echo still here')).toBe('still here\n');
    },
    60_000,
  );

  it('is suspended to a file and goes on from it, once, with its memory and its TPM', async () => {
    await shell.ok('tpm2 nvdefine -Q -C o -a "ownerread|ownerwrite|nt=counter" 0x1500001; kept=in-memory');
    await shell.ok('tpm2 nvincrement -C o 0x1500001');
    ok('snapshot', 'save', 'web', at('one'));
    expect(ok('ps')).toMatch(/web\s+standard\s+suspended/);
    expect(refusal('snapshot', 'save', 'web', at('two'))).toContain('E_PARTITION_STATE');

    const good = readFileSync(at('one'));
    writeFileSync(at('short'), good.subarray(0, good.length - 1));
    expect(refusal('snapshot', 'restore', 'web', at('short'))).toContain('E_SNAPSHOT_FORMAT');
    const changed = Buffer.from(good);
    changed[good.length >> 1] = (changed[good.length >> 1] ?? 0) ^ 1;
    writeFileSync(at('changed'), changed);
    expect(refusal('snapshot', 'restore', 'web', at('changed'))).toContain('E_SNAPSHOT_CORRUPT');
    const foreign = Buffer.from(good);
    foreign[20] = (foreign[20] ?? 0) ^ 1;
    writeFileSync(at('foreign'), foreign);
    expect(refusal('snapshot', 'restore', 'web', at('foreign'))).toContain('E_SNAPSHOT_FOREIGN');

    // Also when the host has been away.
    await host.end();
    host = new RunningHost(at('host.yaml'));
    await host.says(/nexus \| ready/);
    expect(host.output).toMatch(/web\s+\| suspended/);
    ok('snapshot', 'restore', 'web', at('one'));
    shell = await host.console(state, 'web');
    expect(await shell.ok('echo $kept')).toBe('in-memory\n');
    await shell.ok('tpm2 nvincrement -C o 0x1500001');

    ok('snapshot', 'save', 'web', at('two'));
    expect(refusal('snapshot', 'restore', 'web', at('one'))).toContain('E_SNAPSHOT_STALE');
    ok('snapshot', 'discard', 'web');
    await shell.waitFor(/nexus: guest ready/);
    await shell.waitFor(/# /);
    const count = await shell.ok(`tpm2 nvread -C o -s 8 0x1500001 | hexdump -e '8/1 "%02x" "\\n"'`);
    expect(count.trim()).toMatch(/02$/);
    // What was sealed under the counter's older value opens to nobody, also after another suspension.
    ok('snapshot', 'save', 'web', at('three'));
    expect(refusal('snapshot', 'restore', 'web', at('two'))).toContain('E_SNAPSHOT_STALE');
    truncateSync(at('two'), 10);
    expect(refusal('snapshot', 'restore', 'web', at('two'))).toContain('E_SNAPSHOT_FORMAT');
    ok('snapshot', 'restore', 'web', at('three'));
    expect(await shell.ok('echo again')).toBe('again\n');
  }, 240_000);

  it('has a disk of its own, which keeps what was synced when the host is killed in the middle of a write', async () => {
    await shell.ok('mke2fs -b 4096 /dev/vda >/dev/null; mkdir -p /m; mount -t ext2 /dev/vda /m');
    await shell.ok('echo kept >/m/file; sync; dd if=/dev/zero of=/m/large bs=4096 count=4 2>/dev/null; sync');
    const image = readFileSync(join(state, 'partitions/web/volume'));
    expect(image.includes('kept\n')).toBe(false);
    shell.type(
      'while :; do dd if=/dev/urandom of=/m/large bs=4096 count=64 conv=notrunc; sync; echo WRI""TTEN; done\n',
    );
    await shell.waitFor(/WRITTEN\r?\n[\s\S]*WRITTEN\r?\n/);
    expect(await host.end('SIGKILL')).toBeNull();
    await start();
    await shell.ok('mkdir -p /m; mount -t ext2 -o ro /dev/vda /m');
    expect(await shell.ok('cat /m/file')).toBe('kept\n');
    expect(await shell.ok('cat /m/large | wc -c')).toBe(`${64 * 4096}\n`);
  }, 240_000);
});
