import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { x25519 } from '@noble/curves/ed25519.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { releaseUserData } from '../../attestation/broker/release-binding.ts';
import { VerifierClient, VerifierRefusal } from '../../attestation/client.ts';
import { type AuditEntry, verifyAudit } from '../../attestation/verifier/audit-chain.ts';
import { type Authority, authority, der } from '../support/certificate-authority.ts';
import { Postgres, postgresPrograms } from '../support/postgres.ts';
import { type SoftwareHost, softwareHost } from '../support/software-host.ts';
import { softwareTpm } from '../support/software-tpm.ts';
import { makeToken, VerifierProcess } from '../support/verifier-process.ts';

const programs = postgresPrograms();

/** Everything that a caller was told had happened. */
class Acknowledged {
  readonly enrolled = new Set<string>();
  attested = 0;
  readonly granted: string[] = [];
}

describe.skipIf(programs === undefined)(
  'verifier replicas on one PostgreSQL (skipped where it is not installed)',
  () => {
    let directory: string;
    let postgres: Postgres;
    let manufacturer: Authority;
    let replicaArguments: string[];
    let replicas: VerifierProcess[];
    let token: string;
    let host: SoftwareHost;
    const key = x25519.getPublicKey(x25519.utils.randomSecretKey());

    const client = (replica: number) => new VerifierClient(replicas[replica]?.url ?? '', { token, timeoutMs: 5_000 });

    beforeAll(async () => {
      directory = fs.mkdtempSync(join(tmpdir(), 'nexus-faults-'));
      postgres = await Postgres.start(programs ?? '');
      manufacturer = await authority('Manufacturer');
      fs.writeFileSync(join(directory, 'ca.der'), der(manufacturer.certificate));
      const database = ['--database', postgres.url, '--kek', join(directory, 'kek')];
      replicaArguments = [...database, '--manufacturer-ca', join(directory, 'ca.der')];
      replicas = [await VerifierProcess.start(replicaArguments)];
      replicas.push(await VerifierProcess.start(replicaArguments));
      token = await makeToken(database, 'admin');
      host = await softwareHost(manufacturer);
      await client(0).enrol(host.tpm, 'host');
      await client(1).putReference('default', host.reference);
    });
    afterAll(async () => {
      await Promise.all(replicas.map((replica) => replica.stop()));
      await postgres.stop();
      fs.rmSync(directory, { recursive: true, force: true });
    });

    async function ground(of: VerifierClient) {
      const { id, nonce } = await of.challenge();
      return { challenge: id, evidence: host.evidence(nonce, releaseUserData(key, nonce)) };
    }

    /** Enrol, attest and take one-time resources in a loop until stopped; failures of the fault itself are expected. */
    function load(replica: number, told: Acknowledged, resource: () => string) {
      let running = true;
      const expected = (error: unknown) => {
        // Unreachable, or refused with a code: anything else is a defect.
        if (!(error instanceof VerifierRefusal)) throw error;
      };
      const loop = async (step: (at: VerifierClient) => Promise<void>) => {
        while (running) {
          await step(client(replica)).catch(expected);
          await new Promise(setImmediate);
        }
      };
      const loops = [
        loop(async (at) => {
          told.enrolled.add((await at.enrol(await softwareTpm(manufacturer))).platform);
        }),
        loop(async (at) => {
          const { challenge, evidence } = await ground(at);
          const { state } = await at.attest(challenge, evidence);
          expect(state).toBe('affirming');
          told.attested += 1;
        }),
        loop(async (at) => {
          const name = resource();
          await at.release(name, key, await ground(at));
          told.granted.push(name);
        }),
      ];
      return async () => {
        running = false;
        await Promise.all(loops);
      };
    }

    async function auditTrail(replica: number): Promise<AuditEntry[]> {
      const response = await fetch(`${replicas[replica]?.url}/v1/audit`, {
        headers: { authorization: `Bearer ${token}` },
      });
      return (await response.text())
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as AuditEntry);
    }

    /** What was acknowledged is there; nothing was granted twice; the audit trail chains. */
    async function check(replica: number, told: Acknowledged, before: number) {
      const trail = await auditTrail(replica);
      expect(await verifyAudit(trail)).toBeNull();
      const since = trail.slice(before);
      const subjects = (action: string) =>
        since.filter((entry) => entry.action === action).map((entry) => entry.subject);
      const enrolled = new Set(subjects('platform.enrol'));
      for (const platform of told.enrolled) expect(enrolled).toContain(platform);
      expect(subjects('attestation.appraise').length).toBeGreaterThanOrEqual(told.attested);
      const released = subjects('resource.release');
      expect(new Set(released).size).toBe(released.length);
      expect(new Set(told.granted).size).toBe(told.granted.length);
      for (const name of told.granted) expect(released).toContain(name);
    }

    async function storeOneTime(count: number, prefix: string): Promise<string[]> {
      const names = Array.from({ length: count }, (_, index) => `${prefix}/${index}`);
      const policy = { codeIdentity: [host.codeIdentity] };
      for (const name of names) await client(1).putResource(name, { content: Uint8Array.of(1), policy, oneTime: true });
      return names;
    }

    async function eventually(condition: () => boolean): Promise<void> {
      for (const deadline = Date.now() + 60_000; !condition(); ) {
        if (Date.now() > deadline) throw new Error('the load made no progress');
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }

    it('a nonce used on both at once is accepted once', async () => {
      for (let round = 0; round < 10; round += 1) {
        const { challenge, evidence } = await ground(client(round % 2));
        const results = await Promise.allSettled([0, 1].map((replica) => client(replica).attest(challenge, evidence)));
        expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(1);
        const [lost] = results.filter((result) => result.status === 'rejected');
        expect(lost?.reason).toMatchObject({ code: 'challenge-spent' });
      }
    });

    it('kill -9 of a replica under load loses nothing acknowledged and grants nothing twice', async () => {
      const names = await storeOneTime(40, 'replica');
      const before = (await auditTrail(1)).length;
      const told = new Acknowledged();
      let turn = 0;
      // Both replicas go through the same one-time resources, so that they contend for each.
      const next = () => names[Math.floor(turn++ / 2) % names.length] ?? '';
      const stops = [load(0, told, next), load(1, told, next)];
      await eventually(() => told.attested > 10 && told.enrolled.size > 2 && told.granted.length > 4);
      await replicas[0]?.kill();
      const reached = told.attested;
      await eventually(() => told.attested > reached + 10);
      await Promise.all(stops.map((stop) => stop()));
      await check(1, told, before);
      replicas[0] = await VerifierProcess.start(replicaArguments);
      expect((await client(0).challenge()).nonce).toHaveLength(32);
    });

    it('kill -9 of PostgreSQL under load loses nothing acknowledged, and the replicas go on when it is back', async () => {
      const names = await storeOneTime(40, 'database');
      const before = (await auditTrail(1)).length;
      const told = new Acknowledged();
      let turn = 0;
      const next = () => names[Math.floor(turn++ / 2) % names.length] ?? '';
      const stops = [load(0, told, next), load(1, told, next)];
      await eventually(() => told.attested > 10 && told.enrolled.size > 2 && told.granted.length > 4);
      await postgres.kill();
      const ready = await fetch(`${replicas[0]?.url}/readyz`);
      expect(ready.status).toBe(503);
      await postgres.run();
      const reached = told.attested;
      await eventually(() => told.attested > reached + 10);
      await Promise.all(stops.map((stop) => stop()));
      await check(0, told, before);
      expect((await fetch(`${replicas[1]?.url}/readyz`)).status).toBe(200);
    });
  },
);
