/** The agent on our TPM in process, and on swtpm over TCP: enrolment, attestation, secrets, against the verifier. */
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Agent } from '../attestation/agent/agent.ts';
import { ekCertificates } from '../attestation/agent/keys.ts';
import { type AttestReply, VerifierClient } from '../attestation/client.ts';
import { EVENT, EventLogWriter } from '../attestation/eventlog/format.ts';
import { createVerifier, type Verifier } from '../attestation/verifier/verifier.ts';
import { TpmClient } from '../tpm/client/index.ts';
import type { TpmTransport } from '../tpm/device.ts';
import { type Manufactured, manufacture } from '../tpm/manufacture/index.ts';
import { digest, TPM_ALG } from '../tpm/structures/index.ts';
import { Tpm } from '../tpm/tpm.ts';
import { localTransport, openTransport } from '../tpm/transports/index.ts';
import { bootAggregate, type FileEntry, imaList, templateData } from './attestation/ima-list.ts';
import { missingTool, SwtpmTools } from './support/tpm2-tools.ts';

const { SHA256 } = TPM_ALG;
const missing = missingTool();

interface Machine {
  readonly transport: TpmTransport;
  close(): Promise<void>;
}

async function ours(): Promise<Machine> {
  const tpm = await Tpm.create();
  tpm.powerOn();
  return { transport: localTransport(tpm), close: () => tpm.close() };
}

async function swtpm(): Promise<Machine> {
  const server = await SwtpmTools.start();
  const transport = await openTransport(`swtpm:host=127.0.0.1,port=${server.port}`);
  return {
    transport,
    async close() {
      await transport.close();
      await server.stop();
    },
  };
}

describe.each([
  ['our TPM', ours, false],
  ['swtpm', swtpm, missing !== undefined],
] as const)('the agent on %s', (_name, make, skipped) => {
  let directory: string;
  let machine: Machine;
  let tpm: TpmClient;
  let manufactured: Manufactured;
  let verifier: Verifier;
  let base: string;
  let admin: VerifierClient;
  let agent: Agent;

  beforeEach(async () => {
    if (skipped) return;
    directory = fs.mkdtempSync(join(tmpdir(), 'nexus-agent-'));
    machine = await make();
    manufactured = await manufacture(machine.transport, { keys: ['p256'] });
    tpm = await TpmClient.over(machine.transport);
    const log = new EventLogWriter([SHA256]);
    for (const pcr of [0, 1, 2, 3, 4, 5, 6, 7]) {
      const data = new Uint8Array(4);
      log.append(pcr, EVENT.SEPARATOR, new Map([[SHA256, digest(SHA256, data)]]), data);
      await tpm.PCR_Extend({ pcrHandle: pcr, digests: [{ hashAlg: SHA256, digest: digest(SHA256, data) }] });
    }
    const eventLog = join(directory, 'log');
    fs.writeFileSync(eventLog, log.bytes());
    verifier = await createVerifier({ database: { memory: true }, manufacturers: manufactured.authority, jobs: false });
    base = await verifier.listen();
    admin = new VerifierClient(base, { token: await verifier.createToken('admin', ['admin']) });
    agent = new Agent({ tpm, verifier: new VerifierClient(base), eventLog, imaList: join(directory, 'none') });
  });
  afterEach(async () => {
    if (skipped) return;
    await verifier.close();
    await machine.close();
    fs.rmSync(directory, { recursive: true, force: true });
  });

  it.skipIf(skipped)('enrols, records the machine as reference, attests, and notices a change', async () => {
    expect(await agent.enrol('laptop')).toBe('laptop');
    expect(await agent.enrol('laptop')).toBe('laptop');
    expect((await agent.attest()).failed).toContain('reference-values');
    await admin.putReference('default', await agent.reference());
    expect(await agent.attest()).toMatchObject({ state: 'affirming', platform: 'laptop', failed: [] });
    await tpm.PCR_Extend({ pcrHandle: 4, digests: [{ hashAlg: SHA256, digest: new Uint8Array(32).fill(1) }] });
    const changed = await agent.attest();
    expect(changed.state).toBe('contraindicated');
    expect(changed.failed).toContain('reference-pcr-sha256-4');
  });

  it.skipIf(skipped)('fetches a secret that only this machine, in this state, is given', async () => {
    await agent.enrol('laptop');
    await admin.putReference('default', await agent.reference());
    const content = new TextEncoder().encode('database password');
    await admin.putResource('db/password', { content, policy: { platforms: ['laptop'] } });
    const { content: received } = await agent.fetch('db/password');
    expect(Buffer.from(received).toString()).toBe('database password');
    await tpm.PCR_Extend({ pcrHandle: 7, digests: [{ hashAlg: SHA256, digest: new Uint8Array(32).fill(1) }] });
    await expect(agent.fetch('db/password')).rejects.toMatchObject({ code: 'release-refused' });
  });

  it.skipIf(skipped)('attests again and again, with jitter, and waits longer after each failure', async () => {
    await agent.enrol('laptop');
    await admin.putReference('default', await agent.reference());
    const stop = new AbortController();
    const delays: number[] = [];
    const seen: (AttestReply | Error)[] = [];
    const sleep = async (ms: number) => {
      delays.push(ms);
      if (delays.length === 2)
        await verifier.service.platforms.revoke({ tenant: 'default', actor: 'test', roles: new Set() }, 'laptop');
      if (delays.length === 5) stop.abort();
    };
    await agent.run({ everySeconds: 60, signal: stop.signal, observe: (outcome) => seen.push(outcome), sleep });
    expect(seen.map((outcome) => (outcome instanceof Error ? 'refused' : outcome.state))).toEqual([
      'affirming',
      'affirming',
      'refused',
      'refused',
      'refused',
    ]);
    for (const delay of delays.slice(0, 2)) {
      expect(delay).toBeGreaterThanOrEqual(54_000);
      expect(delay).toBeLessThanOrEqual(66_000);
    }
    expect(delays.slice(2).map((delay) => Math.round(Math.log2(delay / 1000)))).toEqual([1, 2, 3]);
  });

  it.skipIf(skipped)(
    'sends what IMA has measured since the last good attestation, and all of it when asked',
    async () => {
      const list = join(directory, 'ima');
      const entries: FileEntry[] = [];
      const measure = async (...more: readonly FileEntry[]) => {
        for (const entry of more) {
          const digests = [{ hashAlg: SHA256, digest: digest(SHA256, templateData(entry)) }];
          await tpm.PCR_Extend({ pcrHandle: 10, digests });
          entries.push(entry);
        }
        fs.writeFileSync(list, imaList(entries).bytes);
      };
      const values = await tpm.PCR_Read({
        pcrSelectionIn: [{ hash: SHA256, pcrSelect: [0, 1, 2, 3, 4, 5, 6, 7] }],
      });
      await measure(bootAggregate(values.pcrValues), { path: '/sbin/init' });
      /** How many bytes of evidence each attestation sent. */
      const sent: number[] = [];
      const counting: typeof fetch = (url, init) => {
        if (String(url).endsWith('/v1/attestations')) sent.push(String(init?.body).length);
        return fetch(url, init);
      };
      const options = { tpm, eventLog: join(directory, 'log'), imaList: list };
      const running = new Agent({ ...options, verifier: new VerifierClient(base, { fetch: counting }) });
      await running.enrol('laptop');
      await admin.putReference('default', await running.reference());
      await measure(...Array.from({ length: 100 }, (_, index) => ({ path: `/usr/bin/${index}` })));
      expect(await running.attest()).toMatchObject({ state: 'affirming', shown: { entries: 102 } });
      await measure({ path: '/usr/bin/new' });
      expect(await running.attest()).toMatchObject({ state: 'affirming', shown: { entries: 103 } });
      expect(sent[1]).toBeLessThan((sent[0] ?? 0) / 2);
      // Another agent of the same machine went further meanwhile: no verdict on what does not fit, but the whole list.
      await measure({ path: '/usr/bin/newer' });
      const second = new Agent({ ...options, verifier: new VerifierClient(base) });
      expect(await second.attest()).toMatchObject({ state: 'affirming', shown: { entries: 104 } });
      expect(await running.attest()).toMatchObject({ state: 'affirming', shown: { entries: 104 } });
      expect(sent.length).toBe(4);
      // A measurement that the list hides is found in the part as in the whole.
      await tpm.PCR_Extend({ pcrHandle: 10, digests: [{ hashAlg: SHA256, digest: new Uint8Array(32).fill(3) }] });
      expect((await running.attest()).failed).toContain('ima-replay');
    },
  );

  it.skipIf(skipped)('sends the issuers of its EK certificate where only their root is trusted', async () => {
    await agent.enrol('laptop');
    const [issuer = new Uint8Array(), root = new Uint8Array()] = manufactured.authority;
    const certificates = { anchors: [Buffer.from(root).toString('base64')], require: ['ek'] };
    await admin.putReference('default', { ...(await agent.reference()), certificates });
    expect((await agent.attest()).failed).toEqual(['ek-certificate']);
    const sending = new Agent({
      tpm,
      verifier: admin,
      eventLog: join(directory, 'log'),
      imaList: join(directory, 'none'),
      ekCertificates: [...(await ekCertificates(tpm, 'ecc')), issuer],
      certificates: {},
    });
    expect(await sending.attest()).toMatchObject({ state: 'affirming', failed: [] });
  });

  it.skipIf(skipped)('attests registers that no boot log explains, where there is none', async () => {
    const bare = new Agent({
      tpm,
      verifier: admin,
      eventLog: join(directory, 'none'),
      imaList: join(directory, 'none'),
      selection: [{ bank: 'sha256', pcrs: [16, 23] }],
    });
    await bare.enrol('laptop');
    await admin.putReference('default', await bare.reference());
    expect(await bare.attest()).toMatchObject({ state: 'affirming', failed: [] });
    const boot = new Agent({
      tpm,
      verifier: admin,
      eventLog: join(directory, 'none'),
      imaList: join(directory, 'none'),
    });
    await admin.putReference('default', await boot.reference());
    expect((await boot.attest()).failed).toContain('event-log');
  });
});
